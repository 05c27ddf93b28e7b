"""What a step's script reaches: its files and its locked packages, from the graph."""

from __future__ import annotations

import tomllib
from pathlib import Path

from common.errors import UserError
from orchestration.locks import name_of, parse_lock
from orchestration.names import nearest
from orchestration.pipelines.keys import StepCode, locked_packages
from orchestration.target_graph import Target, Tree

_SOURCE = "python_source"


class Scripts:
    """The scripts of a tree's tasks, and what each reaches.

    Args:
        root: The tree's root, where the locks are read.
        tree: The tree and its graph.
    """

    def __init__(self, root: Path, tree: Tree) -> None:
        self._root = root
        self._tree = tree
        self._found: dict[str, StepCode] = {}
        self._sources: dict[str, Target] = {}
        for _, target in sorted(tree.targets.items()):
            if target.kind == _SOURCE:
                self._sources.setdefault(target.sources[0], target)

    def code(self, task: str, script: str) -> StepCode:
        """Give what a step's script reaches.

        Args:
            task: The task whose pipeline names it.
            script: A file of the task's folder (with or without ``.py``), a module, or
                one of Pants' targets.

        Raises:
            UserError: There is no such script, or its lock lacks a package.
        """
        return self.code_of(self._path(task, script))

    def code_of(self, path: str) -> StepCode:
        """Give what a file of the tree reaches."""
        if path not in self._found:
            self._found[path] = self._reach(path)
        return self._found[path]

    def _path(self, task: str, script: str) -> str:
        folder = f"src/domains/{task}"
        if script.startswith("src/"):
            path = script.replace(":", "/")
        elif "." in script.removesuffix(".py") and "/" not in script:
            path = f"src/{script.removesuffix('.py').replace('.', '/')}"
        else:
            path = f"{folder}/{script}"
        path = f"{path.removesuffix('.py')}.py"
        if path not in self._sources:
            names = [
                Path(known).stem
                for known in self._sources
                if Path(known).parent.as_posix() == folder
                and Path(known).stem != "__init__"
            ]
            raise UserError(
                f"{task} has no script {script}"
                f"{nearest(script.removesuffix('.py'), names)}; there is no {path} "
                "in the tree"
            )
        return path

    def _default_resolve(self) -> str:
        """Name the environment of targets that name none."""
        settings = tomllib.loads((self._root / "pants.toml").read_text())
        return str(settings["python"]["default_resolve"])

    def _reach(self, path: str) -> StepCode:
        target = self._sources[path]
        closure = self._tree.closure([target.address])
        requirements = ""
        if closure.packages:
            lock = f"3rdparty/{target.resolve or self._default_resolve()}.lock"
            names = [name_of(text) for text in closure.packages]
            locked = parse_lock(lock, (self._root / lock).read_text())
            requirements = locked.reached_from(names).requirements()
        return StepCode(
            task=_task_of(path),
            module=path.removeprefix("src/").removesuffix(".py").replace("/", "."),
            files={name: self._tree.files[name] for name in closure.files},
            requirements=requirements,
            packages=locked_packages(requirements),
        )


def _task_of(path: str) -> str:
    return Path(path).parent.as_posix().removeprefix("src/domains/")
