"""A pipeline as a platform takes it, with all that its containers need in the store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from common.command_line import warn
from common.errors import UserError
from orchestration.branches import (
    EXPERIMENT,
    WORKFLOW,
    WORKFLOW_OF_RUN,
    name_for_branch,
)
from orchestration.chosen_store import open_store
from orchestration.delivery import folders
from orchestration.environments import provide_environment
from orchestration.images.references import pinned_image
from orchestration.pipelines.keys import Platform
from orchestration.pipelines.opening import Opened
from orchestration.platforms.launcher_image import launcher_task
from orchestration.platforms.nodes import Node, nodes_of
from orchestration.platforms.sealed_plan import SealedPlan
from orchestration.platforms.sealing import seal
from orchestration.stages import Stage
from orchestration.tasks import find_tasks
from orchestration.workspaces import provide_workspace

_DETACHED = "detached"


@dataclass(frozen=True)
class Prepared:
    """A pipeline whose plan is in the store.

    Attributes:
        opened: The pipeline.
        stage: Whose values count.
        branch: What it is named after.
        plan: The plan.
        reference: The plan's reference in the store.
        nodes: What a platform starts.
        registry: Where its images are.
        image: The task's image by digest.
        run: The run that it is; None if it is only written down.
        keep_going: After a failure, go on with what does not depend on it.
    """

    opened: Opened
    stage: Stage
    branch: str
    plan: SealedPlan
    reference: str
    nodes: tuple[Node, ...]
    registry: str
    image: str
    run: str | None
    keep_going: bool

    @property
    def images(self) -> dict[str, str]:
        """The image of each step."""
        return dict.fromkeys(self.opened.pipeline.steps, self.image)


def with_stage_store(opened: Opened, stage: Stage, given: str | None) -> Opened:
    """Take the stage's store unless another is given.

    Raises:
        UserError: It, or a place that results go to, is none that a container reaches.
    """
    for address in folders(opened.pipeline):
        raise UserError(
            f"{opened.name} delivers to {address}, a folder, which no container on a "
            "platform reaches; deliver to s3://, az:// or gs://"
        )
    if given is None and stage.values.store is not None:
        opened = opened.with_store(open_store(stage.values.store))
    if "://" not in opened.store.address:
        raise UserError(
            f"the store {opened.store.address} is a folder, which no container on a "
            f"platform reaches; name another in {stage.file} (store), or with --store"
        )
    return opened


def prepare(
    opened: Opened,
    stage: Stage,
    platform: Platform,
    image: str | None,
    without: Collection[str] = (),
    run: str | None = None,
    keep_going: bool = False,
) -> Prepared:
    """Store the plan, the code of its steps, and what they read from outside.

    Args:
        opened: The pipeline, with a store that containers reach.
        stage: Whose values count.
        platform: What the steps run on.
        image: An image by its digest; None takes the task's own.
        without: Steps that are left out.
        run: The run that it is to be.
        keep_going: After a failure, go on with what does not depend on it.

    Raises:
        UserError: The stage lacks a value, or an image is not in the registry.
        RunError: The store or the registry cannot be reached.
    """
    registry = stage.values.registry or os.environ.get("STRATA_REGISTRY")
    if registry is None:
        stage.require("registry")
    checkout, tree = opened.checkout, opened.tree
    tasks = find_tasks(checkout.root, tree)
    if opened.name not in tasks:
        raise UserError(
            f"{opened.name} has no image: its BUILD file has no task_image()"
        )
    if image is None:
        image = pinned_image(checkout, tree, tasks[opened.name], str(registry))
    plan = seal(opened, platform)
    return Prepared(
        opened,
        stage,
        checkout.branch() or _DETACHED,
        plan,
        opened.store.add_text(plan.to_json()),
        tuple(nodes_of(opened.pipeline, without)),
        str(registry),
        image,
        run,
        keep_going,
    )


def workflow_prefix(prepared: Prepared) -> str:
    """Give how the name of an Argo workflow begins."""
    rule = WORKFLOW_OF_RUN if prepared.run else WORKFLOW
    return name_for_branch(rule, prepared.opened.name, prepared.branch)


def write_workflow(prepared: Prepared, schedule: str | None = None) -> str:
    """Write an Argo workflow, or with a schedule a CronWorkflow.

    Raises:
        UserError: Argo cannot do what a step asks for, or an image is missing.
        RunError: The registry cannot be reached.
    """
    # Only now: its models take seconds.
    from orchestration.platforms.argo import ArgoSettings, Secret, render_workflow

    opened, argo = prepared.opened, prepared.stage.values.argo
    launcher = pinned_image(
        opened.checkout,
        opened.tree,
        launcher_task(opened.checkout, opened.tree),
        prepared.registry,
    )
    labels = {"strata/pipeline": opened.name.replace("/", ".")[-63:].lstrip("._-")}
    if prepared.run is not None:
        labels["strata/run"] = prepared.run
    settings = ArgoSettings(
        images=prepared.images,
        launcher=launcher,
        store=opened.store.address,
        plan=prepared.reference,
        namespace=argo.namespace,
        service_account=argo.service_account,
        variables=argo.variables,
        secrets={n: Secret(one.name, one.key) for n, one in argo.secrets.items()},
        labels=labels,
        annotations={
            "strata/branch": prepared.branch,
            "strata/commit": prepared.plan.commit,
            "strata/stage": prepared.stage.name,
        },
        run=prepared.run,
        keep_going=prepared.keep_going,
    )
    return render_workflow(
        workflow_prefix(prepared), prepared.nodes, settings, schedule
    )


def write_pipeline_job(prepared: Prepared, folder: Path) -> Path:
    """Write a pipeline job of Azure ML and the launcher to a folder, whole or not.

    Args:
        prepared: The pipeline.
        folder: What is made; it must not be there.

    Returns:
        The pipeline job's file in it.

    Raises:
        UserError: The service cannot do what a step asks for.
        RunError: The launcher's packages cannot be had.
    """
    from orchestration.platforms.azureml import (
        LAUNCHER_FOLDER,
        AzureSettings,
        render_pipeline_job,
    )

    opened, azure = prepared.opened, prepared.stage.values.azure
    tags = {
        "branch": prepared.branch,
        "commit": prepared.plan.commit,
        "pipeline": opened.name,
        "stage": prepared.stage.name,
    }
    if prepared.run is not None:
        tags["run"] = prepared.run
    settings = AzureSettings(
        images=prepared.images,
        store=opened.store.address,
        plan=prepared.reference,
        cpu=azure.compute.get("cpu", "cpu"),
        gpu=azure.compute.get("gpu"),
        experiment=name_for_branch(EXPERIMENT, opened.name, prepared.branch),
        variables=azure.variables,
        tags=tags,
        run=prepared.run,
        keep_going=prepared.keep_going,
    )
    text = render_pipeline_job(opened.name, prepared.nodes, settings)
    launcher = launcher_task(opened.checkout, opened.tree)
    code = provide_workspace(opened.checkout, opened.tree, launcher.files, {})
    environment = provide_environment(
        opened.checkout.cache, launcher.requirements, warn
    )
    (packages,) = environment.glob("lib/python3.*/site-packages")
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(code, new / LAUNCHER_FOLDER / "code", ignore=ignored)
        shutil.copytree(packages, new / LAUNCHER_FOLDER / "packages", ignore=ignored)
        (new / "pipeline.yaml").write_text(text)
        new.rename(folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return folder / "pipeline.yaml"
