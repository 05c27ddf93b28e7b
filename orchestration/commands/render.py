"""``./strata render``: write a pipeline as a platform takes it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.command_line import Parser, one_of, say, warn
from common.errors import UserError
from orchestration.atomic_files import write_atomically
from orchestration.branches import EXPERIMENT, WORKFLOW, name_for_branch
from orchestration.chosen_store import open_store
from orchestration.engines.choice import make_engine
from orchestration.environments import provide_environment
from orchestration.images.references import pinned, pinned_image
from orchestration.pipelines.opening import Opened, open_pipeline, pipeline_parser
from orchestration.platforms.launcher_image import launcher_task
from orchestration.platforms.nodes import Node, nodes_of
from orchestration.platforms.sealing import seal
from orchestration.stages import Stage, add_stage, load_stage
from orchestration.tasks import find_tasks
from orchestration.workspaces import provide_workspace

PLATFORMS = ("argo", "azureml")
_DETACHED = "detached"


@dataclass(frozen=True)
class _Sealed:
    """A pipeline whose plan is in the store.

    Attributes:
        opened: The pipeline.
        stage: Whose values count.
        branch: What it is named after.
        plan: The plan's reference.
        commit: The commit that it was made from.
        nodes: What a platform starts.
        registry: Where its images are.
        image: The task's image by digest.
    """

    opened: Opened
    stage: Stage
    branch: str
    plan: str
    commit: str
    nodes: tuple[Node, ...]
    registry: str
    image: str

    @property
    def images(self) -> dict[str, str]:
        return dict.fromkeys(self.opened.pipeline.steps, self.image)


def main(arguments: Sequence[str]) -> None:
    """Store the plan, and write what a platform starts.

    Raises:
        UserError: The request is wrong, or an image is not in the registry.
        RunError: The store or the registry cannot be reached.
    """
    args = _parser().parse_args(arguments)
    if args.schedule is not None and args.platform != "argo":
        raise UserError("--schedule is for --for argo")
    if args.platform == "azureml" and args.output is None:
        raise UserError("--for azureml needs --output FOLDER, for the launcher as well")
    if args.platform == "azureml" and os.path.lexists(args.output):
        raise UserError(f"{args.output} is there already; nothing was written")
    opened = open_pipeline(args)
    stage = load_stage(opened.checkout.root, args.stage)
    if args.store is None and stage.values.store is not None:
        opened = opened.with_store(open_store(stage.values.store))
    if "://" not in opened.store.address:
        raise UserError(
            f"the store {opened.store.address} is a folder, which no container on a "
            f"platform reaches; name another in {stage.file} (store), or with --store"
        )
    sealed = _seal(opened, stage, args.image, args.without_cached)
    if not sealed.nodes:
        warn("all steps are in the store: there is nothing to start")
        return
    if args.platform == "argo":
        text = _argo(sealed, args.schedule)
        if args.output is None:
            say(text.rstrip())
        else:
            write_atomically(args.output, text.encode())
            say(str(args.output))
        return
    _write_azureml(sealed, args.output)
    say(str(args.output / "pipeline.yaml"))


def _seal(
    opened: Opened, stage: Stage, image: str | None, without_cached: bool
) -> _Sealed:
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
    engine = make_engine("docker", opened, checkout.cache, warn)
    platform = engine.platform()
    cached = set()
    if without_cached:
        plans = opened.planner(platform).plan()
        cached = {plan.name for plan in plans if plan.state == "cached"}
    plan = seal(opened, platform)
    return _Sealed(
        opened,
        stage,
        checkout.branch() or _DETACHED,
        opened.store.add_text(plan.to_json()),
        plan.commit,
        tuple(nodes_of(opened.pipeline, cached)),
        str(registry),
        image,
    )


def _argo(sealed: _Sealed, schedule: str | None) -> str:
    # Only now: its models take seconds.
    from orchestration.platforms.argo import ArgoSettings, Secret, render_workflow

    opened, argo = sealed.opened, sealed.stage.values.argo
    launcher = pinned_image(
        opened.checkout,
        opened.tree,
        launcher_task(opened.checkout, opened.tree),
        sealed.registry,
    )
    name = name_for_branch(WORKFLOW, opened.name, sealed.branch)
    settings = ArgoSettings(
        images=sealed.images,
        launcher=launcher,
        store=opened.store.address,
        plan=sealed.plan,
        namespace=argo.namespace,
        service_account=argo.service_account,
        variables=argo.variables,
        secrets={n: Secret(one.name, one.key) for n, one in argo.secrets.items()},
        labels={"strata/pipeline": opened.name.replace("/", ".")[-63:].lstrip("._-")},
        annotations={
            "strata/branch": sealed.branch,
            "strata/commit": sealed.commit,
            "strata/stage": sealed.stage.name,
        },
    )
    return render_workflow(name, sealed.nodes, settings, schedule)


def _write_azureml(sealed: _Sealed, folder: Path) -> None:
    """Write pipeline.yaml and the launcher to a folder, whole or not at all."""
    from orchestration.platforms.azureml import (
        LAUNCHER_FOLDER,
        AzureSettings,
        render_pipeline_job,
    )

    opened, azure = sealed.opened, sealed.stage.values.azure
    settings = AzureSettings(
        images=sealed.images,
        store=opened.store.address,
        plan=sealed.plan,
        cpu=azure.compute.get("cpu", "cpu"),
        gpu=azure.compute.get("gpu"),
        experiment=name_for_branch(EXPERIMENT, opened.name, sealed.branch),
        variables=azure.variables,
        tags={
            "branch": sealed.branch,
            "commit": sealed.commit,
            "pipeline": opened.name,
            "stage": sealed.stage.name,
        },
    )
    text = render_pipeline_job(opened.name, sealed.nodes, settings)
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


def _parser() -> Parser:
    parser = pipeline_parser(
        "strata render",
        "Write a pipeline as a platform takes it: an Argo workflow, or a pipeline job "
        "of Azure Machine Learning. Its plan, its code and what it reads from outside "
        "are stored, so that its containers need nothing else.",
        "./strata render digit_recognition --for argo --store s3://models/strata",
    )
    parser.add_argument(
        "--for",
        dest="platform",
        required=True,
        type=one_of(*PLATFORMS),
        metavar="{argo,azureml}",
        help="the platform",
    )
    add_stage(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="the file, or for azureml the folder, that it becomes; for argo printed "
        "if left out",
    )
    parser.add_argument(
        "--image",
        type=pinned,
        metavar="NAME@sha256:DIGEST",
        help="run in this image, not in the one that the task's files make",
    )
    parser.add_argument(
        "--schedule",
        metavar="CRON",
        help='for argo: start it again and again, such as "0 3 * * 1"',
    )
    parser.add_argument(
        "--without-cached",
        action="store_true",
        help="leave out the steps whose results are in the store",
    )
    return parser
