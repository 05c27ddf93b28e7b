"""``./strata logs``: what a step wrote while it ran."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from common.command_line import Parser
from common.errors import UserError
from orchestration.chosen_store import add_store, open_store
from orchestration.names import nearest
from orchestration.pipelines.planning import items_of
from orchestration.runs import find_run
from orchestration.store.store import Store


def main(arguments: Sequence[str]) -> None:
    """Write a step's log to standard output, as it was written.

    Raises:
        UserError: There is no such run, step or log.
    """
    parser = Parser(
        "strata logs",
        "Print what a step wrote while it ran, be it in this run or in the one that "
        "it is cached from.",
        "./strata logs last train",
    )
    parser.add_argument("run", metavar="RUN", help="a run, its beginning, or last")
    parser.add_argument("step", nargs="?", metavar="STEP", help="one of its steps")
    parser.add_argument("--item", metavar="ITEM", help="an item of a step that maps")
    parser.add_argument(
        "--diff", action="store_true", help="the changes that were not committed"
    )
    add_store(parser)
    args = parser.parse_args(arguments)
    store = open_store(args.store)
    run = find_run(store, args.run)
    if args.diff:
        reference = run.get("diff")
        subject = "changes that were not committed"
    else:
        step = find_step(run, args.step or "")
        reference = _log(store, step, args.item)
        subject = f"log of {step['step']}"
    if reference is None:
        raise UserError(f"{run['id']} has no {subject}")
    sys.stdout.buffer.write(store.text(reference))
    sys.stdout.buffer.flush()


def find_step(run: dict[str, Any], name: str) -> dict[str, Any]:
    """Find a step of a run.

    Raises:
        UserError: There is none of this name.
    """
    steps: dict[str, dict[str, Any]] = run["steps"]
    if name not in steps:
        raise UserError(
            f"{run['id']} has no step {name or '(none was named)'}"
            f"{nearest(name, list(steps))}; steps: {', '.join(steps) or 'none yet'}"
        )
    return steps[name]


def _log(store: Store, step: dict[str, Any], item: str | None) -> str | None:
    name, key = step["step"], step["key"]
    if item is None and step["log"] is not None:
        return str(step["log"])
    if item is not None:
        items = step.get("items") or {}
        if item not in items:
            raise UserError(f"{name} has no item {item}{nearest(item, list(items))}")
        name, key = items_of(name), items[item]
    elif step.get("items"):
        raise UserError(f"{name} maps; name one of its items with --item")
    record = store.record(step["task"], name, key) if key else None
    return record.get("log") if record else None
