"""What an engine has to do: say what steps run on, provide for one, start launchers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestration.engines.workers import Launcher
from orchestration.launcher.job import Job
from orchestration.pipelines.keys import Platform
from orchestration.pipelines.planning import StepPlan
from orchestration.pipelines.spec import Step


@dataclass(frozen=True)
class Provided:
    """Where a step's command finds its code and its packages.

    Attributes:
        code: The folder whose ``src`` holds the closure, on the host.
        environment: The virtual environment, as the command sees it.
        packages: What of it the command may see; None for all.
    """

    code: str
    environment: str
    packages: tuple[str, ...] | None


class Engine(Protocol):
    """Runs launchers."""

    name: str

    def platform(self) -> Platform:
        """Say what steps run on.

        Raises:
            UserError: The engine is not there.
        """

    def provide(self, step: Step, plan: StepPlan) -> Provided:
        """Have everything there that a step needs.

        Raises:
            UserError: The engine is not there.
            RunError: The environment or the image cannot be made.
        """

    def python(self, provided: Provided, program: Path) -> list[str]:
        """Say how the Python of a provided step is started, to run a program."""

    def reaches(self, path: Path) -> bool:
        """Whether a command can use an input where it lies; else it gets a copy."""

    def launcher(self, job: Job) -> Launcher:
        """Say how the launcher for a job of a provided step is started."""
