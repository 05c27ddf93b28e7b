"""The stages' files below config."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from common.errors import UserError
from orchestration.checks.findings import Finding, found, reported
from orchestration.checks.look import YAML, Look
from orchestration.names import nearest
from orchestration.stages import STAGES, load_stage

_FOLDER = "config"
# The check of texts names it, and says more.
_SECRET = "; secrets stay out of files"


def takes(look: Look, file: str) -> bool:
    """Whether a file is a stage's."""
    path = PurePosixPath(file)
    return path.parent.as_posix() == _FOLDER and path.suffix in YAML


def find(look: Look, file: str) -> Iterator[Finding]:
    """Find what is wrong in a stage's file."""
    path = PurePosixPath(file)
    if path.stem not in STAGES or path.suffix != YAML[0]:
        known = [f"{stage}{YAML[0]}" for stage in STAGES]
        text = f"there is no stage of this name{nearest(path.name, known)}"
        yield found(file, 1, text, f"stages: {', '.join(known)}")
        return
    try:
        load_stage(look.root, path.stem)
    except UserError as error:
        for one in reported(error, file, "docs/azure.md has all keys"):
            if not one.message.endswith(_SECRET):
                yield one
