"""``./strata follow``: follow a run that was submitted to a platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from common.command_line import Parser, warn
from common.errors import UserError
from orchestration.checkout import Checkout
from orchestration.chosen_store import add_store, open_store
from orchestration.delivery import deliver
from orchestration.pipelines.progress import ProgressScreen
from orchestration.platforms.submission import (
    find_remote_run,
    follow,
    settle_without_platform,
)
from orchestration.run_keeper import RunKeeper
from orchestration.run_summary import report
from orchestration.runs import find_run
from orchestration.stages import add_stage, load_stage

# To upload what a run needs takes minutes; whoever has not done it by then does not.
_SUBMITTING = timedelta(hours=1)


def main(arguments: Sequence[str]) -> None:
    """Follow a run to its end, or end it.

    Raises:
        UserError: There is no such run, it is not on a platform, or that refuses.
        RunError: The run failed, or the platform cannot be reached.
    """
    args = _parser().parse_args(arguments)
    root = Checkout.of_this_code().root
    stage = load_stage(root, args.stage)
    store = open_store(args.store or stage.values.store)
    document = find_run(store, args.run)
    where = document.get("platform")
    if document["state"] != "running":
        report(document, args.json)
        return
    if where is None:
        raise UserError(
            f"{document['id']} runs on no platform (--engine {document['engine']}); "
            f"./strata show {document['id']} says how it goes"
        )
    run = find_remote_run(store, document, load_stage(root, where["stage"]))
    state = run.remote.state()
    if state is None and where["submitted"] is None and _is_young(document):
        raise UserError(
            f"{run.remote.name} is not there yet; {document['user']} on "
            f"{document['host']} began to submit it at {document['started'][:16]}"
        )
    if args.cancel and state is not None and state.ended is None:
        run.remote.stop()
        warn(f"{run.remote.name} is asked to stop")
    keeper = RunKeeper(store, document["pipeline"], document, is_shared=True)
    width = max(map(len, document["order"]))
    with ProgressScreen(width) as screen, keeper:
        if state is None:
            settle_without_platform(run, store, keeper, screen)
            warn(f"{run.remote.name} is not there: never submitted, or removed since")
        else:
            follow(run, store, keeper, screen, args.cancel_on_interrupt)
    report(document, args.json)
    # What the run's own containers have delivered is there; this is for cached steps.
    outputs = {name: step["outputs"] for name, step in document["steps"].items()}
    deliver(run.planner.pipeline, outputs, store, root, warn)


def _is_young(document: Mapping[str, Any]) -> bool:
    began = datetime.fromisoformat(document["started"])
    return datetime.now(UTC) - began < _SUBMITTING


def _parser() -> Parser:
    parser = Parser(
        "strata follow",
        "Follow a run that was submitted with --engine argo or azureml, from wherever "
        "it is to its end.",
        "./strata follow last --store s3://models/strata",
    )
    parser.add_argument("run", metavar="RUN", help="a run, its beginning, or last")
    add_store(parser)
    add_stage(parser)
    parser.add_argument("--cancel", action="store_true", help="have it end first")
    parser.add_argument(
        "--cancel-on-interrupt",
        action="store_true",
        help="Ctrl-C ends the run there; otherwise it goes on",
    )
    parser.add_argument("--json", action="store_true", help="print the run's document")
    return parser
