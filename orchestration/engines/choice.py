"""Engines by their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from common.command_line import Parser, one_of
from orchestration.engines.engine import Engine
from orchestration.engines.local import LocalEngine
from orchestration.pipelines.opening import Opened


def add_engine(parser: Parser) -> None:
    """Add the flag that says what runs the steps."""
    parser.add_argument(
        "--engine",
        type=one_of("docker", "local"),
        default="local",
        metavar="{docker,local}",
        help="what runs the steps: processes of this machine, or containers",
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
