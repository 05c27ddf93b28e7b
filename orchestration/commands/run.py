"""``./strata run``: run a pipeline; what has not changed is taken from the store."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from common.command_line import Parser, positive_int, say
from common.errors import RunError, UserError
from orchestration.engines.choice import add_engine, make_engine
from orchestration.engines.engine import Engine
from orchestration.launcher.launch import references
from orchestration.pipelines.flags import check_scripts
from orchestration.pipelines.opening import Opened, open_pipeline, pipeline_parser
from orchestration.pipelines.planning import Outputs, Planner, StepPlan
from orchestration.pipelines.progress import ProgressScreen
from orchestration.run_keeper import RunKeeper
from orchestration.running import PipelineRun, StepEnd
from orchestration.runs import begin_document, new_run_id, run_folder, user_name


def main(arguments: Sequence[str]) -> None:
    """Run a pipeline.

    Raises:
        UserError: The request is wrong.
        RunError: A step failed, or what it needs cannot be had.
    """
    args = _parser().parse_args(arguments)
    opened = open_pipeline(args)
    for step in (*args.only, *args.start, *args.until):
        opened.check_step(step)
    started = datetime.now(UTC)
    run_id = new_run_id(started)
    width = max(map(len, opened.pipeline.steps))
    with (
        run_folder(opened.checkout.cache, run_id) as folder,
        ProgressScreen(width) as screen,
    ):
        engine = make_engine(args.engine, opened, folder, screen.tell)
        planner = opened.planner(engine.platform(), args.force)
        selected = select(planner, args.only, args.start, args.until)
        known = _known(opened, planner, selected, screen.tell)
        plans = list(planner.plan(known, selected))
        _check(opened, plans, engine)
        document = begin_document(
            opened.checkout,
            opened.store,
            run_id,
            pipeline=opened.name,
            profile=args.profile,
            settings=args.set,
            params=dict(opened.pipeline.params),
            engine=engine.name,
            order=planner.order,
            known={name: dict(outputs) for name, outputs in known.items()},
        )
        keeper = RunKeeper(opened.store, opened.name, document)
        run = PipelineRun(
            planner,
            engine,
            opened.store,
            folder,
            opened.checkout.cache / "inputs",
            args.jobs,
            args.keep_going,
            selected,
            known,
            {"run": run_id, "commit": document["commit"] or "", "user": user_name()},
            _Watcher(keeper, screen),
            {plan.name: plan for plan in plans if plan.state == "cached"},
        )
        with keeper:
            start = time.monotonic()
            state = "stopped"
            try:
                ends = run.execute()
                failed = any(
                    end.state not in ("cached", "done") for end in ends.values()
                )
                state = "failed" if failed else "done"
            except Exception:
                state = "failed"
                raise
            finally:
                keeper.end(
                    state=state,
                    finished=datetime.now(UTC).isoformat(),
                    seconds=round(time.monotonic() - start, 3),
                )
    if args.json:
        say(json.dumps(document, indent=2, sort_keys=True))
    else:
        _say_summary(run_id, ends, document["seconds"])
    if state == "failed":
        names = [name for name, end in ends.items() if end.state == "failed"] or [
            name for name, end in ends.items() if end.state != "cached"
        ]
        raise RunError(
            f"{', '.join(names)} failed; ./strata logs {run_id} {names[0]} has the "
            "log, and the same command goes on from here"
        )


class _Watcher:
    """Has each step written down as it ends, and passes on what it is told.

    Args:
        keeper: Keeps the run's document.
        screen: Is told everything.
    """

    def __init__(self, keeper: RunKeeper, screen: ProgressScreen) -> None:
        self._keeper = keeper
        self._screen = screen

    def started(self, step: str, reason: str, items: int | None) -> None:
        """Keep what has ended until now, which this one may need."""
        self._keeper.write_soon()
        self._screen.started(step, reason, items)

    def advanced(self, step: str, done: int) -> None:
        """Pass it on."""
        self._screen.advanced(step, done)

    def ended(self, step: str, end: StepEnd) -> None:
        """Keep how a step ended, for those who look and for garbage collection."""
        self._keeper.add_step(step, step_document(step, end))
        self._screen.ended(step, end)


def step_document(name: str, end: StepEnd) -> dict[str, Any]:
    """Say of a step what a run's document keeps."""
    document: dict[str, Any] = {
        "task": end.task,
        "step": name,
        "state": end.state,
        "key": end.key,
        "reason": end.reason,
        "seconds": round(end.seconds, 3),
        "inputs": dict(end.inputs),
        "outputs": {key: dict(value) for key, value in end.outputs.items()},
        "message": end.message,
        "log": end.log,
    }
    if end.items is not None:
        document |= {"items": dict(end.items), "ran": end.ran}
    return document


