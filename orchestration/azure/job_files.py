"""What a task's job says, checked against the tree: references, modules, the code."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from orchestration.azure.documents import AzureFile, FileError
from orchestration.names import nearest

DEFAULT_FILE = "azure-ml-job.yaml"
# Azure ML's expressions, as its documentation of jobs gives them.
_REFERENCE = re.compile(r"\$\{\{\s*(inputs|outputs)\.([A-Za-z_][\w-]*)")
_MODULE = re.compile(r"(?:^|\s)-m\s+([A-Za-z_]\w*(?:\.\w+)+)")
_COMMAND = "command"


def check_job(
    file: AzureFile, data: dict[str, Any], root: Path, files: Sequence[str]
) -> dict[str, tuple[dict[str, Any], PurePosixPath | None]]:
    """Check what no schema can.

    Args:
        file: The job's file.
        data: Its data, with settings applied.
        root: The tree's root.
        files: The files that the job's task reaches, relative to it.

    Returns:
        The job's commands, by what precedes their keys: itself, or a pipeline's steps.
        Each with the folder that it takes as its code, relative to the root; None if it
        takes none, as the image has the code as well.

    Raises:
        FileError: With everything that is wrong.
    """
    kind, steps = data.get("type", _COMMAND), data.get("jobs")
    if kind == _COMMAND:
        commands = {"": data}
    elif kind == "pipeline" and isinstance(steps, dict):
        commands = {
            f"jobs.{name}.": step
            for name, step in steps.items()
            if isinstance(step, dict) and step.get("type", _COMMAND) == _COMMAND
        }
    else:
        message = f"it is {kind!r}; a task's job is a command, or a pipeline of them"
        raise FileError([file.at("type", message)])
    found, lines = {}, []
    for where, command in commands.items():
        code, wrong = _code(file, command.get("code"), root, files)
        line = command.get(_COMMAND)
        if isinstance(line, str):
            wrong += _undeclared(line, command)
            if code is not None:
                wrong += _missing_modules(line, code, files)
        found[where] = command, code
        lines += [file.at(where + key, message) for key, message in wrong]
    if lines:
        raise FileError(lines)
    return found


def _code(
    file: AzureFile, code: Any, root: Path, files: Sequence[str]
) -> tuple[PurePosixPath | None, list[tuple[str, str]]]:
    if code is None:
        return None, []
    if not isinstance(code, str) or "://" in code or code.startswith("azureml:"):
        return None, [("code", "takes a folder of the tree, relative to the file")]
    # Without following links: what counts is the place in the tree.
    folder = Path(os.path.normpath(file.path.parent / code))
    if not folder.is_relative_to(root):
        return None, [("code", f"{code} lies outside the tree")]
    inside = PurePosixPath(folder.relative_to(root).as_posix())
    outside = [name for name in files if not PurePosixPath(name).is_relative_to(inside)]
    if outside:
        return None, [("code", f"{code} does not hold {outside[0]}, which it needs")]
    return inside, []


def _undeclared(command: str, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for section, name in _REFERENCE.findall(command):
        known = data.get(section)
        names = list(known) if isinstance(known, dict) else []
        if name not in names:
            hint = nearest(name, names)
            yield _COMMAND, f"there is no {section}.{name}{hint}"


def _missing_modules(
    command: str, code: PurePosixPath, files: Sequence[str]
) -> Iterator[tuple[str, str]]:
    modules = {
        str(PurePosixPath(name).relative_to(code)).removesuffix(".py").replace("/", ".")
        for name in files
        if name.endswith(".py")
    }
    for module in _MODULE.findall(command):
        if module.partition(".")[0] not in {one.partition(".")[0] for one in modules}:
            continue  # a package's, such as torch.distributed.run
        if module not in modules and f"{module}.__main__" not in modules:
            hint = nearest(module, sorted(modules))
            yield _COMMAND, f"the task has no module {module}{hint}"
