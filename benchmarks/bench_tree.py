"""A tree of its own to measure ./strata in: the real code, invented tasks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.timing import Measured, measure
from common.errors import UserError

# What ./strata and ./pants are made of.
_FOLDERS = ("3rdparty", "build-support", "orchestration", "src/common")
_FILES = ("pants", "pants.toml", "strata", "src/BUILD", "src/domains/BUILD")
_IGNORED = "__pycache__/\n/.pants.d/\n/.pids/\n/data/\n/dist/\n"
_DAEMON_SECONDS = 10.0
_GIT = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "benchmark"), ("EMAIL", "bench@example.invalid"))
}


@dataclass(frozen=True)
class BenchTree:
    """The tree, with its own store.

    Attributes:
        root: The build root.
        store: The store's folder.
    """

    root: Path
    store: Path

    def write(self, sources: Mapping[str, str]) -> None:
        """Write files, named by their path in the tree, and commit them."""
        for name, text in sorted(sources.items()):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        _git(self.root, "add", "--all")
        _git(self.root, "commit", "--quiet", "--allow-empty", "--message", "Write")

    def strata(self, *arguments: str | Path) -> Measured:
        """Measure a command of ``./strata``.

        Raises:
            RunError: It failed.
        """
        return measure(["./strata", *arguments], self.root, surroundings())

    def run(self, pipeline: str, *arguments: str) -> tuple[Measured, dict[str, int]]:
        """Measure a run; also how many steps came to each state."""
        command = ("run", pipeline, "--json", "--store", str(self.store))
        measured = self.strata(*command, *arguments)
        document: dict[str, Any] = json.loads(measured.output)
        states: dict[str, int] = {}
        for step in document["steps"].values():
            states[step["state"]] = states.get(step["state"], 0) + 1
        return measured, states

    def forget(self) -> None:
        """Empty the store."""
        shutil.rmtree(self.store, ignore_errors=True)


def surroundings() -> dict[str, str]:
    """Give the environment of a shell: without what Python and pex have put there."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PEX", "PYTHON", "VIRTUAL_ENV", "__PEX"))
    }


@contextmanager
def bench_tree(source: Path, folder: Path) -> Iterator[BenchTree]:
    """Copy what ./strata needs, and end Pants' daemon there afterwards.

    Args:
        source: The tree whose code is measured.
        folder: The folder to make the tree and its store in.

    Raises:
        UserError: The source is no tree of Strata.
    """
    if not (source / "strata").is_file():
        raise UserError(f"{source} is no tree of Strata; start from its top folder")
    root = folder / "tree"
    for name in _FOLDERS:
        shutil.copytree(
            source / name, root / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in _FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, root / name)
    (root / ".gitignore").write_text(_IGNORED)
    _git(root, "init", "--quiet")
    tree = BenchTree(root, folder / "store")
    tree.write({})
    try:
        yield tree
    finally:
        _end_daemons(root)


def _end_daemons(root: Path) -> None:
    for file in root.glob(".pids/*/pantsd/pid"):
        with suppress(ProcessLookupError):
            pid = int(file.read_text())
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + _DAEMON_SECONDS
            while time.monotonic() < deadline:
                os.kill(pid, 0)
                time.sleep(0.05)


def _git(root: Path, *arguments: str) -> None:
    command: Sequence[str] = ("git", *arguments)
    subprocess.run(command, cwd=root, env={**surroundings(), **_GIT}, check=True)
