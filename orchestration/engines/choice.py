"""Engines by their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from common.command_line import Parser, one_of
from orchestration.engines.engine import Engine
from orchestration.engines.local import LocalEngine
from orchestration.pipelines.opening import Opened

# They take a pipeline as a whole.
PLATFORMS = ("argo", "azureml")
_ENGINES = ("docker", "local")


def add_engine(parser: Parser, with_platforms: bool = False) -> None:
    """Add the flag that says what runs the steps."""
    names = sorted((*_ENGINES, *(PLATFORMS if with_platforms else ())))
    parser.add_argument(
        "--engine",
        type=one_of(*names),
        default="local",
        metavar=f"{{{','.join(names)}}}",
        help="what runs the steps: processes of this machine, or containers"
        + (", here or on a platform" if with_platforms else ""),
    )


def make_engine(
    name: str, opened: Opened, scratch: Path, tell: Callable[[str], None]
) -> Engine:
    """Make the engine of a name.

    Args:
        name: What :func:`add_engine` has parsed.
        opened: The pipeline that it is to run.
        scratch: The run's folder.
        tell: Is told when something takes long.

    Raises:
        UserError: The engine is not there.
    """
    if name == "local":
        return LocalEngine(opened.checkout, opened.tree, tell)
    # Imported where it is asked for: a laptop needs no Docker.
    from orchestration.engines.docker import DockerEngine

    return DockerEngine(
        opened.checkout, opened.tree, opened.name, opened.store.address, scratch, tell
    )
