"""What an image is made of, and the name that follows from it.

The name's tag is the digest of the content: the base image, the Dockerfile, the locked
packages, the code. So whoever has an image under a tag need not build it, anywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import UserError
from orchestration.target_graph import Tree
from orchestration.tasks import Task

BASE = "docker/base:base"
_FORMAT = "image/1"
# 96 bits: enough that no two contents ever share a tag, short enough to read.
_TAG_LENGTH = 24


@dataclass(frozen=True)
class Image:
    """An image to be.

    Attributes:
        repository: Its name without registry and tag.
        content: What it is made of, as JSON values.
        dockerfile: Its Dockerfile, relative to the tree's root.
        files: Other files that it is made from; path in the tree, by path in the
            image's build context.
        texts: Files that are made for it, by path in the build context.
        arguments: Build arguments, apart from the base.
    """

    repository: str
    content: Mapping[str, Any]
    dockerfile: str
    files: Mapping[str, str]
    texts: Mapping[str, str]
    arguments: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The SHA-256 of the content."""
        document = json.dumps(self.content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(document.encode()).hexdigest()

    @property
    def tag(self) -> str:
        """The tag that stands for the content."""
        return self.digest[:_TAG_LENGTH]

    @property
    def name(self) -> str:
        """Repository and tag."""
        return f"{self.repository}:{self.tag}"


def default_python_image(root: Path, tree: Tree) -> str:
    """Give the Python image that docker/base builds on unless told otherwise.

    Raises:
        UserError: Its Dockerfile does not say.
    """
    dockerfile = tree.targets[BASE].sources[0]
    found = re.search(
        r"^ARG PYTHON_IMAGE=(\S+)$", (root / dockerfile).read_text(), re.M
    )
    if found is None:
        raise UserError(f"{dockerfile} has no line ARG PYTHON_IMAGE=...")
    return found[1]


def base_image(tree: Tree, python_image: str, identity: str) -> Image:
    """Describe the image that all tasks' images build on.

    Args:
        tree: The tree's state.
        python_image: The image that it builds on itself, by name.
        identity: What that image is made of: its digest, where the name has one.
    """
    target = tree.targets[BASE]
    names = sorted({s for d in target.dependencies for s in tree.targets[d].sources})
    return Image(
        repository="strata/base",
        content={
            "format": _FORMAT,
            "python image": identity,
            "dockerfile": tree.files[target.sources[0]][0],
            "files": {name: tree.files[name] for name in names},
        },
        dockerfile=target.sources[0],
        files={name: name for name in names},
        texts={},
        arguments={"PYTHON_IMAGE": python_image},
    )


def task_image(tree: Tree, task: Task, base: Image) -> Image:
    """Describe a task's image on a base.

    Args:
        tree: The tree's state.
        task: The task.
        base: What it builds on.
    """
    return Image(
        repository=f"strata/{task.name}",
        content={
            "format": _FORMAT,
            "base": base.digest,
            "dockerfile": tree.files[task.dockerfile][0],
            "requirements": hashlib.sha256(task.requirements.encode()).hexdigest(),
            "code": {name: tree.files[name] for name in task.files},
        },
        dockerfile=task.dockerfile,
        files={f"code/{name}": name for name in task.files},
        texts={"requirements.txt": task.requirements},
        arguments={"BASE": base.name},
    )
