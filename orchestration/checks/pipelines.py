"""Pipelines: their form, what refers to what, their scripts and what these take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePosixPath

from common.errors import UserError
from orchestration.checks.findings import Finding, found, reported
from orchestration.checks.look import Look
from orchestration.pipelines.checks import WARNING, check_pipeline
from orchestration.pipelines.keys import StepCode
from orchestration.pipelines.loading import FILES, find_pipelines, load_pipeline
from orchestration.pipelines.script_flags import ScriptFlags, check_flags
from orchestration.pipelines.spec import Pipeline
from orchestration.store.parallel import in_parallel

_DOMAINS = "src/domains/"
_SCHEMA = "./strata schema pipeline has all keys"


def takes(look: Look, file: str) -> bool:
    """Whether a file is a pipeline."""
    path = PurePosixPath(file)
    return path.name in FILES and file.count("/") > 2 and file.startswith(_DOMAINS)


def find(look: Look, file: str) -> Iterator[Finding]:
    """Find what is wrong in a pipeline, with each of its profiles."""
    name = task_of(file)
    find_pipelines(look.root, [one for one in look.tree.files if task_of(one) == name])
    sound, errors = versions(look, file)
    for error in errors:
        yield from reported(error, file, _SCHEMA)
    document = look.document(file)
    if None in sound:
        for one in check_pipeline(sound[None]):
            if one.severity == WARNING:
                text = f"{one.where}: {one.message}"
                yield found(file, document.line(one.where), text, "use it or remove it")
    if look.knows_graph:
        yield from _scripts(look, file, sound)


def task_of(file: str) -> str:
    """Give the folder of a file below src/domains, which names pipeline and task."""
    return PurePosixPath(file).parent.as_posix().removeprefix(_DOMAINS)


def versions(
    look: Look, file: str
) -> tuple[dict[str | None, Pipeline], list[UserError]]:
    """Give a pipeline without a profile and with each one, and what cannot be had."""
    profiles = look.mapping(file).get("profiles")
    names = [None, *(profiles if isinstance(profiles, dict) else ())]
    sound: dict[str | None, Pipeline] = {}
    errors = []
    for profile in names:
        try:
            sound[profile] = load_pipeline(look.root / file, task_of(file), profile)
        except UserError as error:
            errors.append(error)
    return sound, errors


def _scripts(
    look: Look, file: str, sound: dict[str | None, Pipeline]
) -> Iterator[Finding]:
    """Find scripts that are not there, and flags that they do not take."""
    document, codes = look.document(file), {}
    scripts = {
        (name, step.script)
        for pipeline in sound.values()
        for name, step in pipeline.steps.items()
    }
    for name, script in sorted(scripts):
        try:
            codes[script] = look.scripts.code(task_of(file), script)
        except UserError as error:
            line = document.line(f"steps.{name}.script")
            yield from _at(file, line, f"steps.{name}.script", error)
    distinct = {code.module: code for code in codes.values()}

    def ask(code: StepCode) -> ScriptFlags | UserError:
        try:
            return look.flags(code)
        except UserError as error:
            return error

    answers = dict(
        zip(distinct, in_parallel(ask, distinct.values(), os.cpu_count() or 1))
    )
    for pipeline in sound.values():
        for name, step in pipeline.steps.items():
            if step.script not in codes:
                continue
            flags = answers[codes[step.script].module]
            if isinstance(flags, UserError):
                line = document.line(f"steps.{name}.script")
                yield from _at(file, line, f"steps.{name}.script", flags)
                continue
            for problem in check_flags(name, step, flags, pipeline.params):
                text = f"{problem.where}: {problem.message}"
                yield found(file, document.line(problem.where), text)


def _at(file: str, line: int, where: str, error: UserError) -> Iterator[Finding]:
    for one in reported(error, file):
        yield Finding(file, line, f"{where}: {one.message}", one.hint)
