"""CI's definitions: which files are some, and their blocks of shell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from orchestration.checks.look import YAML, Look
from orchestration.checks.parts import key_of, parts

WORKFLOW, ACTION, AZURE = "github-workflows", "github-actions", "azure-pipelines"
_GITHUB = (".github/", "orchestration/ci/github/")
_AZURE = (".azure-pipelines/", ".azuredevops/", "orchestration/ci/azure-devops/")
_SCRIPTS = ".ci/"
_BLOCK = re.compile(r":\s*[|>][+-]?\d?\s*(?:#.*)?$")
_SHELLS = frozenset({"bash", "sh"})
_TASKS = ("Bash@", "AzureCLI@")


@dataclass(frozen=True)
class Block:
    """A block of shell.

    Attributes:
        where: Its place in the file.
        line: The line that it begins in.
        text: The block.
    """

    where: str
    line: int
    text: str


def kind(file: str) -> str | None:
    """Name the vendors' schema of a CI file; None for other files."""
    path = PurePosixPath(file)
    if path.suffix not in YAML:
        return None
    if any(file.startswith(folder) for folder in _GITHUB):
        if path.stem == "action":
            return ACTION
        is_workflow = path.parent.name in ("workflows", "github")
        return WORKFLOW if is_workflow else None
    is_azure = any(file.startswith(folder) for folder in _AZURE)
    return AZURE if is_azure or path.stem == "azure-pipelines" else None


def takes(look: Look, file: str) -> bool:
    """Whether a file is a CI definition."""
    return kind(file) is not None


def has_blocks(look: Look, file: str) -> bool:
    """Whether a file is a CI definition, or a script that CI runs."""
    return takes(look, file) or file.startswith(_SCRIPTS)


def blocks(look: Look, file: str) -> list[Block]:
    """Give the blocks of shell of a definition, in its order; a script is one."""
    if not takes(look, file):
        return [Block("", 1, look.text(file))]
    found: list[Block] = []
    for where, step in steps(look.document(file).data):
        keys = {key: step.get(key) for key in ("run", "bash", "script")}
        task = str(step.get("task"))
        inputs = step.get("inputs")
        if isinstance(inputs, Mapping) and task.startswith(_TASKS):
            keys["inputs.inlineScript"] = inputs.get("inlineScript")
            keys["inputs.script"] = inputs.get("script")
        if str(step.get("shell", "bash")).split()[0] not in _SHELLS:
            continue
        for key, text in keys.items():
            if isinstance(text, str):
                place = f"{where}.{key}"
                found.append(Block(place, _first_line(look, file, place), text))
    return found


def steps(data: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give the steps of a definition, wherever they stand, with their places."""
    for where, value in parts(data):
        if key_of(where) == "steps" and isinstance(value, list):
            for number, step in enumerate(value):
                if isinstance(step, Mapping):
                    yield f"{where}.{number}", step


def _first_line(look: Look, file: str, place: str) -> int:
    """Give the line that a block's text begins in: its key's, or the next."""
    line = look.document(file).line(place)
    return line + bool(_BLOCK.search(look.text(file).splitlines()[line - 1]))


def sibling(look: Look, file: str, used: str) -> str | None:
    """Give the file of the tree that a definition names; None if there is none.

    Args:
        look: The tree.
        file: The definition.
        used: As it is written there: ``./.github/workflows/x.yml``, a folder with an
            action, or a template beside the definition.
    """
    name = used.partition("@")[0].removeprefix("./")
    folder = PurePosixPath(file).parent
    # Workflows lie elsewhere until a team copies them to where GitHub looks.
    beside = folder / PurePosixPath(name).name
    for path in (
        PurePosixPath(name.lstrip("/")),
        *(PurePosixPath(name) / f"action{suffix}" for suffix in YAML),
        folder / name,
        *([beside] if name.startswith(".github/workflows/") else []),
    ):
        normal = os.path.normpath(path)
        if normal in look.tree.files:
            return normal
    return None
