"""What is said of a run that has ended."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from common.command_line import say
from common.errors import RunError

DONE = ("cached", "done")


def report(document: Mapping[str, Any], as_json: bool) -> None:
    """Say how a run ended, by its document.

    Raises:
        RunError: It was not done; with the way on.
    """
    run, ended = document["id"], document["steps"]
    # As they stand in the pipeline, whichever came first.
    steps = {name: ended[name] for name in document["order"] if name in ended}
    if as_json:
        say(json.dumps(document, indent=2, sort_keys=True))
    else:
        counts = Counter(step["state"] for step in steps.values())
        parts = [f"{counts[state]} {state}" for state in sorted(counts)]
        say(f"{', '.join(parts)} in {document['seconds']:.1f} s; ./strata show {run}")
    if document["state"] == "done":
        return
    failed = [name for name, step in steps.items() if step["state"] == "failed"]
    names = failed or [n for n, step in steps.items() if step["state"] not in DONE]
    logged = [name for name in names if steps[name]["log"]]
    where = f"logs {run} {logged[0]} has the log" if logged else f"show {run} says more"
    how = "was stopped" if document["state"] == "stopped" else "failed"
    raise RunError(
        f"{', '.join(names) or run} {how}; ./strata {where}, and the same command goes "
        "on from here"
    )
