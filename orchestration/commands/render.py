"""``./strata render``: write a pipeline as a platform takes it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from common.command_line import Parser, one_of, say, warn
from common.errors import UserError
from orchestration.atomic_files import write_atomically
from orchestration.engines.choice import PLATFORMS, make_engine
from orchestration.images.pinned import pinned
from orchestration.pipelines.opening import open_pipeline, pipeline_parser
from orchestration.platforms.rendering import (
    prepare,
    with_stage_store,
    write_pipeline_job,
    write_workflow,
)
from orchestration.stages import add_stage, load_stage


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
    opened = with_stage_store(opened, stage, args.store)
    engine = make_engine("docker", opened, opened.checkout.cache, warn)
    platform, cached = engine.platform(), set[str]()
    if args.without_cached:
        plans = opened.planner(platform).plan()
        cached = {plan.name for plan in plans if plan.state == "cached"}
        # What is delivered is so by the container of its step.
        cached -= {source.step for source in opened.pipeline.deliver.values()}
    prepared = prepare(opened, stage, platform, args.image, cached)
    if not prepared.nodes:
        warn("all steps are in the store: there is nothing to start")
    elif args.platform == "azureml":
        say(str(write_pipeline_job(prepared, args.output)))
    else:
        text = write_workflow(prepared, args.schedule)
        if args.output is None:
            say(text.rstrip())
        else:
            write_atomically(args.output, text.encode())
            say(str(args.output))


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
