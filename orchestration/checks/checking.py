"""All checks over a tree, remembered for as long as nothing in it changes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from common.errors import RunError, UserError
from orchestration.atomic_files import write_atomically
from orchestration.checkout import Checkout
from orchestration.checks import (
    argo_files,
    azure_files,
    ci_contracts,
    ci_policies,
    ci_schemas,
    command_lines,
    dockerfiles,
    pipelines,
    platforms,
    shell_scripts,
    stages,
    texts,
)
from orchestration.checks.findings import Finding, found, reported
from orchestration.checks.look import Look
from orchestration.pipelines.keys import key_of
from orchestration.target_graph import Tree, forget_oldest, read_files, read_tree

_FORMAT = "check/1"
_BUILD = "BUILD"
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+")
_QUOTED = re.compile(r"'([^']+)'")


class Check(Protocol):
    """One of this package's modules: what it takes, and what is wrong there."""

    def takes(self, look: Look, file: str) -> bool:
        """Whether a file is for this check."""

    def find(self, look: Look, file: str) -> Iterator[Finding]:
        """Find what is wrong in a file."""


_CHECKS: tuple[Check, ...] = (
    texts,
    pipelines,
    stages,
    dockerfiles,
    ci_schemas,
    ci_policies,
    ci_contracts,
    shell_scripts,
    command_lines,
    azure_files,
    argo_files,
    platforms,
)


@dataclass(frozen=True)
class Report:
    """What came of a check.

    Attributes:
        files: The specifications that were looked at, sorted.
        findings: What is wrong in them, by file and line.
        unchecked: What could not be looked at, and why.
    """

    files: tuple[str, ...]
    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...] = ()

    def within(self, chosen: Collection[str]) -> Report:
        """Take what is about some files alone."""
        return replace(
            self,
            files=tuple(one for one in self.files if one in chosen),
            findings=tuple(one for one in self.findings if one.file in chosen),
        )


def check_tree(
    checkout: Checkout,
    tell: Callable[[str], None],
    choose: Callable[[Collection[str]], Collection[str]] | None = None,
) -> Report:
    """Check every specification of a tree, or those that are chosen.

    Args:
        checkout: The checkout.
        tell: Is told when something takes long.
        choose: Takes those that are wanted from the tree's files; None for all.

    Raises:
        UserError: The request is wrong, or git does not tell what is in the tree.
    """
    files = read_files(checkout)
    chosen = None if choose is None else choose(files)
    key = key_of(
        {
            "format": _FORMAT,
            "files": {name: list(value) for name, value in files.items()},
            "argo": argo_files.schema_text(),
        }
    )
    memory = checkout.cache / "checks" / f"{key[:24]}.json"
    remembered = _remembered(memory)
    if remembered is not None:
        return remembered if chosen is None else remembered.within(chosen)
    broken = []
    try:
        tree = read_tree(checkout)
    except UserError as error:
        broken = [_broken_graph(checkout.root, str(error), files)]
        tree = Tree(files, {})
    report = _check(
        Look(checkout, tree, tell), files if chosen is None else chosen, broken
    )
    # Only what the tree as it was digested has led to is kept, and not that Pants could
    # not be started.
    is_whole = chosen is None and not broken and not report.unchecked
    if is_whole and read_files(checkout) == files:
        write_atomically(memory, _to_json(report))
        forget_oldest(memory.parent)
    return report


def _check(look: Look, chosen: Collection[str], known: Sequence[Finding]) -> Report:
    findings, unchecked, looked_at = list(known), [], set()
    for check in _CHECKS:
        for file in sorted(chosen):
            try:
                if check.takes(look, file):
                    looked_at.add(file)
                    findings.extend(check.find(look, file))
            except UserError as error:
                findings.extend(reported(error, file))
            except RunError as error:
                unchecked.append(f"{file}: {error}")
    return Report(
        tuple(sorted(looked_at)),
        tuple(sorted(_distinct(findings))),
        tuple(dict.fromkeys(unchecked)),
    )


def _distinct(findings: Collection[Finding]) -> Iterator[Finding]:
    """Leave out what two checks say of one line in the same words."""
    seen = set()
    for one in sorted(findings, key=lambda one: (one.file, one.line, not one.hint)):
        if (one.file, one.line, one.message) not in seen:
            seen.add((one.file, one.line, one.message))
            yield one


def _broken_graph(root: Path, said: str, files: Collection[str]) -> Finding:
    """Say what Pants finds wrong, in the BUILD file that it is about."""
    folders = [
        folder
        for named in _PATH.findall(said)
        for folder in (PurePosixPath(named), *PurePosixPath(named).parents)
    ]
    builds = [f"{one}/{_BUILD}" for one in folders if f"{one}/{_BUILD}" in files]
    build, line = (builds or [_BUILD])[0], 1
    quoted = _QUOTED.findall(said)
    if build in files:
        for number, text in enumerate((root / build).read_text().splitlines(), start=1):
            if any(word in text for word in quoted):
                line = number
                break
    return found(build, line, said, "what needs the graph was not checked")


def _remembered(memory: Path) -> Report | None:
    try:
        document = json.loads(memory.read_bytes())
        return Report(
            tuple(document["files"]),
            tuple(Finding(**one) for one in document["findings"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _to_json(report: Report) -> bytes:
    document = {
        "files": report.files,
        "findings": [asdict(one) for one in report.findings],
    }
    return json.dumps(document).encode()
