"""``./strata get``: outputs of a run, as files and folders."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from rich.filesize import decimal

from common.command_line import Parser, say
from common.errors import UserError
from orchestration.chosen_store import add_store, open_store
from orchestration.commands.logs import find_step
from orchestration.names import nearest
from orchestration.runs import find_run
from orchestration.screen import Screen
from orchestration.store.store import Store


def main(arguments: Sequence[str]) -> None:
    """Restore an output, or all of a step or a run.

    Raises:
        UserError: There is no such output, or something is at the path.
        StoreError: The store lacks it.
    """
    parser = Parser(
        "strata get",
        "Write an output of a run as a file or folder of your own. Of a whole run it "
        "becomes a folder with PATH/STEP/OUTPUT, of a step one with PATH/OUTPUT, where "
        "files end as the step has named them.",
        "./strata get last:train/run model",
    )
    parser.add_argument(
        "output",
        metavar="RUN[:STEP[/OUTPUT]]",
        help="a run (or last), a step, an output",
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="what it becomes")
    add_store(parser)
    args = parser.parse_args(arguments)
    run_name, _, rest = args.output.partition(":")
    step_name, _, output = rest.partition("/")
    store = open_store(args.store)
    run = find_run(store, run_name)
    if output:
        parts = {"": _find_output(find_step(run, step_name), output)}
    elif step_name:
        parts = _outputs(store, find_step(run, step_name))
    else:
        parts = {
            f"{step_name}/{name}": found
            for step_name, step in run["steps"].items()
            for name, found in _outputs(store, step).items()
        }
    if not parts:
        raise UserError(f"{args.output}: there are no outputs, it has not ended")
    if os.path.lexists(args.path):
        raise UserError(f"{args.path} is there already; nothing was restored")
    _restore(store, args.output, parts, Path(os.path.abspath(args.path)))
    size = sum(found["size"] for found in parts.values())
    say(f"{args.path} ({decimal(size)})")


def _outputs(store: Store, step: Mapping[str, Any]) -> dict[str, Any]:
    """Give a step's outputs by name, with the ending of the path that it wrote."""
    if not step["outputs"]:
        return {}
    record = store.record(step["task"], step["step"], step["key"]) or {}
    paths = record.get("key", {}).get("outputs", {})
    found = {}
    for name, output in step["outputs"].items():
        ending = PurePosixPath(paths.get(name, "")).suffix
        found[name if name.endswith(ending) else name + ending] = output
    return found


def _find_output(step: Mapping[str, Any], output: str) -> Any:
    outputs = step["outputs"]
    if output not in outputs:
        known = list(outputs)
        raise UserError(
            f"{step['step']} has no output {output}{nearest(output, known)}; "
            f"outputs: {', '.join(known) or 'none, it has not ended'}"
        )
    return outputs[output]


def _restore(store: Store, title: str, parts: Mapping[str, Any], path: Path) -> None:
    """Write artifacts below a path, which appears whole or not at all."""
    if list(parts) == [""]:
        with Screen().transfer(f"restoring {title}") as show:
            store.restore(parts[""]["reference"], path, show)
        return
    new = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        for name, found in sorted(parts.items()):
            with Screen().transfer(f"restoring {name}") as show:
                store.restore(found["reference"], new / name, show)
        new.rename(path)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
