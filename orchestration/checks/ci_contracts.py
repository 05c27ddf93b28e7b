"""What a called workflow, action or template declares, and what its callers give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.checks import ci_files
from orchestration.checks.findings import Finding, found
from orchestration.checks.look import Look
from orchestration.checks.parts import parts
from orchestration.names import nearest

takes = ci_files.takes
_SECRET = re.compile(r"\bsecrets\.(\w+)")
# GitHub gives it to every workflow.
_OWN = "GITHUB_TOKEN"


@dataclass(frozen=True)
class _Call:
    """A use of another definition.

    Attributes:
        where: The place of what is given to it.
        used: The definition, as it is named.
        given: The names that it is given; None gives all that there are.
        kind: What is given: inputs, secrets or parameters.
    """

    where: str
    used: str
    given: frozenset[str] | None
    kind: str


def find(look: Look, file: str) -> Iterator[Finding]:
    """Find calls that do not fit what they call, and secrets that nobody declares."""
    document = look.document(file)
    for call in _calls(document.data):
        called = ci_files.sibling(look, file, call.used)
        if called is None:
            if call.kind == "parameters" and "@" not in call.used:
                text = f"{call.where}: there is no template {call.used}"
                at = document.line(f"{call.where.removesuffix(call.kind)}template")
                yield found(file, at, text, "name it relative to this file")
            continue
        declared = _declared(look.mapping(called), call.kind)
        if declared is None or call.given is None:
            continue
        at, one = document.line(call.where), call.kind.removesuffix("s")
        for name in sorted(call.given - set(declared)):
            text = f"{call.where}: {called} declares no {one} {name}"
            known = sorted(declared)
            hint = f"{call.kind}: {', '.join(known) or 'none'}"
            line = look.line_with(file, name, at)
            yield found(file, line, text + nearest(name, known), hint)
        for name in sorted(set(declared) - call.given):
            if declared[name]:
                text = f"{call.where}: {called} needs the {one} {name}"
                yield found(file, at, text, "give it, or declare it optional there")
    yield from _undeclared(look, file)


def _calls(data: Any) -> Iterator[_Call]:
    jobs = data.get("jobs") if isinstance(data, Mapping) else None
    for name, job in jobs.items() if isinstance(jobs, Mapping) else ():
        if isinstance(job, Mapping) and str(job.get("uses")).startswith("./"):
            where, used = f"jobs.{name}", str(job["uses"])
            secrets = job.get("secrets")
            given = None if secrets == "inherit" else _names(secrets)
            yield _Call(f"{where}.with", used, _names(job.get("with")), "inputs")
            yield _Call(f"{where}.secrets", used, given, "secrets")
    for where, step in ci_files.steps(data):
        if str(step.get("uses")).startswith("./"):
            given = _names(step.get("with"))
            yield _Call(f"{where}.with", str(step["uses"]), given, "inputs")
    for where, user in parts(data):
        if isinstance(user, Mapping) and isinstance(user.get("template"), str):
            given = _names(user.get("parameters"))
            yield _Call(f"{where}.parameters", user["template"], given, "parameters")


def _names(given: Any) -> frozenset[str]:
    return frozenset(map(str, given)) if isinstance(given, Mapping) else frozenset()


def _declared(data: Mapping[str, Any], kind: str) -> dict[str, bool] | None:
    """Give what a definition declares, and whether it has to be given.

    None for a definition that does not say, such as one that cannot be read.
    """
    if kind == "parameters":
        given = data.get("parameters", [])
        if isinstance(given, Mapping):  # the older form: names and defaults
            return {str(name): False for name in given}
        return {
            str(one["name"]): "default" not in one
            for one in (given if isinstance(given, list) else ())
            if isinstance(one, Mapping) and "name" in one
        }
    if "runs" in data:  # an action, which has no secrets
        section = data.get("inputs")
    else:
        on = data.get("on")
        if not isinstance(on, Mapping) or "workflow_call" not in on:
            return None
        call = on["workflow_call"]
        section = call.get(kind) if isinstance(call, Mapping) else None
    return {
        str(name): isinstance(one, Mapping)
        and one.get("required") is True
        and "default" not in one
        for name, one in (section.items() if isinstance(section, Mapping) else ())
    }


def _undeclared(look: Look, file: str) -> Iterator[Finding]:
    """Find secrets that a called workflow takes and does not declare."""
    declared = _declared(look.mapping(file), "secrets")
    if ci_files.kind(file) != ci_files.WORKFLOW or declared is None:
        return
    for number, line in enumerate(look.text(file).splitlines(), start=1):
        for name in _SECRET.findall(line.partition(" #")[0]):
            if name not in declared and name != _OWN:
                text = f"the secret {name} is not declared{nearest(name, [*declared])}"
                hint = "declare it under on.workflow_call.secrets"
                yield found(file, number, text, hint)
