"""A task's job as it is submitted: what its file leaves open is filled in.

That is the code (the task's closure and nothing else), the image by its digest, the
experiment of the branch, the stage's compute, and tags that say what it was made from.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration.azure.documents import AzureFile, read_azure_file, with_settings
from orchestration.azure.job_files import check_job
from orchestration.branches import EXPERIMENT, name_for_branch
from orchestration.checkout import Checkout
from orchestration.pipelines.keys import key_of
from orchestration.runs import new_run_id, user_name
from orchestration.stages import Stage
from orchestration.target_graph import Tree
from orchestration.tasks import Task
from orchestration.workspaces import provide_workspace

DETACHED = "detached"
_REFERENCE = "azureml:"
_FORMAT = "job/1"


@dataclass(frozen=True)
class Choices:
    """What whoever submits has chosen.

    Attributes:
        settings: ``PATH=VALUE`` each; what they name stays as they say.
        image: An image by its digest; None takes the task's own.
        branch: Another branch than the one that is checked out.
        name: The job's name; None makes a fresh one.
        is_offline: Name the image by its tag, without asking the registry.
    """

    settings: Sequence[str] = ()
    image: str | None = None
    branch: str | None = None
    name: str | None = None
    is_offline: bool = False

    @property
    def named(self) -> frozenset[str]:
        """The keys that the settings name."""
        return frozenset(setting.partition("=")[0] for setting in self.settings)


@dataclass(frozen=True)
class TaskJob:
    """A job, ready to be submitted.

    Attributes:
        file: Where it comes from.
        data: All that it says.
        image: The image that it runs in; None if it names environments instead.
    """

    file: AzureFile
    data: dict[str, Any]
    image: str | None


def compose_job(
    checkout: Checkout,
    tree: Tree,
    stage: Stage,
    task: Task,
    path: Path,
    choices: Choices,
) -> TaskJob:
    """Fill in a job: a command, or a pipeline whose commands are the task's.

    Args:
        checkout: The checkout.
        tree: Its state.
        stage: Where the job is to go.
        task: The task whose job it is.
        path: The job's file.
        choices: What has been chosen otherwise.

    Raises:
        UserError: The file or a choice is wrong, or the image is not in the registry.
        RunError: The registry does not answer.
    """
    file = read_azure_file(path, name_in(checkout.root, path))
    data = with_settings(file, choices.settings)
    image = fill_commands(checkout, tree, stage, task, file, data, choices)
    branch = choices.branch or checkout.branch() or DETACHED
    if "experiment_name" not in choices.named:
        data["experiment_name"] = name_for_branch(EXPERIMENT, task.name, branch)
    add_tags(checkout, tree, stage, task, file, data, branch)
    if "commit" in data["tags"]:
        tags = data["tags"]
        source = git_properties(tags["branch"], tags["commit"], tags["changed"])
        data["properties"] = {**source, **_mapping(data)}
    run_id = new_run_id(datetime.now(UTC))
    fresh = f"{task.name.replace('/', '-')}-{run_id}".lower()
    return TaskJob(file, {**data, "name": choices.name or fresh}, image)


def fill_commands(
    checkout: Checkout,
    tree: Tree,
    stage: Stage,
    task: Task,
    file: AzureFile,
    data: dict[str, Any],
    choices: Choices,
) -> str | None:
    """Put code, image and compute into a job's commands, or a pipeline component's.

    Args:
        checkout: The checkout.
        tree: Its state.
        stage: Where the commands are to run.
        task: The task whose commands they are.
        file: Where they come from.
        data: What it says, with settings applied; it is changed.
        choices: What has been chosen otherwise.

    Returns:
        The image; None if they name environments instead.

    Raises:
        UserError: The file is wrong, or the image is not in the registry.
        RunError: The registry does not answer.
    """
    image = choices.image
    commands = check_job(file, data, checkout.root, task.files)
    for where, (command, code) in commands.items():
        if code is not None:
            folder = provide_workspace(checkout, tree, task.files, {})
            command["code"] = str(folder / code)
        if f"{where}environment" not in choices.named:
            image = image or image_of(checkout, tree, stage, task, choices.is_offline)
            command["environment"] = {"image": image}
        named = command.get("compute")
        if f"{where}compute" not in choices.named and isinstance(named, str):
            command["compute"] = f"{_REFERENCE}{compute_of(stage, named)}"
    return image


def compute_of(stage: Stage, named: str) -> str:
    """Give what a stage calls the compute that a file names."""
    name = named.removeprefix(_REFERENCE)
    return stage.values.azure.compute.get(name, name)


def name_in(root: Path, path: Path) -> str:
    """Call a file by its place in the tree, or by its path if it lies elsewhere."""
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _mapping(data: dict[str, Any]) -> dict[str, Any]:
    given = data.get("properties")
    return given if isinstance(given, dict) else {}


def git_properties(branch: str, commit: str, changed: str) -> dict[str, str]:
    """Give what the studio shows as a job's source.

    Otherwise azure-ai-ml asks git in whatever folder the command was typed, and sends
    the remote's address as well, which may have a password in it.

    Args:
        branch: The branch.
        commit: The commit.
        changed: Whether files were changed since, as ``true`` or ``false``.
    """
    return {
        "mlflow.source.git.branch": branch,
        "mlflow.source.git.commit": commit,
        "azureml.git.dirty": changed.capitalize(),
    }


def add_tags(
    checkout: Checkout,
    tree: Tree,
    stage: Stage,
    task: Task,
    file: AzureFile,
    data: dict[str, Any],
    branch: str,
) -> dict[str, str]:
    """Say in the tags what a job, or the like, is made from, where and by whom.

    Args:
        checkout: The checkout.
        tree: Its state.
        stage: Where it goes.
        task: The task whose it is.
        file: Where it comes from.
        data: What it says; the tags are put beside its own.
        branch: The branch.

    Returns:
        The tags that were put there; ``closure`` stands for all of the task's files
        and packages.
    """
    kept = data.get("tags")
    closure = {
        "format": _FORMAT,
        "code": {name: list(tree.files[name]) for name in task.files},
        "requirements": hashlib.sha256(task.requirements.encode()).hexdigest(),
    }
    tags = {"task": task.name, "branch": branch, "closure": key_of(closure)}
    commit = checkout.commit()
    if commit is not None:
        tags["commit"] = commit
        made_from = [*task.files, *([file.name] if file.name in tree.files else [])]
        changed = checkout.has_changes(made_from)
        tags["changed"] = "true" if changed else "false"
    tags |= {"who": user_name(), "stage": stage.name}
    data["tags"] = {**(kept if isinstance(kept, dict) else {}), **tags}
    return tags


def image_of(
    checkout: Checkout, tree: Tree, stage: Stage, task: Task, is_offline: bool
) -> str:
    """Name the task's image by its digest, or offline by its tag.

    Raises:
        UserError: The stage names no registry, or that has no such image.
        RunError: The registry does not answer.
    """
    from orchestration.images.references import describe_image, pinned_image

    address = stage.values.registry or os.environ.get("STRATA_REGISTRY")
    if is_offline:
        name = describe_image(checkout, tree, task).name
        return f"{address}/{name}" if address else name
    if not address:
        (address,) = stage.require("registry")
    return pinned_image(checkout, tree, task, address)
