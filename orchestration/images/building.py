"""Build images from exactly what their content says, and only what is missing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from orchestration.checkout import Checkout
from orchestration.images.content import (
    Image,
    base_image,
    default_python_image,
    task_image,
)
from orchestration.images.engine import Engine
from orchestration.target_graph import Tree
from orchestration.tasks import Task
from orchestration.workspaces import copy_files

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Builder:
    """Builds the images of one state of the tree.

    Attributes:
        checkout: Where the files are.
        tree: Their state.
        engine: What builds.
        base: The image that all others build on.
    """

    checkout: Checkout
    tree: Tree
    engine: Engine
    base: Image

    def image(self, task: Task) -> Image:
        """Describe a task's image."""
        return task_image(self.tree, task, self.base)

    def build(self, task: Task, tell: Tell) -> None:
        """Build a task's image, and the base if the engine lacks it.

        Raises:
            UserError: A file changed meanwhile, or there is no docker command.
            RunError: A step of the build failed.
        """
        self.build_base(tell)
        self._build(self.image(task), self._labels(task), tell)

    def build_base(self, tell: Tell) -> None:
        """Build the base if the engine lacks it; raises what :meth:`build` does."""
        if not self.engine.has(self.base.name):
            self._build(self.base, {}, tell)

    def _labels(self, task: Task) -> dict[str, str]:
        """Give annotations by the names of the OCI image specification 1.1."""
        image = self.image(task)
        labels = {
            "org.opencontainers.image.title": task.name,
            "org.opencontainers.image.version": image.digest,
            "org.opencontainers.image.base.name": self.base.arguments["PYTHON_IMAGE"],
        }
        # Named only where it is what the image was made from.
        commit = self.checkout.commit()
        if commit is not None and not self.checkout.has_changes(self.made_from(task)):
            labels["org.opencontainers.image.revision"] = commit
        return labels

    def made_from(self, task: Task) -> list[str]:
        """Give every file of the tree that an image is made from."""
        images = (self.base, self.image(task))
        names = {name for image in images for name in image.files.values()}
        return sorted(names | {image.dockerfile for image in images})

    def _build(self, image: Image, labels: Mapping[str, str], tell: Tell) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            context = Path(scratch)
            copy_files(self.checkout.root, self.tree, [image.dockerfile], context)
            for place, name in image.files.items():
                prefix = context / place.removesuffix(name)
                copy_files(self.checkout.root, self.tree, [name], prefix)
            for place, text in image.texts.items():
                (context / place).write_text(text)
                (context / place).chmod(0o644)
            # What a person's umask takes away would be missing in the image.
            for path in (context, *context.rglob("*")):
                if path.is_dir():
                    path.chmod(0o755)
            self.engine.build(
                context,
                image.dockerfile,
                image.name,
                dict(image.arguments),
                dict(labels),
                tell,
            )


def prepare_builder(
    checkout: Checkout, tree: Tree, engine: Engine, python_image: str | None
) -> Builder:
    """Settle what images build on.

    Args:
        checkout: Where the files are.
        tree: Their state.
        engine: What builds.
        python_image: Another Python image than docker/base names.

    Raises:
        UserError: The Python image is neither here nor to be had.
    """
    name = python_image or default_python_image(checkout.root, tree)
    _, _, identity = name.partition("@")
    if not identity:
        found = engine.identity(name)
        if found is None and engine.pull(name):
            found = engine.identity(name)
        if found is None:
            raise UserError(
                f"the Python image {name} is neither here nor to be had; name another "
                "with STRATA_PYTHON_IMAGE, or make one with docker/offline-base"
            )
        identity = found
    return Builder(checkout, tree, engine, base_image(tree, name, identity))
