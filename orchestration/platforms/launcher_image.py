"""The image that brings the launcher to platforms, described as a task's is."""

from __future__ import annotations

from orchestration.checkout import Checkout
from orchestration.pipelines.code import Scripts
from orchestration.target_graph import Tree
from orchestration.tasks import Task

NAME = "launcher"
_PROGRAM = "orchestration/platforms/__main__.py"
_DOCKERFILE = "docker/launcher/Dockerfile"


def launcher_task(checkout: Checkout, tree: Tree) -> Task:
    """Describe the launcher: the files and the locked packages that it reaches."""
    code = Scripts(checkout.root, tree).code_of(_PROGRAM)
    files = tuple(sorted(code.files))
    return Task(NAME, (_PROGRAM,), files, code.requirements, _DOCKERFILE)
