"""Steps as processes of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from orchestration.checkout import Checkout
from orchestration.engines.engine import Provided
from orchestration.engines.workers import Launcher
from orchestration.environments import provide_environment
from orchestration.launcher.job import Job
from orchestration.pipelines.keys import Platform, StepCode
from orchestration.pipelines.planning import StepPlan
from orchestration.pipelines.platforms import host_platform
from orchestration.pipelines.spec import Step
from orchestration.target_graph import Tree
from orchestration.workspaces import provide_workspace


class LocalEngine:
    """Starts launchers from the orchestrator's own environment.

    Args:
        checkout: The checkout.
        tree: Its state.
        tell: Is told when something takes long.
    """

    name = "local"

    def __init__(
        self, checkout: Checkout, tree: Tree, tell: Callable[[str], None]
    ) -> None:
        self._checkout = checkout
        self._tree = tree
        self._tell = tell

    def platform(self) -> Platform:
        """Say what steps run on."""
        return host_platform()

    def provide(self, step: Step, plan: StepPlan) -> Provided:
        """Have the environment and a folder with the closure there."""
        return self.provide_code(plan.code)

    def provide_code(self, code: StepCode) -> Provided:
        """Do the same for a script that is no step's."""
        environment = provide_environment(
            self._checkout.cache, code.requirements, self._tell
        )
        folder = provide_workspace(self._checkout, self._tree, sorted(code.files), {})
        return Provided(str(folder), str(environment), None)

    def python(self, provided: Provided, program: Path) -> list[str]:
        """Say how the Python of a provided step is started: by its path."""
        return [f"{provided.environment}/bin/python"]

    def reaches(self, path: Path) -> bool:
        """Whether a command can use an input where it lies: always."""
        return True

    def launcher(self, job: Job) -> Launcher:
        """Say how the launcher is started: all jobs share one."""
        root = self._checkout.root
        path = os.pathsep.join([str(root), str(root / "src")])
        return Launcher(
            (sys.executable, "-P", "-m", "orchestration.launcher"),
            {**os.environ, "PYTHONPATH": path},
        )
