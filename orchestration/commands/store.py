"""``./strata store``: see what is stored, check it, and copy or remove it."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from rich.filesize import decimal

from common.command_line import Parser, say, warn
from common.errors import RunError, UserError
from orchestration.chosen_store import add_store, open_store
from orchestration.names import nearest
from orchestration.screen import Screen
from orchestration.store import upkeep
from orchestration.store.store import Store, split_record_name

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SHOWN = 20
_HELP = """usage: strata store [--help] ACTION ...

See what is stored, check it, and copy or remove it. Each action takes --store ADDRESS
(a folder, s3://, az:// or gs://; STRATA_STORE, or a folder of the cache, if left out)
and --json.

{actions}

strata store ACTION --help says more.

example:
  ./strata store ls"""


def main(arguments: Sequence[str]) -> None:
    """Do what is asked for with a store.

    Raises:
        UserError: The request is wrong, or the store does not let us.
        RunError: The store fails, or something in it was damaged.
    """
    words = list(arguments)
    if not words or words[0] in ("-h", "--help"):
        width = max(map(len, _ACTIONS)) + 4
        lines = [f"  {name:<{width}}{about}" for name, (_, about) in _ACTIONS.items()]
        say(_HELP.format(actions="\n".join(lines)))
        return
    name = words[0]
    if name not in _ACTIONS:
        hint = nearest(name, list(_ACTIONS))
        raise UserError(f"there is no action {name}{hint}; --help lists all")
    _ACTIONS[name][0](words[1:])


def _list(words: Sequence[str]) -> None:
    parser = _parser("ls", "digit_recognition")
    parser.add_argument("task", nargs="?", metavar="TASK", help="a task; all if none")
    args = parser.parse_args(words)
    store = open_store(args.store)
    steps = store.steps()
    if args.task is not None:
        tasks = sorted({task for task, _ in steps})
        if args.task not in tasks:
            hint = nearest(args.task, tasks)
            raise UserError(f"{store.address}: there is no record of {args.task}{hint}")
        _list_records(store, args.task, [s for t, s in steps if t == args.task], args)
        return
    runs = store.runs()
    if args.json:
        counted = [
            {"task": task, "step": step, "records": count}
            for (task, step), count in steps.items()
        ]
        _say_json({"store": store.address, "steps": counted, "runs": runs})
        return
    say(store.address)
    for (task, step), count in steps.items():
        say(f"  {task}  {step}  {count} {'record' if count == 1 else 'records'}")
    for run in runs[:_SHOWN]:
        say(f"  run {run}")
    if len(runs) > _SHOWN:
        say(f"  and {len(runs) - _SHOWN} older runs")
    if not steps and not runs:
        say("  nothing is stored")


def _list_records(
    store: Store, task: str, steps: Sequence[str], args: argparse.Namespace
) -> None:
    found = {step: store.records(task, step) for step in steps}
    if args.json:
        _say_json({"store": store.address, "task": task, "records": found})
        return
    for step, records in found.items():
        for record in records[:_SHOWN]:
            say(f"{step}  {record.get('finished', '')}")
            for name, output in sorted(record["outputs"].items()):
                size = decimal(output.get("size") or 0)
                say(f"  {name}  {output['reference']}  {size}")
        if len(records) > _SHOWN:
            say(f"{step}  and {len(records) - _SHOWN} older records")


def _show(words: Sequence[str]) -> None:
    parser = _parser("show", "tree:9f86d081884c7d659a2feaa0c55ad015...")
    parser.add_argument(
        "name",
        metavar="NAME",
        help="an artifact (tree:..., file:...), a step's key, or a run's id",
    )
    args = parser.parse_args(words)
    store = open_store(args.store)
    if ":" in args.name:
        content = store.content(args.name)
        if args.json:
            _say_json([entry._asdict() for entry in content.entries])
            return
        for entry in content.entries:
            size = decimal(entry.size) if entry.digest else "empty folder"
            say(f"{entry.path or '.'}  {entry.kind}  {size}  {entry.digest[:12]}")
        say(f"{len(content.files)} files, {decimal(content.size)}")
        return
    # Keys are shown as JSON in any case: that is what a record is.
    if re.fullmatch(r"[0-9a-f]{8,64}", args.name):
        for found in store.objects.list("records"):
            parts = split_record_name(found.name)
            if parts is not None and parts[2].startswith(args.name):
                _say_json(store.record(*parts))
                return
    runs = store.runs()
    if args.name not in runs:
        raise UserError(
            f"{store.address}: there is no artifact, key or run "
            f"{args.name}{nearest(args.name, runs)}"
        )
    _say_json(store.run(args.name))


def _verify(words: Sequence[str]) -> None:
    args = _parser("verify", "--json").parse_args(words)
    store = open_store(args.store)
    with Screen().transfer(f"reading {store.address}") as show:
        found = upkeep.verify(store, show)
    if args.json:
        _say_json(asdict(found))
    else:
        say(
            f"{found.files} files ({decimal(found.bytes)}), {found.trees} folders and "
            f"{found.records} records read"
        )
        for name in found.removed:
            say(f"  removed {name}")
    if found.removed:
        raise RunError(
            f"{len(found.removed)} damaged or incomplete objects were removed; their "
            "steps run again the next time"
        )


def _collect(words: Sequence[str]) -> None:
    parser = _parser("gc", "--older-than 30d --dry-run")
    parser.add_argument(
        "--older-than",
        type=_duration,
        metavar="TIME",
        help="forget runs that began longer ago (12h, 30d, 8w); none if left out",
    )
    parser.add_argument(
        "--grace",
        type=_duration,
        default="1h",
        metavar="TIME",
        help="spare what was written in the last time of this length",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would go, and remove nothing"
    )
    args = parser.parse_args(words)
    store = open_store(args.store)
    with Screen().steps(f"collecting garbage in {store.address}"):
        found = upkeep.collect(store, args.older_than, args.dry_run, args.grace)
    if args.json:
        _say_json({**asdict(found), "dry_run": args.dry_run})
        return
    say(
        f"{'would remove' if args.dry_run else 'removed'} {found.runs} runs, "
        f"{found.records} records, {found.trees} folders and {found.files} files, "
        f"{decimal(found.bytes)}"
    )


def _pull(words: Sequence[str]) -> None:
    _copy("pull", words, lambda here, there: (there, here))


def _push(words: Sequence[str]) -> None:
    _copy("push", words, lambda here, there: (here, there))


def _copy(
    action: str,
    words: Sequence[str],
    order: Callable[[Store, Store], tuple[Store, Store]],
) -> None:
    parser = _parser(action, "s3://team-bucket/strata")
    parser.add_argument("address", metavar="ADDRESS", help="the other store")
    args = parser.parse_args(words)
    source, target = order(open_store(args.store), Store.open(args.address))
    if source.address == target.address:
        raise UserError(f"{source.address} is both stores; name another")
    folder = source.objects.path("")
    if folder is not None and not folder.is_dir():
        raise UserError(f"{source.address}: there is no store to copy from")
    with Screen().transfer(f"copying {source.address} to {target.address}") as show:
        copied = upkeep.copy(source, target, show)
    if args.json:
        _say_json(asdict(copied))
    else:
        say(
            f"copied {copied.files} files ({decimal(copied.bytes)}), {copied.trees} "
            f"folders, {copied.records} records and {copied.runs} runs to "
            f"{target.address}"
        )
    if copied.left:
        warn(
            f"{len(copied.left)} objects are damaged or not complete and were left "
            f"where they are; ./strata store verify --store {source.address}"
        )


def _usage(words: Sequence[str]) -> None:
    args = _parser("du", "--store s3://team-bucket/strata").parse_args(words)
    store = open_store(args.store)
    usage = upkeep.disk_usage(store)
    if args.json:
        sizes = {name: asdict(part) for name, part in usage.items()}
        _say_json({"store": store.address, **sizes})
        return
    say(store.address)
    for name, part in usage.items():
        say(f"  {name:<8}  {part.count:>8}  {decimal(part.bytes)}")


_ACTIONS: Mapping[str, tuple[Callable[[Sequence[str]], None], str]] = {
    "ls": (_list, "what there is: steps with their records, and runs"),
    "show": (_show, "an artifact's files, or a record or run"),
    "verify": (_verify, "read everything, and remove what is damaged"),
    "gc": (_collect, "remove what no run needs any more"),
    "pull": (_pull, "copy what this store lacks from another"),
    "push": (_push, "copy what another store lacks from this one"),
    "du": (_usage, "how much there is"),
}


def _parser(action: str, example: str) -> Parser:
    about = _ACTIONS[action][1]
    parser = Parser(
        f"strata store {action}",
        f"{about[0].upper()}{about[1:]}.",
        f"./strata store {action} {example}",
    )
    add_store(parser)
    parser.add_argument(
        "--json", action="store_true", help="print JSON and nothing else"
    )
    return parser


def _duration(text: str) -> timedelta:
    """Parse a length of time: a number and its unit."""
    found = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no length of time such as 90m, 12h, 30d or 8w"
        )
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _say_json(document: Any) -> None:
    say(json.dumps(document, indent=2))
