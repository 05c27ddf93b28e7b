"""The tools that ./strata is measured beside, each in an environment of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench_tree import surroundings
from benchmarks.timing import Measured, measure
from orchestration.environments import provide_environment

_DVC_SETTINGS = ("core.analytics=false", "core.check_update=false")


@dataclass(frozen=True)
class Peer:
    """A tool in a folder.

    Attributes:
        program: Its program.
        folder: The project.
        home: Takes the place of the user's home folder.
    """

    program: Path
    folder: Path
    home: Path

    def __call__(self, *arguments: str) -> Measured:
        """Measure a command of it.

        Raises:
            RunError: It failed.
        """
        variables = surroundings() | {
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            # As a shell that has the environment activated.
            "PATH": f"{self.program.parent}:{os.environ['PATH']}",
        }
        return measure([self.program, *arguments], self.folder, variables)


@dataclass(frozen=True)
class Peers:
    """Makes projects of the tools.

    Attributes:
        dvc: DVC's environment.
        snakemake: Snakemake's.
        python: The interpreter that runs the steps of all tools.
        cores: How many commands run side by side.
    """

    dvc: Path
    snakemake: Path
    python: Path
    cores: int

    @classmethod
    def provide(cls, source: Path, tell: Callable[[str], None]) -> Peers:
        """Install what the locks name, into the cache that ./strata uses.

        Raises:
            RunError: It cannot be installed.
        """
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        made = {
            name: provide_environment(
                Path(caches) / "strata",
                (source / f"3rdparty/{name}.lock").read_text(),
                tell,
            )
            for name in ("dvc", "snakemake")
        }
        bare = provide_environment(Path(caches) / "strata", "", tell)
        return cls(
            made["dvc"], made["snakemake"], bare / "bin/python", os.cpu_count() or 1
        )

    def start_dvc(self, folder: Path) -> Peer:
        """Make a project of DVC, with its default settings, silent to its makers."""
        peer = Peer(self.dvc / "bin/dvc", _folder(folder), _folder(folder / ".home"))
        peer("init", "--no-scm", "--quiet")
        for setting in _DVC_SETTINGS:
            peer("config", *setting.split("="))
        return peer

    def start_snakemake(self, folder: Path) -> Peer:
        """Make a project of Snakemake."""
        return Peer(
            self.snakemake / "bin/snakemake",
            _folder(folder),
            _folder(folder / ".home"),
        )

    def snakemake_run(self, *arguments: str) -> list[str]:
        """Give the arguments with which Snakemake runs a project."""
        return ["--cores", str(self.cores), "--quiet", "all", *arguments]


def remove(folder: Path) -> None:
    """Remove a folder if it is there, whatever rights its files have."""

    def allow(function: Callable[[str], object], path: str, _: object) -> None:
        os.chmod(Path(path).parent, 0o755)
        os.chmod(path, 0o755)
        function(path)

    if folder.exists():
        shutil.rmtree(folder, onerror=allow)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
