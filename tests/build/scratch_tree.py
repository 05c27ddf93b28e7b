"""A small tree of its own for tests that start Pants: real rules, invented sources.

Pants gets a build root of its own there, hence its own daemon, and never waits for the
Pants that runs the tests.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Git takes its author from here, whatever the machine is set to.
_GIT = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "test"), ("EMAIL", "test@example.invalid"))
}


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        status: The exit status.
        output: What it wrote to standard output.
        errors: What it wrote to standard error.
    """

    status: int
    output: str
    errors: str


@dataclass(frozen=True)
class ScratchTree:
    """A copy of what builds, and only that, under a folder of its own.

    Attributes:
        root: The build root.
    """

    root: Path

    def write(self, sources: Mapping[str, str]) -> None:
        """Write files, named by their path in the tree."""
        for name, text in sorted(sources.items()):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def pants(self, *arguments: str) -> Outcome:
        """Run ``./pants`` with arguments in this tree."""
        return self.run("./pants", *arguments)

    def git(self, *arguments: str) -> str:
        """Run git in this tree.

        Returns:
            What it printed.

        Raises:
            RuntimeError: It failed.
        """
        outcome = self.run("git", *arguments)
        if outcome.status:
            raise RuntimeError(f"git {' '.join(arguments)}: {outcome.errors}")
        return outcome.output

    def commit(self, message: str) -> None:
        """Commit everything that there is."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def run(self, *command: str) -> Outcome:
        """Run a command in this tree."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env={**os.environ, **_GIT},
            capture_output=True,
            text=True,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


@contextmanager
def scratch_tree(root: Path) -> Iterator[ScratchTree]:
    """Copy the build's own files to a folder, and end the daemon there afterwards.

    Args:
        root: The folder to make.

    Yields:
        The tree. It holds the launcher, the locks, the macros and the BUILD files of
        the layers, as the target ``//:build-tree`` lists them; no sources.
    """
    shutil.copytree(Path.cwd(), root, ignore=shutil.ignore_patterns("tests", ".*"))
    (root / ".gitignore").write_text("/.pants.d/\n/.pids/\n/data/\n/dist/\n")
    try:
        yield ScratchTree(root)
    finally:
        for pid in root.glob(".pids/*/pantsd/pid"):
            os.kill(int(pid.read_text()), signal.SIGTERM)
