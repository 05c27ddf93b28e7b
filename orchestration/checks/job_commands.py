"""Command lines of Azure ML's jobs: what they start, with which flags."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from common.errors import UserError
from orchestration.checks.findings import Finding, found, reported
from orchestration.checks.look import Look
from orchestration.checks.modules import module_path, unknown_module
from orchestration.checks.python_calls import PythonCall, python_calls
from orchestration.locks import canonicalize_name, name_of
from orchestration.names import nearest
from orchestration.pipelines.script_flags import (
    ScriptArgument,
    ScriptFlags,
    check_flags,
)
from orchestration.pipelines.spec import Step
from orchestration.pipelines.spelling import spell_number
from orchestration.tasks import Task

_REFERENCE = re.compile(r"\$\{\{\s*(inputs|outputs)\.([A-Za-z_][\w-]*)\s*\}\}")
# As steps of pipelines write what only a run knows.
_PLACE = re.compile(r"\$\{(?:inputs|outputs)\.[A-Za-z_][\w-]*\}")
_UNKNOWN = "unknown"
_PLAIN = re.compile(r"[\w.:/+-]+")
_NUMBER = re.compile(r"-\.?\d.*")
# The task's image has its files here.
_IMAGE_CODE = "/opt/code/"


def find(
    look: Look,
    file: str,
    line: int,
    command: Mapping[str, Any],
    task: Task,
    folder: str | None,
) -> Iterator[Finding]:
    """Find modules and files that a command's task lacks, and flags they do not take.

    Args:
        look: The tree.
        file: The job's file.
        line: Where its command line begins.
        command: The command, with its inputs and outputs.
        task: The task whose job it is.
        folder: The folder of the tree that it starts in, ``src`` as a rule; None for
            the image's.
    """
    text = command["command"]
    try:
        calls = python_calls(text)
    except ValueError as error:
        yield found(file, line, f"command: {error}", "close the quotes")
        return
    packages = {
        canonicalize_name(name_of(one.split(" \\")[0]))
        for one in task.requirements.splitlines()
        if one and not one[0].isspace()
    }
    for call in calls:
        at = look.line_with(file, call.target, line)
        path, problem = _path(call, task, folder, packages)
        if problem is not None:
            hint = f"the image of {task.name} has what its scripts reach"
            yield found(file, at, f"command: {problem}", hint)
        elif path is not None and path in task.files:
            yield from _flags(look, file, at, call, path, command)


def _path(
    call: PythonCall, task: Task, folder: str | None, packages: Collection[str]
) -> tuple[str | None, str | None]:
    """Give the file that a call starts, if it is the tree's, or what is wrong."""
    if "$" in call.target:
        return None, None  # only a run knows
    if call.is_module:
        problem = unknown_module(call.target, task.files, packages)
        problem = problem and f"the task has {problem}"
        return module_path(call.target, task.files), problem
    if call.target.startswith(_IMAGE_CODE):
        path = call.target.removeprefix(_IMAGE_CODE)
    elif call.target.startswith("/"):
        return None, None  # the image's own
    else:
        path = os.path.normpath(PurePosixPath(folder or "src", call.target))
    if path in task.files:
        return path, None
    named = [one for one in task.files if one.endswith(f"/{PurePosixPath(path).name}")]
    hint = nearest(path, named or list(task.files))
    return None, f"there is no file {call.target}{hint}"


def _flags(
    look: Look,
    file: str,
    line: int,
    call: PythonCall,
    path: str,
    command: Mapping[str, Any],
) -> Iterator[Finding]:
    try:
        flags = look.flags(look.scripts.code_of(path))
    except UserError as error:
        for one in reported(error, file):
            yield Finding(file, line, f"command: {one.message}", one.hint)
        return
    words = [_resolved(word, command) for word in call.arguments]
    args, positional, wrong = _split(words, flags)
    for text in wrong:
        yield found(file, line, f"command: {text}")
    try:
        step = Step.model_validate(
            {
                "script": call.target if call.is_module else path,
                "args": args,
                "positional": positional,
                "inputs": {
                    name: {"path": name}
                    for name in {_UNKNOWN, *_names(command.get("inputs"))}
                },
                "outputs": sorted(_names(command.get("outputs"))),
            }
        )
    except ValidationError as error:
        for mistake in error.errors():
            where = ".".join(map(str, mistake["loc"]))
            yield found(file, line, f"command: {where}: {mistake['msg']}")
        return
    for problem in check_flags("job", step, flags, {}):
        flag = problem.where.rpartition(".")[2]
        at = look.line_with(file, f"--{flag}", line)
        yield found(file, at, f"command: {problem.message}")


def _split(
    words: list[str], flags: ScriptFlags
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Take a command line apart as argparse does; give what is wrong in it as well."""
    args: dict[str, Any] = {}
    positional: list[str] = []
    wrong: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return args, positional + rest, wrong
        if not _is_flag(word):
            positional.append(word)
            continue
        name, is_joined, value = word.partition("=")
        known = flags.flags.get(name)
        if known is None:
            if not name.startswith("--"):
                if not flags.is_open:
                    wrong.append(f"there is no flag {name}")
            else:
                args[name.removeprefix("--")] = True
            while rest and not _is_flag(rest[0]):
                rest.pop(0)  # whose it is cannot be told
            continue
        values = [value] if is_joined else []
        while not is_joined and rest and len(values) < known.most:
            if _is_flag(rest[0]):
                break
            values.append(rest.pop(0))
        long = _long_name(known, flags)
        if long is None:
            continue
        if known.fewest and not values:
            wrong.append(f"{name} is given no value")
        args[long.removeprefix("--")] = values or True
    return args, positional, wrong


def _is_flag(word: str) -> bool:
    return word.startswith("-") and word != "-" and not _NUMBER.fullmatch(word)


def _long_name(flag: ScriptArgument, flags: ScriptFlags) -> str | None:
    names = [name for name, one in flags.flags.items() if one == flag]
    return next((name for name in names if name.startswith("--")), None)


def _names(section: Any) -> list[str]:
    return [str(name) for name in section] if isinstance(section, dict) else []


def _literals(inputs: Any) -> dict[str, str]:
    """Give the inputs whose values are in the file, as they would be spelt."""
    found_ones = {}
    for name, value in inputs.items() if isinstance(inputs, dict) else ():
        if isinstance(value, int | float) and not isinstance(value, bool):
            found_ones[str(name)] = spell_number(value)
        elif isinstance(value, str) and _PLAIN.fullmatch(value):
            found_ones[str(name)] = value
    return found_ones


def _resolved(word: str, command: Mapping[str, Any]) -> str:
    """Put values into a word, and what stands for those that only a run knows."""
    values = _literals(command.get("inputs"))

    def place(match: re.Match[str]) -> str:
        kind, name = match[1], match[2]
        if name not in _names(command.get(kind)):
            return f"${{inputs.{_UNKNOWN}}}"  # that it is missing is said elsewhere
        known = values.get(name) if kind == "inputs" else None
        return known if known is not None else f"${{{kind}.{name}}}"

    text = _REFERENCE.sub(place, word)
    if "$" in _PLACE.sub("", text):
        name, is_joined, _ = text.partition("=")
        unknown = f"${{inputs.{_UNKNOWN}}}"
        return f"{name}={unknown}" if is_joined and "$" not in name else unknown
    return text
