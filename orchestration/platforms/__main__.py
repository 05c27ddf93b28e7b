"""Run one step of a plan in a container, or find it in the store.

    python -m orchestration.platforms --store s3://bucket/store --plan file:SHA256 \\
        --step train [--shard 1/4]

What is left of its arguments is in the store: the plan, the results of earlier steps,
the code, the inputs. So no platform has to hand anything from step to step.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common.command_line import Parser, positive_int, run, say
from common.errors import RunError, UserError
from orchestration.delivery import deliver
from orchestration.names import nearest
from orchestration.pipelines.planning import Outputs, Planner
from orchestration.platforms.container import ContainerEngine
from orchestration.platforms.notes import NoteWriter
from orchestration.platforms.sealed_plan import SealedPlan
from orchestration.running import PipelineRun, Shard
from orchestration.step_end import StepEnd
from orchestration.store.store import Store

_DONE = "done.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a step.

    Raises:
        UserError: There is no such plan or step.
        RunError: The step failed, or an earlier one has no results.
    """
    args = _parser().parse_args(arguments)
    store = Store.open(args.store)
    for folder in args.after:
        if not (folder / _DONE).is_file():
            raise RunError(f"{folder} has no {_DONE}: an earlier step is not done")
    plan = SealedPlan.from_json(store.text(args.plan))
    steps = plan.pipeline.steps
    if args.step not in steps:
        raise UserError(
            f"the plan has no step {args.step}{nearest(args.step, list(steps))}"
        )
    if args.shard is not None and steps[args.step].map is None:
        raise UserError(f"{args.step} has no items to share; leave --shard out")
    planner = Planner(
        plan.task, plan.pipeline, plan, plan.reader(store), store, plan.platform
    )
    with tempfile.TemporaryDirectory(prefix="strata-", dir=args.scratch) as scratch:
        folder = Path(scratch)
        end = PipelineRun(
            planner,
            ContainerEngine(plan, store, folder, args.environment),
            store,
            folder,
            folder / "memory",
            args.jobs,
            keep_going=args.shard is not None,
            selected={args.step},
            known=_earlier(planner, args.step),
            provenance={"run": args.run, "commit": plan.commit, "user": args.user},
            watcher=_Lines(
                NoteWriter(store, args.run, args.shard) if args.run else None
            ),
            cached={},
            shard=args.shard,
        ).execute()[args.step]
    if end.state not in ("cached", "done", "shared"):
        raise RunError(f"{args.step}: {end.message or end.state}")
    if args.shard is None:
        deliver(plan.pipeline, {args.step: end.outputs}, store, Path.cwd(), say)
    if args.done is not None:
        args.done.mkdir(parents=True, exist_ok=True)
        said = {"step": args.step, "state": end.state}
        (args.done / _DONE).write_text(json.dumps(said) + "\n")


class _Lines:
    """Says how it goes, a line for each event, for the platform's log.

    Args:
        notes: Takes the same for who follows the run; None if nobody can.
    """

    def __init__(self, notes: NoteWriter | None) -> None:
        self._notes = notes

    def started(self, step: str, reason: str, items: int | None) -> None:
        """Say why it runs."""
        say(f"{step}: {reason}")
        if self._notes is not None:
            self._notes.started(step, reason, items)

    def advanced(self, step: str, done: int, items: int | None) -> None:
        """Pass it on; in the log the end comes soon enough."""
        if self._notes is not None:
            self._notes.advanced(step, done, items)

    def ended(self, step: str, end: StepEnd) -> None:
        """Say how it ended."""
        ran = f", {end.ran:,} items" if end.items is not None else ""
        say(f"{step}: {end.state}{ran} ({end.seconds:.1f} s)")
        if end.state == "failed":
            say(end.message)
        if self._notes is not None:
            self._notes.ended(step, end)


def _earlier(planner: Planner, step: str) -> dict[str, Outputs]:
    """Find the results of the steps that a step reads from, over any others."""
    known: dict[str, Outputs] = {}
    for plan in planner.plan(only=planner.above(step) - {step}):
        if plan.state != "cached":
            raise RunError(f"{plan.name} has no result in the store: {plan.reason}")
        known[plan.name] = plan.outputs
    return known


def _shard(text: str) -> Shard:
    found = re.fullmatch(r"([1-9][0-9]*)/([1-9][0-9]*)", text)
    if found is None or int(found[1]) > int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N, such as 1/4")
    return Shard(int(found[1]), int(found[2]))


def _parser() -> Parser:
    parser = Parser(
        "strata step",
        "Run one step of a plan, with all that it needs taken from the store.",
        "python -m orchestration.platforms --store s3://models/strata "
        "--plan file:0a1b... --step train",
    )
    parser.add_argument("--store", required=True, metavar="ADDRESS", help="the store")
    parser.add_argument(
        "--plan", required=True, metavar="REFERENCE", help="the plan in the store"
    )
    parser.add_argument("--step", required=True, metavar="NAME", help="the step")
    parser.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="of the step's items only each N-th from the I-th; the step itself joins",
    )
    parser.add_argument(
        "--environment",
        type=Path,
        default=Path("/opt/environment"),
        metavar="FOLDER",
        help="the virtual environment with the task's packages",
    )
    parser.add_argument(
        "--scratch", type=Path, metavar="FOLDER", help="where there is room to work"
    )
    parser.add_argument(
        "--jobs",
        type=positive_int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="how many items run side by side",
    )
    parser.add_argument(
        "--done",
        type=Path,
        metavar="FOLDER",
        help="takes a file at the end, for platforms that order by what is handed on",
    )
    parser.add_argument(
        "--after",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="what --done took of an earlier step; any number of times",
    )
    for flag, text in (("--run", "the run's name"), ("--user", "who started it")):
        parser.add_argument(
            flag, default="", metavar="NAME", help=f"{text}, for the record"
        )
    return parser


if __name__ == "__main__":
    sys.exit(run("strata step", main))
