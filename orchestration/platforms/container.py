"""The engine in a container: all but the task's packages comes from the store."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from orchestration.atomic_files import make_folder_once
from orchestration.engines.engine import Provided
from orchestration.engines.workers import Launcher
from orchestration.launcher.job import Job
from orchestration.pipelines.keys import Platform
from orchestration.pipelines.planning import StepPlan
from orchestration.pipelines.spec import Step
from orchestration.platforms.sealed_plan import SealedPlan
from orchestration.store.store import Store


class ContainerEngine:
    """Starts launchers as processes beside itself.

    Args:
        plan: What it runs steps of.
        store: Where their code is.
        scratch: A folder for what lasts as long as the container does.
        environment: The image's virtual environment.
    """

    name = "container"

    def __init__(
        self, plan: SealedPlan, store: Store, scratch: Path, environment: Path
    ) -> None:
        self._plan = plan
        self._store = store
        self._scratch = scratch
        self._environment = environment

    def platform(self) -> Platform:
        """Say what steps run on: what was planned for."""
        return self._plan.platform

    def provide(self, step: Step, plan: StepPlan) -> Provided:
        """Have a folder with the closure there."""
        reference = self._plan.closures[step.script]
        made = make_folder_once(
            self._scratch / "closures" / reference.partition(":")[2][:24],
            lambda new: self._store.restore(reference, new / "content"),
        )
        packages = tuple(sorted(plan.code.packages))
        return Provided(str(made / "content"), str(self._environment), packages)

    def python(self, provided: Provided, program: Path) -> list[str]:
        """Say how the image's Python is started."""
        return [f"{provided.environment}/bin/python"]

    def reaches(self, path: Path) -> bool:
        """Whether a command can use an input where it lies: all come from the store."""
        return False

    def launcher(self, job: Job) -> Launcher:
        """Say how the launcher is started: as this program was."""
        command = (sys.executable, "-P", "-m", "orchestration.launcher")
        return Launcher(command, dict(os.environ))
