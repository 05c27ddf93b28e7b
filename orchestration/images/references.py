"""Images by their digest in a registry, as specifications name them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from common.errors import UserError
from orchestration.checkout import Checkout
from orchestration.images.content import (
    base_image,
    default_python_image,
    task_image,
)
from orchestration.target_graph import Tree
from orchestration.tasks import Task

if TYPE_CHECKING:
    from orchestration.images.content import Image


def describe_image(checkout: Checkout, tree: Tree, task: Task) -> Image:
    """Describe a task's image; Docker is asked only if the base has no digest.

    Raises:
        UserError: The base is neither here nor to be had.
    """
    name = os.environ.get("STRATA_PYTHON_IMAGE") or default_python_image(
        checkout.root, tree
    )
    _, _, identity = name.partition("@")
    if identity:
        return task_image(tree, task, base_image(tree, name, identity))
    # Imported where it is needed: most bases have a digest.
    from orchestration.images.building import prepare_builder
    from orchestration.images.engine import Engine

    return prepare_builder(checkout, tree, Engine(), name).image(task)


def pinned_image(checkout: Checkout, tree: Tree, task: Task, address: str) -> str:
    """Name a task's image by the digest that a registry has it under.

    Raises:
        UserError: The registry does not have it.
        RunError: The registry cannot be reached.
    """
    from orchestration.images.registry import Registry

    image = describe_image(checkout, tree, task)
    registry = Registry(address)
    digest = registry.digest(image.repository, image.tag)
    if digest is None:
        raise UserError(
            f"{registry.full_name(image.name)} is not in the registry; "
            f"./strata image {task.name} --push --registry {address}"
        )
    return f"{registry.full_name(image.repository)}@{digest}"
