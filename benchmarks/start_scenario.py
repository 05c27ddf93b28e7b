"""How long it takes until a tool says what it can do."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench_tree import BenchTree
from benchmarks.peers import Peers, remove
from benchmarks.tables import Table

TOOLS = ("strata", "dvc", "snakemake")


def measure_start(tree: BenchTree, peers: Peers, folder: Path, rounds: int) -> Table:
    """Measure ``--help`` of each tool, in turn, after a round that is not counted."""
    table = Table("start; seconds", TOOLS)
    dvc = peers.start_dvc(folder / "dvc")
    snakemake = peers.start_snakemake(folder / "snakemake")
    for number in range(rounds + 1):
        kept = table if number else Table("", TOOLS)
        kept.add("--help", "strata", tree.strata("--help").seconds)
        kept.add("--help", "dvc", dvc("--help").seconds)
        kept.add("--help", "snakemake", snakemake("--help").seconds)
    for peer in (dvc, snakemake):
        remove(peer.folder)
    return table
