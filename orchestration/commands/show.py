"""``./strata show``: what a run did, and with what."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.filesize import decimal

from common.command_line import Parser, say
from orchestration.chosen_store import add_store, open_store
from orchestration.runs import find_run
from orchestration.tables import table

_FIELDS = ("pipeline", "profile", "state", "started", "engine", "branch", "commit")


def main(arguments: Sequence[str]) -> None:
    """Show a run.

    Raises:
        UserError: There is no such run.
    """
    parser = Parser(
        "strata show", "Show what a run did, and with what.", "./strata show last"
    )
    parser.add_argument("run", metavar="RUN", help="a run, its beginning, or last")
    add_store(parser)
    parser.add_argument("--json", action="store_true", help="print its document")
    args = parser.parse_args(arguments)
    store = open_store(args.store)
    document = find_run(store, args.run)
    if args.json:
        say(json.dumps(document, indent=2, sort_keys=True))
        return
    say(f"run {document['id']}")
    for name in _FIELDS:
        if document.get(name):
            say(f"  {name:<9} {document[name]}")
    if document.get("diff"):
        say(f"  {'changes':<9} not committed; ./strata logs {document['id']} --diff")
    if document["params"]:
        values = (f"{k}={json.dumps(v)}" for k, v in sorted(document["params"].items()))
        say(f"  {'params':<9} {' '.join(values)}")
    say("")
    known = document["steps"]
    steps = [known[name] for name in document["order"] if name in known]
    head = ("step", "state", "time", "outputs")
    for line in table(head, map(_row, steps)):
        say(line)
    for one in steps:
        if one["message"]:
            say(f"\n{one['step']}: {one['message']}")


def _row(step: Mapping[str, Any]) -> tuple[str, str, str, str]:
    outputs = ", ".join(
        f"{name} ({decimal(one['size'])})" for name, one in step["outputs"].items()
    )
    seconds = f"{step['seconds']:.1f} s" if step["seconds"] else ""
    return step["step"], step["state"], seconds, outputs
