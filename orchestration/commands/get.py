"""``./strata get``: an output of a run, as a file or folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.filesize import decimal

from common.command_line import Parser, say
from common.errors import UserError
from orchestration.chosen_store import add_store, open_store
from orchestration.commands.logs import find_step
from orchestration.names import nearest
from orchestration.runs import find_run
from orchestration.screen import Screen


def main(arguments: Sequence[str]) -> None:
    """Restore an output.

    Raises:
        UserError: There is no such output, or something is at the path.
        StoreError: The store lacks it.
    """
    parser = Parser(
        "strata get",
        "Write an output of a run as a file or folder of your own.",
        "./strata get last:train/run model",
    )
    parser.add_argument(
        "output", metavar="RUN:STEP/OUTPUT", help="a run (or last), a step, an output"
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="what it becomes")
    add_store(parser)
    args = parser.parse_args(arguments)
    run_name, colon, rest = args.output.partition(":")
    step_name, slash, output = rest.partition("/")
    if not (colon and slash):
        raise UserError(f"{args.output} is no RUN:STEP/OUTPUT, such as last:train/run")
    store = open_store(args.store)
    run = find_run(store, run_name)
    step = find_step(run, step_name)
    if output not in step["outputs"]:
        known = list(step["outputs"])
        raise UserError(
            f"{step_name} has no output {output}{nearest(output, known)}; "
            f"outputs: {', '.join(known) or 'none, it has not ended'}"
        )
    found = step["outputs"][output]
    with Screen().transfer(f"restoring {args.output}") as show:
        store.restore(found["reference"], args.path, show)
    say(f"{args.path} ({decimal(found['size'])})")
