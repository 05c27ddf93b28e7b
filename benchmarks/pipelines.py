"""Measure ./strata beside DVC and Snakemake, on the same work, in the same run.

It works in temporary folders: a copy of this tree's own code with invented tasks and a
Pants daemon of its own, and a project for each of the others, which are installed from
3rdparty/dvc.lock and 3rdparty/snakemake.lock. The scripts of the steps are the same,
and so is the Python that runs them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from benchmarks.bench_tree import BenchTree, bench_tree
from benchmarks.chain_scenario import measure_chain
from benchmarks.data_scenario import measure_data
from benchmarks.machine import machine
from benchmarks.peers import Peers
from benchmarks.scale_scenario import measure_scale
from benchmarks.start_scenario import measure_start
from benchmarks.tables import Table
from common.command_line import (
    Parser,
    one_of,
    positive_float,
    positive_int,
    run,
    say,
    warn,
)

_SCENARIOS = ("chain", "data", "scale", "start")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print.

    Args:
        arguments: The command's arguments; None takes those of the process.
    """
    args = _parser().parse_args(arguments)
    source = Path.cwd()
    peers = Peers.provide(source, warn)
    facts = _machine(peers)
    tables: list[Table] = []
    with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
        folder = Path(scratch)
        with bench_tree(source, folder) as tree:
            for scenario in args.only or _SCENARIOS:
                warn(f"{scenario} ...")
                tables += _measure(scenario, args, tree, peers, folder)
    if args.json:
        found = [table.document() for table in tables]
        say(json.dumps({"machine": facts, "tables": found}, indent=2))
        return
    for name, fact in facts.items():
        say(f"{name:<22}{fact}")
    for table in tables:
        table.write(say)


def _measure(
    scenario: str,
    args: argparse.Namespace,
    tree: BenchTree,
    peers: Peers,
    folder: Path,
) -> list[Table]:
    tell: Callable[[str], None] = warn
    if scenario == "chain":
        return [measure_chain(tree, peers, folder, args.steps, args.rounds, tell)]
    if scenario == "data":
        size = round(args.size * 1e9)
        return measure_data(tree, peers, folder, size, args.files, args.rounds, tell)
    if scenario == "scale":
        return measure_scale(tree, args.scale_steps, args.items, tell)
    return [measure_start(tree, peers, folder, args.rounds)]


def _machine(peers: Peers) -> dict[str, Any]:
    facts: dict[str, Any] = dict(machine())
    for name, environment in (("dvc", peers.dvc), ("snakemake", peers.snakemake)):
        (site,) = environment.glob("lib/python3.*/site-packages")
        for found in distributions(path=[str(site)]):
            if found.metadata["Name"].lower() == name:
                facts[name] = found.version
    return facts


def _parser() -> Parser:
    parser = Parser(
        "pipelines",
        "Measure ./strata beside DVC and Snakemake, on the same work.",
        "./pants run benchmarks:pipelines -- --rounds 3",
    )
    parser.add_argument(
        "--only",
        action="append",
        type=one_of(*_SCENARIOS),
        metavar="SCENARIO",
        help=f"one of {', '.join(_SCENARIOS)}; any number of times",
    )
    parser.add_argument(
        "--rounds",
        type=positive_int,
        default=3,
        metavar="N",
        help="how often each is measured, after once that is not counted",
    )
    parser.add_argument(
        "--steps", type=positive_int, default=50, metavar="N", help="steps of the chain"
    )
    parser.add_argument(
        "--size",
        type=positive_float,
        default=1.0,
        metavar="GB",
        help="the data that a step reads; the disk needs five times as much",
    )
    parser.add_argument(
        "--files", type=positive_int, default=10_000, metavar="N", help="files of them"
    )
    parser.add_argument(
        "--scale_steps",
        type=positive_int,
        default=1_000,
        metavar="N",
        help="steps of the longest chain",
    )
    parser.add_argument(
        "--items",
        type=positive_int,
        default=10_000,
        metavar="N",
        help="items that a step maps over",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="FOLDER",
        help="where the temporary folders are made; the system's place if left out",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON and nothing else"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run("pipelines", main))
