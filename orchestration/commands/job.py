"""``./strata job``: submit a task's job to Azure Machine Learning."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import Parser, say, warn
from common.errors import UserError
from orchestration.azure.connection import connect
from orchestration.azure.documents import dump, load
from orchestration.azure.job_files import DEFAULT_FILE
from orchestration.azure.task_jobs import Choices, TaskJob, compose_job
from orchestration.checkout import Checkout
from orchestration.images.pinned import pinned
from orchestration.stages import add_stage, load_stage
from orchestration.target_graph import read_tree
from orchestration.tasks import choose_tasks, find_tasks

if TYPE_CHECKING:
    from orchestration.azure.jobs import Submitted

# What azure-ai-ml leaves of a job's name as it is: it makes capitals small.
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,254}")


def main(arguments: Sequence[str]) -> None:
    """Submit a job, or show what would be submitted.

    Raises:
        UserError: The request is wrong, or Azure refuses it.
        RunError: The job, Azure, or the way to it failed.
    """
    args = _parser().parse_args(arguments)
    _check_flags(args)
    checkout = Checkout.of_this_code()
    tree = read_tree(checkout)
    (task,) = choose_tasks(find_tasks(checkout.root, tree), [args.task])
    stage = load_stage(checkout.root, args.stage)
    path = Path(args.file or checkout.root / task.folder / DEFAULT_FILE).absolute()
    choices = Choices(args.set, args.image, args.branch, args.name, args.dry_run)
    job = compose_job(checkout, tree, stage, task, path, choices)

    # Only now: Azure's packages take seconds.
    from azure.ai.ml import load_job

    load(load_job, job.file, job.data)
    if args.dry_run:
        if job.image and "@" not in job.image:
            warn("the image is named by its tag here, and by its digest when submitted")
        say(json.dumps(job.data, indent=2) if args.json else dump(job.data).rstrip())
        return
    from orchestration.azure import jobs

    client = connect(stage)
    name = str(job.data["name"])
    submitted = jobs.find_job(client, name) if args.name else None
    if submitted is None:
        try:
            submitted = jobs.submit(client, job.file, job.data)
        except UserError:
            raise
        except BaseException:
            again = _again(arguments, args, name)
            warn(f"job {name} may have been submitted; to make sure: {again}")
            raise
    _tell(submitted, job, args.json)
    if args.wait:
        output = sys.stderr if args.json else sys.stdout
        try:
            submitted = jobs.wait(client, name, output)
        except BaseException as interruption:
            if not isinstance(interruption, Exception):
                if args.cancel_on_interrupt:
                    warn(f"cancelling job {name} ...")
                    jobs.cancel(client, name)
                    warn(f"job {name} is cancelled")
                else:
                    again = _again(arguments, args, name)
                    warn(f"job {name} goes on; to wait again: {again}")
            raise
        if not args.json:
            say(f"job {name}: {submitted.status}")
    if args.json:
        say(json.dumps(_as_json(submitted, job), indent=2))


def _check_flags(args: argparse.Namespace) -> None:
    if args.name is not None and not _NAME.fullmatch(args.name):
        raise UserError(
            f"--name {args.name}: takes small letters, digits, _ and -, "
            "and begins with a letter"
        )
    if args.cancel_on_interrupt and not args.wait:
        raise UserError("--cancel-on-interrupt is for --wait")
    for setting in args.set:
        key = setting.partition("=")[0]
        if key in ("code", "name", "type"):
            other = {"name": "; --name sets it"}.get(key, "")
            raise UserError(f"--set {key}: that cannot be set{other}")


def _again(arguments: Sequence[str], args: argparse.Namespace, name: str) -> str:
    """Spell the same command for the same job."""
    named = () if args.name else ("--name", name)
    return shlex.join(["./strata", "job", *arguments, *named])


def _tell(submitted: Submitted, job: TaskJob, as_json: bool) -> None:
    write = warn if as_json else say
    state = (
        submitted.status if submitted.is_new else f"there already, {submitted.status}"
    )
    write(f"job {submitted.name}: {state}")
    if submitted.studio:
        write(f"  studio      {submitted.studio}")
    write(f"  experiment  {job.data['experiment_name']}")
    if job.image:
        write(f"  image       {job.image}")


def _as_json(submitted: Submitted, job: TaskJob) -> dict[str, Any]:
    return {
        "name": submitted.name,
        "status": submitted.status,
        "studio": submitted.studio,
        "new": submitted.is_new,
        "experiment": job.data["experiment_name"],
        "image": job.image,
        "tags": job.data["tags"],
    }


def _parser() -> Parser:
    parser = Parser(
        "strata job",
        "Submit a task's job to Azure Machine Learning: its code, its image by digest, "
        "an experiment named after the branch, and the stage's workspace and compute.",
        "./strata job digit_recognition --set inputs.epochs=1 --dry-run",
    )
    parser.add_argument(
        "task", metavar="TASK", help="a task, such as digit_recognition"
    )
    parser.add_argument(
        "--file",
        metavar="FILE",
        help=f"the job; {DEFAULT_FILE} in the task's folder if left out",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="a key of the file with another value; any number of times",
    )
    add_stage(parser)
    parser.add_argument(
        "--image",
        type=pinned,
        metavar="NAME@sha256:DIGEST",
        help="run in this image, not in the one that the task's files make",
    )
    parser.add_argument(
        "--branch",
        metavar="NAME",
        help="name the experiment after this branch, not the one that is checked out",
    )
    parser.add_argument(
        "--name",
        metavar="NAME",
        help="the job's name; a job that is there under it is not submitted again",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the job and submit nothing; needs no network",
    )
    parser.add_argument(
        "--wait", action="store_true", help="show what it logs until it ends"
    )
    parser.add_argument(
        "--cancel-on-interrupt",
        action="store_true",
        help="with --wait: Ctrl-C cancels the job; otherwise it goes on",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
