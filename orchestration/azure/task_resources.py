"""What a task's resources leave open, filled in as in its jobs.

A resource is a task's if its file lies in the task's folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.azure.documents import AzureFile, read_azure_file, with_settings
from orchestration.azure.resources import COMPONENT, ENVIRONMENT, SCHEDULE, Kind
from orchestration.azure.task_jobs import (
    DETACHED,
    Choices,
    add_tags,
    compose_job,
    compute_of,
    fill_commands,
    image_of,
    name_in,
)
from orchestration.checkout import Checkout
from orchestration.pipelines.keys import key_of
from orchestration.stages import Stage
from orchestration.target_graph import Tree, read_tree
from orchestration.tasks import DOMAINS, Task, find_tasks

_FORMAT = "component/1"
# Of a digest: a version that stands for what it is of, so that what has not changed is
# not registered again.
_VERSION_LENGTH = 16


@dataclass(frozen=True)
class Part:
    """What else a resource needs: a schedule its job, a deployment its component.

    Attributes:
        file: Where it comes from.
        data: All that it says.
    """

    file: AzureFile
    data: dict[str, Any]


def fill(
    checkout: Checkout,
    stage: Stage,
    kind: Kind,
    file: AzureFile,
    data: dict[str, Any],
    choices: Choices,
) -> Part | None:
    """Put into a resource what its file leaves open, unless a setting has named it.

    Args:
        checkout: The checkout.
        stage: Where it is to be.
        kind: What it is.
        file: Its file.
        data: What that says, with settings applied; it is changed.
        choices: What has been chosen otherwise.

    Returns:
        What else it needs, if it names a file of that.

    Raises:
        UserError: A file is wrong, or the image is not in the registry.
        RunError: The registry does not answer.
    """
    settings = data.get("settings")
    if isinstance(settings, dict) and "settings.default_compute" not in choices.named:
        named = settings.get("default_compute")
        if isinstance(named, str):
            settings["default_compute"] = compute_of(stage, named)
    part = data.get(kind.part) if kind.part else None
    if not isinstance(part, str) or part.startswith("azureml:"):
        _fill_own(checkout, stage, kind, file, data, choices)
        return None
    # What was chosen is the resource's, and not its part's.
    others = Choices(is_offline=choices.is_offline)
    path = (file.path.parent / part).resolve()
    if kind == SCHEDULE:
        owner = _owner(checkout, path)
        if owner is None:
            return None
        job = compose_job(checkout, owner[0], stage, owner[1], path, others)
        # Each job that the schedule starts gets a name of its own.
        unnamed = {key: value for key, value in job.data.items() if key != "name"}
        return Part(job.file, unnamed)
    inner = read_azure_file(path, name_in(checkout.root, path))
    filled = with_settings(inner, [])
    _fill_own(checkout, stage, COMPONENT, inner, filled, others)
    return Part(inner, filled)


def _fill_own(
    checkout: Checkout,
    stage: Stage,
    kind: Kind,
    file: AzureFile,
    data: dict[str, Any],
    choices: Choices,
) -> None:
    within = data if kind == ENVIRONMENT else data.get("environment")
    prefix = "" if kind == ENVIRONMENT else "environment."
    has_image = isinstance(within, dict) and "image" in within
    if kind != COMPONENT and (not has_image or f"{prefix}image" in choices.named):
        return
    owner = _owner(checkout, file.path)
    if owner is None:
        return
    tree, task = owner
    if kind == COMPONENT:
        fill_commands(checkout, tree, stage, task, file, data, choices)
        content = _without_places(data)
        branch = checkout.branch() or DETACHED
        tags = add_tags(checkout, tree, stage, task, file, data, branch)
        made_from = {
            "format": _FORMAT,
            "closure": tags["closure"],
            "component": content,
        }
        # Offline the image's digest, and with it the version, is not known.
        if not choices.is_offline:
            data.setdefault("version", key_of(made_from)[:_VERSION_LENGTH])
    elif isinstance(within, dict):
        image = image_of(checkout, tree, stage, task, choices.is_offline)
        within["image"] = image
        _, _, digest = image.partition("@sha256:")
        if kind == ENVIRONMENT and digest:
            data.setdefault("version", digest[:_VERSION_LENGTH])


def _without_places(component: dict[str, Any]) -> dict[str, Any]:
    """Leave out where the code lies, which differs from machine to machine."""
    steps = {
        name: {key: value for key, value in step.items() if key != "code"}
        for name, step in component["jobs"].items()
        if isinstance(step, dict)
    }
    return {**component, "jobs": steps}


def _owner(checkout: Checkout, path: Path) -> tuple[Tree, Task] | None:
    """Find the task in whose folder a file lies."""
    if not path.is_relative_to(checkout.root / DOMAINS):
        return None  # without a look at the graph, which may take seconds
    tree = read_tree(checkout)
    tasks = find_tasks(checkout.root, tree).values()
    owners = [one for one in tasks if path.is_relative_to(checkout.root / one.folder)]
    if not owners:
        return None
    return tree, max(owners, key=lambda one: len(one.name))
