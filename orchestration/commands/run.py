"""``./strata run``: run a pipeline; what has not changed is taken from the store."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.command_line import Parser, positive_int, warn
from common.errors import UserError
from orchestration.delivery import deliver
from orchestration.engines.choice import PLATFORMS, add_engine, make_engine
from orchestration.engines.engine import Engine
from orchestration.images.pinned import pinned
from orchestration.launcher.launch import references
from orchestration.pipelines.flags import check_scripts
from orchestration.pipelines.opening import Opened, open_pipeline, pipeline_parser
from orchestration.pipelines.planning import Outputs, Planner, StepPlan
from orchestration.pipelines.progress import ProgressScreen
from orchestration.run_keeper import KeepingWatcher, RunKeeper
from orchestration.run_summary import DONE, report
from orchestration.running import PipelineRun
from orchestration.runs import begin_document, new_run_id, run_folder, user_name
from orchestration.stages import add_stage, load_stage
from orchestration.step_end import cached_end
from orchestration.store.store import Store


def main(arguments: Sequence[str]) -> None:
    """Run a pipeline.

    Raises:
        UserError: The request is wrong.
        RunError: A step failed, or what it needs cannot be had.
    """
    args = _parser().parse_args(arguments)
    _check_flags(args)
    opened = open_pipeline(args)
    for step in (*args.only, *args.start, *args.until):
        opened.check_step(step)
    started = datetime.now(UTC)
    run_id = new_run_id(started)
    width = max(map(len, opened.pipeline.steps))
    run = _run_on_platform if args.engine in PLATFORMS else _run_here
    with (
        run_folder(opened.checkout.cache, run_id) as folder,
        ProgressScreen(width) as screen,
    ):
        document, store = run(args, opened, run_id, folder, screen)
    report(document, args.json)
    outputs = {name: step["outputs"] for name, step in document["steps"].items()}
    deliver(opened.pipeline, outputs, store, opened.checkout.root, warn)


def _run_here(
    args: argparse.Namespace,
    opened: Opened,
    run_id: str,
    folder: Path,
    screen: ProgressScreen,
) -> tuple[dict[str, Any], Store]:
    """Run it with processes or containers here; give its document and its store."""
    engine = make_engine(args.engine, opened, folder, screen.tell)
    planner = opened.planner(engine.platform(), args.force)
    selected = select(planner, args.only, args.start, args.until)
    known = _known(opened, planner, selected, screen.tell)
    plans = list(planner.plan(known, selected))
    _check(opened, plans, engine)
    document = _begin(args, opened, run_id, planner)
    document["known"] = {name: dict(outputs) for name, outputs in known.items()}
    keeper = RunKeeper(opened.store, opened.name, document)
    run = PipelineRun(
        planner,
        engine,
        opened.store,
        folder,
        opened.checkout.cache / "inputs",
        args.jobs or os.cpu_count() or 1,
        args.keep_going,
        selected,
        known,
        {"run": run_id, "commit": document["commit"] or "", "user": user_name()},
        KeepingWatcher(keeper, screen),
        {plan.name: plan for plan in plans if plan.state == "cached"},
    )
    with keeper:
        start = time.monotonic()
        state = "stopped"
        try:
            ends = run.execute()
            state = "done" if all(e.state in DONE for e in ends.values()) else "failed"
        except Exception:
            state = "failed"
            raise
        finally:
            keeper.end(
                state=state,
                finished=datetime.now(UTC).isoformat(),
                seconds=round(time.monotonic() - start, 3),
            )
    return document, opened.store


def _run_on_platform(
    args: argparse.Namespace,
    opened: Opened,
    run_id: str,
    folder: Path,
    screen: ProgressScreen,
) -> tuple[dict[str, Any], Store]:
    """Submit what is not cached, and follow it to its end; give the same."""
    from orchestration.platforms.rendering import prepare, with_stage_store
    from orchestration.platforms.submission import follow, new_remote_run, submit

    stage = load_stage(opened.checkout.root, args.stage)
    opened = with_stage_store(opened, stage, args.store)
    platform = make_engine("docker", opened, folder, screen.tell).platform()
    planner = opened.planner(platform)
    selected = select(planner, args.only, args.start, args.until)
    plans = list(planner.plan(only=planner.above(*selected)))
    cached = {plan.name: plan for plan in plans if plan.state == "cached"}
    _check_left_out(planner, selected, cached)
    # The packages are the same here: no container is needed to ask a script.
    local = make_engine("local", opened, folder, screen.tell)
    _check(opened, [plan for plan in plans if plan.name in selected], local)
    document = _begin(args, opened, run_id, planner)
    for name, plan in cached.items():
        if name in selected:
            end = cached_end(plan)
            document["steps"][name] = end.to_document(name)
            screen.ended(name, end)
        else:
            document["known"][name] = dict(plan.outputs)
    keeper = RunKeeper(opened.store, opened.name, document, is_shared=True)
    without = set(cached) | (set(planner.order) - selected)
    remote = None
    if without < set(planner.order):
        prepared = prepare(
            opened, stage, platform, args.image, without, run_id, args.keep_going
        )
        remote = new_remote_run(args.engine, prepared, document, folder)
    with keeper:
        if remote is None:
            now = datetime.now(UTC).isoformat()
            keeper.end(state="done", finished=now, seconds=0.0)
        else:
            submit(remote, keeper, args.cancel_on_interrupt)
            follow(remote, opened.store, keeper, screen, args.cancel_on_interrupt)
    return document, opened.store


def _begin(
    args: argparse.Namespace, opened: Opened, run_id: str, planner: Planner
) -> dict[str, Any]:
    return begin_document(
        opened.checkout,
        opened.store,
        run_id,
        pipeline=opened.name,
        profile=args.profile,
        settings=args.set,
        params=dict(opened.pipeline.params),
        engine=args.engine,
        order=planner.order,
        known={},
    )


def _check_flags(args: argparse.Namespace) -> None:
    on_platform = args.engine in PLATFORMS
    for flag, given, is_for_platforms in (
        ("--jobs", args.jobs, False),
        ("--force", args.force, False),
        ("--stage", args.stage, True),
        ("--image", args.image, True),
        ("--cancel-on-interrupt", args.cancel_on_interrupt, True),
    ):
        if given and is_for_platforms != on_platform:
            engines = PLATFORMS if is_for_platforms else ("local", "docker")
            raise UserError(f"{flag} is for --engine {' and '.join(engines)}")


def _check_left_out(
    planner: Planner, selected: set[str], cached: Collection[str]
) -> None:
    """Make sure that what is left out is there as it is now.

    A container plans for itself, and would not take what a step gave another time.
    """
    for name in planner.order:
        readers = selected & planner.downstream(name)
        if readers and name not in selected and name not in cached:
            raise UserError(
                f"{name} has no results as it is now, which a platform's steps need; "
                f"run it first (--until {name})"
            )


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


def _parser() -> Parser:
    parser = pipeline_parser(
        "strata run",
        "Run a pipeline. Steps of which nothing has changed are taken from the store.",
        "./strata run digit_recognition --profile toy --set epochs=3",
    )
    add_engine(parser, with_platforms=True)
    parser.add_argument(
        "--jobs",
        type=positive_int,
        metavar="N",
        help="how many commands run side by side; as many as there are cores if left "
        "out",
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
    add_stage(parser)
    parser.add_argument(
        "--image",
        type=pinned,
        metavar="NAME@sha256:DIGEST",
        help="on a platform: run in this image, not in the one that the task's files "
        "make",
    )
    parser.add_argument(
        "--cancel-on-interrupt",
        action="store_true",
        help="on a platform: Ctrl-C ends the run there; otherwise it goes on",
    )
    parser.add_argument("--json", action="store_true", help="print the run's document")
    return parser
