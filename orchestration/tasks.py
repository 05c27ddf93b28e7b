"""Tasks: the folders of src/domains that have an image, and what each reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

from common.errors import UserError
from orchestration.locks import parse_lock
from orchestration.names import nearest
from orchestration.target_graph import Tree

DOMAINS = "src/domains/"


@dataclass(frozen=True)
class Task:
    """A task, as its BUILD file's ``task_image`` declares it.

    Attributes:
        name: Its folder below src/domains.
        scripts: Its scripts' files, relative to the tree's root.
        files: Every first-party file that the scripts reach, sorted.
        requirements: The locked packages that they reach, as a requirements file.
        dockerfile: Its Dockerfile.
    """

    name: str
    scripts: tuple[str, ...]
    files: tuple[str, ...]
    requirements: str
    dockerfile: str

    @property
    def folder(self) -> str:
        """Its folder, relative to the tree's root."""
        return DOMAINS + self.name

    @property
    def script_names(self) -> dict[str, str]:
        """Its scripts' files, by the names that a person types."""
        return {PurePosixPath(path).stem: path for path in self.scripts}

    def module(self, script: str) -> str:
        """Give the module that a script's name stands for.

        Args:
            script: The file's name, with or without ``.py``.

        Raises:
            UserError: The task has no such script.
        """
        names = self.script_names
        path = names.get(script.removesuffix(".py"))
        if path is None:
            raise UserError(
                f"{self.name} has no script {script}{nearest(script, list(names))}; "
                f"it has {', '.join(sorted(names))}"
            )
        return path.removeprefix("src/").removesuffix(".py").replace("/", ".")


def find_tasks(root: Path, tree: Tree) -> dict[str, Task]:
    """Find every task, by name, sorted.

    Args:
        root: The tree's root, where the locks are read.
        tree: The tree and its graph.

    Raises:
        UserError: A task reaches a package that its lock lacks.
    """
    tasks = {}
    for address, target in sorted(tree.targets.items()):
        folder, _, name = address.partition(":")
        if (target.kind, name) != ("docker_image", "image"):
            continue
        if not folder.startswith(DOMAINS):
            continue
        scripts = tree.targets[f"{folder}:image-code"].dependencies
        closure = tree.closure(scripts)
        inputs = tree.targets[f"{folder}:image-requirements"].dependencies
        (lock,) = (
            s for i in inputs for s in tree.targets[i].sources if s[-5:] == ".lock"
        )
        packages = [Requirement(text).name for text in closure.packages]
        part = parse_lock(lock, (root / lock).read_text()).reached_from(packages)
        tasks[folder.removeprefix(DOMAINS)] = Task(
            folder.removeprefix(DOMAINS),
            tuple(s for one in scripts for s in tree.targets[one].sources),
            closure.files,
            part.requirements(),
            target.sources[0],
        )
    return tasks


def choose_tasks(tasks: dict[str, Task], names: Sequence[str]) -> list[Task]:
    """Take the tasks of these names or folders; all of them for no name.

    Raises:
        UserError: There is no such task.
    """
    chosen = []
    for given in names or tasks:
        name = given.strip("/").removeprefix(DOMAINS)
        if name not in tasks:
            raise UserError(
                f"there is no task {given}{nearest(name, list(tasks))}; "
                f"tasks: {', '.join(tasks) or 'none'}"
            )
        chosen.append(tasks[name])
    return chosen
