"""``./strata why``: what differs, for a step that would run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from common.command_line import say, warn
from orchestration.engines.choice import add_engine, make_engine
from orchestration.pipelines.opening import Opened, open_pipeline, pipeline_parser
from orchestration.pipelines.planning import StepPlan
from orchestration.pipelines.why import Difference, nearest_record, text_diff
from orchestration.store.errors import StoreError

_NAMED = 10


def main(arguments: Sequence[str]) -> None:
    """Compare a step's key with that of the nearest earlier record.

    Raises:
        UserError: The request is wrong.
    """
    parser = pipeline_parser(
        "strata why",
        "Say what differs between a step as it is and the nearest record of it.",
        "./strata why digit_recognition train",
    )
    parser.add_argument("step", metavar="STEP", help="one of its steps")
    add_engine(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    args = parser.parse_args(arguments)
    opened = open_pipeline(args)
    opened.check_step(args.step)
    engine = make_engine(args.engine, opened, opened.checkout.cache, warn)
    planner = opened.planner(engine.platform())
    above = planner.above(args.step)
    plans = {plan.name: plan for plan in planner.plan(only=above)}
    plan = plans[args.step]
    nearest = None
    if plan.state == "runs":
        records = opened.store.records(plan.code.task, plan.name)
        nearest = nearest_record(records, plan.document)
    found = nearest[1] if nearest else []
    if args.json:
        say(json.dumps(_as_json(plan, nearest and nearest[0], found), indent=2))
        return
    if plan.state == "cached":
        say(f"{plan.name} is cached: nothing that it depends on has changed")
    elif plan.state == "waits":
        say(f"{plan.name} waits for {plan.reason}; why one of these runs:")
        for name in sorted(planner.upstream(plan.name)):
            say(f"  ./strata why {opened.name} {name}")
    elif not found:
        say(f"{plan.name} runs: {plan.reason}")
    else:
        assert nearest is not None
        record = nearest[0]
        say(
            f"{plan.name} runs: it differs from the record of {record['finished'][:19]}"
        )
        for difference in found:
            say(f"  {difference}")
            for line in _diff(opened, difference):
                say(f"    {line}")
    if plan.items is not None:
        names = [item.name for item in plan.missing_items]
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        say(
            f"  of {len(plan.items):,} items {len(names):,} run: "
            f"{', '.join(names[:_NAMED]) or 'none'}{more}"
        )


def _diff(opened: Opened, difference: Difference) -> list[str]:
    """Show what changed in a file, if its text before is in the store."""
    if difference.kind != "file":
        return []

    def read(digest: str) -> bytes:
        path = opened.checkout.root / difference.name
        if difference.after and digest == difference.after[0]:
            return path.read_bytes()
        data = opened.store.text(f"file:{digest}")
        if data is None:
            raise FileNotFoundError(digest)
        return data

    before, after = (
        state[0] if state else None for state in (difference.before, difference.after)
    )
    try:
        return text_diff(difference.name, before, after, read)
    except StoreError:
        return []


def _as_json(
    plan: StepPlan, record: Any, found: Sequence[Difference]
) -> dict[str, object]:
    return {
        "step": plan.name,
        "state": plan.state,
        "reason": plan.reason,
        "record": record["finished"] if record else None,
        "differences": [
            {
                "kind": one.kind,
                "name": one.name,
                "before": one.before,
                "after": one.after,
            }
            for one in found
        ],
        "items": [item.name for item in plan.missing_items],
    }
