"""``./strata plan``: what of a pipeline is cached, what would run, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence

from common.command_line import say, warn
from orchestration.engines.choice import add_engine, make_engine
from orchestration.pipelines.opening import open_pipeline, pipeline_parser
from orchestration.pipelines.planning import StepPlan

_SIGNS = {"cached": "=", "runs": ">", "waits": "?"}


def main(arguments: Sequence[str]) -> None:
    """Say what would run.

    Raises:
        UserError: The request is wrong.
    """
    parser = pipeline_parser(
        "strata plan",
        "Say what of a pipeline is cached, what would run, and why.",
        "./strata plan digit_recognition --profile toy",
    )
    add_engine(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    args = parser.parse_args(arguments)
    opened = open_pipeline(args)
    engine = make_engine(args.engine, opened, opened.checkout.cache, warn)
    plans = list(opened.planner(engine.platform()).plan())
    if args.json:
        say(json.dumps([_as_json(plan) for plan in plans], indent=2, sort_keys=True))
        return
    width = max(len(plan.name) for plan in plans)
    for plan in plans:
        text = {"cached": "cached", "runs": f"runs: {plan.reason}"}.get(
            plan.state, f"waits for {plan.reason}"
        )
        say(f"{_SIGNS[plan.state]} {plan.name:<{width}}  {text}")


def _as_json(plan: StepPlan) -> dict[str, object]:
    document: dict[str, object] = {
        "step": plan.name,
        "state": plan.state,
        "reason": plan.reason,
        "key": plan.key,
        "outputs": {name: dict(value) for name, value in plan.outputs.items()},
    }
    if plan.items is not None:
        document["items"] = {
            item.name: "runs" if item.outputs is None else "cached"
            for item in plan.items
        }
    return document
