"""Steps in containers of their task's image."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from common.errors import UserError
from orchestration.atomic_files import write_atomically
from orchestration.checkout import Checkout
from orchestration.engines.engine import Provided
from orchestration.engines.workers import Launcher
from orchestration.environments import provide_environment
from orchestration.images.building import prepare_builder
from orchestration.images.engine import Engine as DockerDaemon
from orchestration.launcher.job import Job
from orchestration.pipelines.code import Scripts
from orchestration.pipelines.keys import Platform
from orchestration.pipelines.planning import StepPlan
from orchestration.pipelines.platforms import image_platform
from orchestration.pipelines.spec import Step
from orchestration.target_graph import Tree
from orchestration.tasks import find_tasks
from orchestration.workspaces import provide_workspace

_ENVIRONMENT = "/opt/environment"
# What tells the store's clients who we are; passed on by name, never by value.
_CREDENTIALS = ("AWS_", "AZURE_", "GOOGLE_", "STRATA_")


class DockerEngine:
    """Starts launchers in containers.

    The task's image has the packages of all its scripts; a step sees its own. Launcher,
    code, inputs and store lie on this machine and are mounted at the paths that they
    have here.

    Args:
        checkout: The checkout.
        tree: Its state.
        task: The task whose image it is.
        store: The store's address.
        scratch: The run's folder.
        tell: Is told when something takes long.

    Raises:
        UserError: There is no Docker, or the task has no image.
    """

    name = "docker"

    def __init__(
        self,
        checkout: Checkout,
        tree: Tree,
        task: str,
        store: str,
        scratch: Path,
        tell: Callable[[str], None],
    ) -> None:
        tasks = find_tasks(checkout.root, tree)
        if task not in tasks:
            raise UserError(f"{task} has no image: its BUILD file has no task_image()")
        self._checkout = checkout
        self._tree = tree
        self._task = tasks[task]
        self._store = store
        self._scratch = scratch
        self._tell = tell
        self._daemon = DockerDaemon()
        self._builder = prepare_builder(
            checkout, tree, self._daemon, os.environ.get("STRATA_PYTHON_IMAGE")
        )
        self._image = self._builder.image(self._task).name
        self._building = threading.Lock()
        self._reached: dict[Path, bool] = {}
        self._provided: dict[str, tuple[Step, StepPlan, Provided]] = {}

    def platform(self) -> Platform:
        """Say what steps run on. A base that is not known yet is built and asked."""
        base = self._builder.base
        memory = self._checkout.cache / "pythons" / f"{base.digest[:24]}.json"
        try:
            python, machine = json.loads(memory.read_bytes())
        except (OSError, ValueError):
            if not self._daemon.has(base.name):
                self._tell(f"building {base.name} ...")
            self._builder.build_base(lambda line: None)
            python, machine = self._daemon.python(base.name)
            write_atomically(memory, json.dumps([python, machine]).encode())
        dockerfile, _ = self._tree.files[self._task.dockerfile]
        return image_platform(python, machine, base.digest, dockerfile)

    def provide(self, step: Step, plan: StepPlan) -> Provided:
        """Have the image and a folder with the closure there."""
        scripts = {module.partition(".py")[0] for module in self._task.scripts}
        path = f"src/{plan.code.module.replace('.', '/')}"
        if path not in scripts:
            raise UserError(
                f"{plan.name}: {path}.py is not among the scripts of the image; name "
                f"it in task_image() in {self._task.folder}/BUILD"
            )
        with self._building:
            if not self._daemon.has(self._image):
                self._tell(f"building {self._image} ...")
                self._builder.build(self._task, lambda line: None)
        code = provide_workspace(
            self._checkout, self._tree, sorted(plan.code.files), {}
        )
        provided = Provided(str(code), _ENVIRONMENT, tuple(sorted(plan.code.packages)))
        self._provided[plan.name] = (step, plan, provided)
        return provided

    def python(self, provided: Provided, program: Path) -> list[str]:
        """Say how the image's Python is started, with the code and the program."""
        command = ["docker", "run", "--rm", "--init"]
        command += ["--env", f"PYTHONPATH={provided.code}/src"]
        for path in (provided.code, str(program)):
            command += ["--volume", f"{path}:{path}:ro"]
        return [*command, self._image, "python"]

    def reaches(self, path: Path) -> bool:
        """Whether a command can use an input where it lies: if no link leads out."""
        if path not in self._reached:
            self._reached[path] = not _has_links(path)
        return self._reached[path]

    def launcher(self, job: Job) -> Launcher:
        """Say how the launcher is started: one container for the jobs of a step."""
        step, plan, provided = self._provided[job.step.removesuffix(".items")]
        code, packages = self._own
        command = ["docker", "run", "--rm", "--init", "--interactive"]
        command += ["--user", f"{os.getuid()}:{os.getgid()}", "--env", "HOME=/tmp"]
        command += ["--env", f"PYTHONPATH={code}:{code}/src:{packages}"]
        command += ["--workdir", "/workspace"]
        for path in sorted({str(code), str(packages), provided.code}):
            command += ["--volume", f"{path}:{path}:ro"]
        for one in plan.inputs.values():
            if one.path is not None and self.reaches(Path(one.path)):
                command += ["--volume", f"{one.path}:{one.path}:ro"]
        command += ["--volume", f"{self._scratch}:{self._scratch}"]
        if "://" in self._store:
            # A store on this machine is reached as it is from here.
            command += ["--network", "host"]
            for name in sorted(os.environ):
                if name.startswith(_CREDENTIALS):
                    command += ["--env", name]
        else:
            command += ["--volume", f"{self._store}:{self._store}"]
        if step.resources.gpu:
            command += ["--gpus", str(step.resources.gpu)]
        if step.resources.cpu:
            command += ["--cpus", f"{step.resources.cpu:g}"]
        if step.resources.memory:
            command += ["--memory", str(step.resources.memory)]
        command += [self._image, "python", "-P", "-m", "orchestration.launcher"]
        return Launcher(tuple(command), dict(os.environ))

    @cached_property
    def _own(self) -> tuple[Path, Path]:
        """Give the launcher's own code and packages, apart from any task's."""
        code = Scripts(self._checkout.root, self._tree).code_of(
            "orchestration/launcher/__main__.py"
        )
        environment = provide_environment(
            self._checkout.cache, code.requirements, self._tell
        )
        folder = provide_workspace(self._checkout, self._tree, sorted(code.files), {})
        (site,) = environment.glob("lib/python3.*/site-packages")
        return folder, site


def _has_links(path: Path) -> bool:
    folders = [path]
    while folders:
        folder = folders.pop()
        if folder.is_symlink():
            return True
        if folder.is_dir():
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        return True
                    if entry.is_dir():
                        folders.append(Path(entry.path))
    return False
