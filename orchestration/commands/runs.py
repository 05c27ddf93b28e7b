"""``./strata runs``: the runs that there were."""

from __future__ import annotations

import json
from collections.abc import Sequence

from common.command_line import Parser, positive_int, say
from orchestration.chosen_store import add_store, open_store
from orchestration.tables import table


def main(arguments: Sequence[str]) -> None:
    """List runs, the newest first.

    Raises:
        UserError: The request is wrong.
    """
    parser = Parser(
        "strata runs",
        "List the runs that there were, the newest first.",
        "./strata runs digit_recognition",
    )
    parser.add_argument(
        "pipeline", nargs="?", metavar="PIPELINE", help="those of one pipeline"
    )
    parser.add_argument(
        "--limit", type=positive_int, default=20, metavar="N", help="how many"
    )
    add_store(parser)
    parser.add_argument("--json", action="store_true", help="print them as JSON")
    args = parser.parse_args(arguments)
    store = open_store(args.store)
    found = store.run_documents(args.pipeline, args.limit)
    if args.json:
        say(json.dumps(found, indent=2, sort_keys=True))
        return
    if not found:
        say("there are no runs yet; ./strata run PIPELINE makes one")
        return
    rows = [
        (
            run["id"],
            run["pipeline"],
            run.get("profile") or "",
            run["state"],
            f"{run['seconds']:.1f} s" if "seconds" in run else "",
            (run.get("commit") or "")[:10] + ("+" if run.get("diff") else ""),
            run.get("user", ""),
        )
        for run in found
    ]
    head = ("run", "pipeline", "profile", "state", "time", "commit", "by")
    for line in table(head, rows):
        say(line)