def select(
    planner: Planner, only: Sequence[str], start: Sequence[str], until: Sequence[str]
) -> set[str]:
    """Choose the steps that may run."""
    selected = set(planner.order)
    if only:
        selected &= set(only)
    if start:
        selected &= planner.downstream(*start)
    if until:
        selected &= planner.above(*until)
    if not selected:
        raise UserError("no step is left to run; --from and --until do not meet")
    return selected


def _known(
    opened: Opened,
    planner: Planner,
    selected: Collection[str],
    tell: Callable[[str], None],
) -> dict[str, Outputs]:
    """Find outputs for the steps that are left out: as they are, or the last ones.

    Raises:
        UserError: There are none.
    """
    needed = {one for name in selected for one in planner.upstream(name)} - set(
        selected
    )
    wanted = planner.above(*needed) - set(selected)
    known: dict[str, Outputs] = {}
    for name in planner.order:
        if name not in wanted:
            continue
        try:
            plan = planner.step(name, known)
            reason = plan.reason
        except UserError as error:
            # What it reads may be gone; what it gave is asked for.
            plan, reason = None, str(error)
        if plan is not None and plan.state == "cached":
            known[name] = plan.outputs
        elif name in needed:
            known[name] = _last(opened, planner, name, reason, tell)
    return known


def _last(
    opened: Opened,
    planner: Planner,
    name: str,
    reason: str,
    tell: Callable[[str], None],
) -> Outputs:
    declared = opened.pipeline.steps[name].outputs
    for record in opened.store.records(planner.code(name).task, name):
        if set(record["outputs"]) >= set(declared):
            if not opened.store.missing(references(record)):
                tell(f"{name}: as it was at {record['finished'][:16]}; now {reason}")
                outputs: Outputs = record["outputs"]
                return outputs
    raise UserError(f"{name} has no results yet; run it first (--until {name})")


def _check(opened: Opened, plans: Sequence[StepPlan], engine: Engine) -> None:
    """Check the command lines of all steps that may run, before any does."""
    wanted = [plan for plan in plans if plan.state != "cached"]
    check_scripts(opened, wanted, engine)


def _say_summary(run_id: str, ends: Mapping[str, StepEnd], seconds: float) -> None:
    counts: dict[str, int] = {}
    for end in ends.values():
        counts[end.state] = counts.get(end.state, 0) + 1
    parts = [f"{counts[state]} {state}" for state in sorted(counts)]
    say(f"{', '.join(parts)} in {seconds:.1f} s; ./strata show {run_id}")


def _parser() -> Parser:
    parser = pipeline_parser(
        "strata run",
        "Run a pipeline. Steps of which nothing has changed are taken from the store.",
        "./strata run digit_recognition --profile toy --set epochs=3",
    )
    add_engine(parser)
    parser.add_argument(
        "--jobs",
        type=positive_int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="how many commands run side by side",
    )
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="after a failure, go on with what does not depend on it",
    )
    for flag, name, text in (
        ("--only", "only", "run this step alone, on what the others gave last"),
        ("--from", "start", "run this step and what depends on it"),
        ("--until", "until", "run this step and what it depends on"),
        ("--force", "force", "run this step even if it is cached"),
    ):
        parser.add_argument(
            flag, dest=name, action="append", default=[], metavar="STEP", help=text
        )
    parser.add_argument("--json", action="store_true", help="print the run's document")
    return parser
