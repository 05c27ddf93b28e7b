"""What CI may not do: hide a failure, or run what somebody else can exchange."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.checks import ci_files
from orchestration.checks.findings import Finding, cycle, found
from orchestration.checks.look import Look
from orchestration.checks.modules import packages_of, unknown_module
from orchestration.checks.parts import key_of, parts
from orchestration.checks.python_calls import python_calls
from orchestration.names import nearest

takes = ci_files.has_blocks
_GOES_ON = frozenset({"continueOnError", "continue-on-error"})
_HIDING = re.compile(r"\|\|\s*(?:true|:)(?=\s|$|[;)])|--exit-zero\b")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
# As a block's last command: false is a failure there.
_TEST_AT_END = re.compile(r"\s*(?:\[\[? .*\]\]?|test .*?)\s*&&(?!.*\|\|)")
_PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
_RED = "let it be red, or handle the failure that is meant"


def find(look: Look, file: str) -> Iterator[Finding]:
    """Find what is against the rules."""
    for block in ci_files.blocks(look, file):
        yield from _block(look, file, block)
    if not ci_files.takes(look, file):
        return
    document = look.document(file)
    for where, value in parts(document.data):
        if key_of(where) in _GOES_ON and value is not False:
            text = f"{where}: {str(value).lower()} hides a failure"
            yield found(file, document.line(where), text, _RED)
    for where, step in _users(document.data):
        yield from _action(look, file, where, str(step["uses"]))
    yield from _order(look, file)


def _users(data: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give the steps and jobs that use what lies elsewhere."""
    for where, step in ci_files.steps(data):
        if "uses" in step:
            yield where, step
    jobs = data.get("jobs") if isinstance(data, Mapping) else None
    for name, job in jobs.items() if isinstance(jobs, Mapping) else ():
        if isinstance(job, Mapping) and "uses" in job:
            yield f"jobs.{name}", job


def _action(look: Look, file: str, where: str, used: str) -> Iterator[Finding]:
    line = look.document(file).line(f"{where}.uses")
    if used.startswith("docker://"):
        if "@sha256:" not in used:
            text = f"{where}.uses: {used} is not pinned"
            yield found(file, line, text, "name the image's digest")
    elif used.startswith("./"):
        if ci_files.sibling(look, file, used) is None:
            text = f"{where}.uses: there is no {used}"
            yield found(file, line, text, "name a file or an action's folder")
    elif not _PINNED.fullmatch(used):
        text = f"{where}.uses: {used} can be another one tomorrow"
        hint = "name the full commit, with the version as a comment"
        yield found(file, line, text, hint)


def _block(look: Look, file: str, block: ci_files.Block) -> Iterator[Finding]:
    where = f"{block.where}: " if block.where else ""
    lines = [_COMMENT.sub("", line) for line in block.text.splitlines()]
    for number, line in enumerate(lines):
        hiding = _HIDING.search(line)
        if hiding is not None:
            at = look.line_with(file, hiding[0], block.line + number)
            text = f"{where}{hiding[0]} hides a failure"
            yield found(file, at, text, _RED)
    said = [line for line in lines if line.strip()]
    if said and _TEST_AT_END.match(said[-1]):
        at = look.line_with(file, said[-1].strip(), block.line)
        text = f"{where}it ends with a test, and fails where that is false"
        yield found(file, at, text, "write if ...; then ...; fi")
    try:
        calls = python_calls(block.text)
    except ValueError:
        return  # shellcheck says so
    for call in calls:
        if "$" in call.target:
            continue
        at = look.line_with(file, call.target, block.line)
        if call.is_module:
            problem = unknown_module(call.target, look.tree.files, packages_of(look))
            if problem is not None:
                text = f"{where}there is {problem}"
                yield found(file, at, text, "neither the tree nor a lock has it")
        elif not call.target.startswith(("/", "~")):
            # A step may start in any folder.
            end = f"/{call.target.removeprefix('./')}"
            if any(f"/{name}".endswith(end) for name in look.tree.files):
                continue
            hint = nearest(call.target, [f for f in look.tree.files if f[-3:] == ".py"])
            text = f"{where}there is no file {call.target}{hint}"
            yield found(file, at, text, "no file of the tree ends so")


def _order(look: Look, file: str) -> Iterator[Finding]:
    """Find jobs that need each other, or one that is not there."""
    document = look.document(file)
    key = "dependsOn" if ci_files.kind(file) == ci_files.AZURE else "needs"
    jobs = look.mapping(file).get("jobs")
    named: dict[str, tuple[str, Any]] = {}
    if isinstance(jobs, Mapping):
        named = {str(name): (f"jobs.{name}", job) for name, job in jobs.items()}
    elif isinstance(jobs, list):
        for number, job in enumerate(jobs):
            if isinstance(job, Mapping) and "job" in job:
                named[str(job["job"])] = (f"jobs.{number}", job)
    needs: dict[str, list[str]] = {}
    for name, (where, job) in named.items():
        given = job.get(key) if isinstance(job, Mapping) else None
        wanted = [given] if isinstance(given, str) else given
        needs[name] = [str(o) for o in wanted] if isinstance(wanted, list) else []
        for one in needs[name]:
            if one not in named and "$" not in one:
                text = f"{where}.{key}: there is no job {one}{nearest(one, [*named])}"
                at = document.line(f"{where}.{key}")
                yield found(file, at, text, f"jobs: {', '.join(named)}")
    circle = cycle({n: [o for o in w if o in named] for n, w in needs.items()})
    if circle:
        text = f"jobs: the jobs need each other: {' -> '.join(circle)}"
        at = document.line(f"{named[circle[0]][0]}.{key}")
        yield found(file, at, text, "take one of these away")
