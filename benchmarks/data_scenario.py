"""A gigabyte that a step reads, as one file and as many; and many files given back."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.bench_tree import BenchTree, surroundings
from benchmarks.peers import Peer, Peers, remove
from benchmarks.tables import Table
from benchmarks.timing import measure

TOOLS = ("plain script", "strata", "dvc", "snakemake")
READ = """\
import argparse
import zlib
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sums", type=Path, required=True)
    args = parser.parse_args()
    files = sorted(args.data.iterdir()) if args.data.is_dir() else [args.data]
    with args.sums.open("w") as sums:
        for path in files:
            found = 0
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    found = zlib.crc32(chunk, found)
            sums.write(f"{found:08x} {path.name}\\n")


if __name__ == "__main__":
    main()
"""
COPY = """\
import argparse
import shutil
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--copies", type=Path, required=True)
    args = parser.parse_args()
    shutil.copytree(args.data, args.copies)


if __name__ == "__main__":
    main()
"""
_CHUNK = 1 << 20
# What ./strata hashed of files that were just written it hashes once more, as it cannot
# be sure. Data that are read were written long before.
_OLD_SECONDS = 2.5


def measure_data(
    tree: BenchTree,
    peers: Peers,
    folder: Path,
    size: int,
    count: int,
    rounds: int,
    write_line: Callable[[str], None],
) -> list[Table]:
    """Measure all tools on the same data, in turn, round by round.

    Args:
        tree: Where ./strata works.
        peers: The others.
        folder: Takes the data and their projects; everything in it is removed again.
        size: The bytes that are read.
        count: How many files they are, in the second part.
        rounds: How often.
        write_line: Is told how far it is.
    """
    tree.write(
        {
            "src/domains/data/BUILD": "domain()\n\npython_sources()\n",
            "src/domains/data/read.py": READ,
            "src/domains/data/copy_all.py": COPY,
            "src/domains/data/pipeline.yaml": _STRATA.format(
                name="read", script="read", output="sums"
            ),
            "src/domains/data/given/pipeline.yaml": _STRATA.format(
                name="copy", script="src/domains/data:copy_all", output="copies"
            ),
        }
    )
    tables = []
    write_line("./strata asks Pants for the graph")
    write_data(tree.root / "data/all", 1, 1)
    for pipeline in ("data", "data/given"):
        tree.strata("plan", pipeline, "--store", tree.store)
    for files in (1, count):
        shown = "one file" if files == 1 else f"{files:,} files"
        table = Table(f"{size / 1e9:g} GB as {shown}; seconds", TOOLS)
        data = tree.root / "data/all"
        write_data(data, size, files)
        for number in range(1, rounds + 1):
            write_line(f"{shown}: round {number} of {rounds}")
            _plain(table, peers, folder / "plain", data)
            _strata(table, tree, data, number)
            _dvc(table, peers, folder / "dvc", data, number)
            _snakemake(table, peers, folder / "snakemake", data, number)
        if files > 1:
            for number in range(1, rounds + 1):
                write_line(f"giving back: round {number} of {rounds}")
                _restore(table, tree, peers, folder / "dvc", data, count)
        remove(data) if data.is_dir() else data.unlink()
        tables.append(table)
    return tables


_STRATA = """\
steps:
  {name}:
    script: {script}
    inputs: {{data: {{path: data/all}}}}
    args: {{data: "${{inputs.data}}", {output}: "${{outputs.{output}}}"}}
    outputs: [{output}]
"""


def write_data(path: Path, size: int, files: int) -> None:
    """Write bytes that cannot be compressed, always the same, as one file or many."""
    path.parent.mkdir(exist_ok=True)
    source = random.Random(0)
    if files == 1:
        with path.open("wb") as file:
            for left in range(size, 0, -_CHUNK):
                file.write(source.randbytes(min(_CHUNK, left)))
        return
    path.mkdir()
    for number in range(files):
        (path / f"{number:06}.bin").write_bytes(source.randbytes(size // files))


def _change(data: Path, number: int) -> None:
    """Change a byte of a file, a different one each time."""
    files = sorted(data.iterdir()) if data.is_dir() else [data]
    with files[number % len(files)].open("r+b") as file:
        (old,) = file.read(1)
        file.seek(0)
        file.write(bytes([old ^ 0xFF]))
    time.sleep(_OLD_SECONDS)


def _plain(table: Table, peers: Peers, folder: Path, data: Path) -> None:
    folder.mkdir()
    (folder / "read.py").write_text(READ)
    read = ("read.py", "--data", data, "--sums", "sums.txt")
    seconds = measure([peers.python, *read], folder, surroundings()).seconds
    table.add("first run", "plain script", seconds)
    remove(folder)


def _strata(table: Table, tree: BenchTree, data: Path, number: int) -> None:
    def take(row: str, state: str) -> None:
        measured, states = tree.run("data")
        if states != {state: 1}:
            raise AssertionError(f"{row}: {states}")
        table.add(row, "strata", measured.seconds)

    tree.forget()
    _touch(data)
    take("first run", "done")
    take("no-op", "cached")
    _change(data, number)
    take("one file changed", "done")


def _touch(data: Path) -> None:
    """Have everything look new, so that no digest is remembered, and then grow old."""
    for path in (data, *(data.iterdir() if data.is_dir() else ())):
        os.utime(path)
    time.sleep(_OLD_SECONDS)


def _dvc(table: Table, peers: Peers, folder: Path, data: Path, number: int) -> None:
    dvc = _project(peers.start_dvc(folder), data)
    (folder / "dvc.yaml").write_text(
        "stages:\n  read:\n"
        f"    cmd: {peers.python} read.py --data data --sums sums.txt\n"
        "    deps: [read.py, data]\n    outs: [sums.txt]\n"
    )
    table.add("first run", "dvc", dvc("repro", "--quiet").seconds)
    table.add("no-op", "dvc", dvc("repro", "--quiet").seconds)
    _change(folder / "data", number)
    table.add("one file changed", "dvc", dvc("repro", "--quiet").seconds)
    remove(folder)


def _snakemake(
    table: Table, peers: Peers, folder: Path, data: Path, number: int
) -> None:
    snakemake = _project(peers.start_snakemake(folder), data)
    listed = 'glob("data/*")' if data.is_dir() else '"data"'
    (folder / "Snakefile").write_text(
        "from glob import glob\n\nrule all:\n"
        f'    input: "read.py", {listed}\n    output: "sums.txt"\n'
        f'    shell: "{peers.python} read.py --data data --sums sums.txt"\n'
    )
    run = peers.snakemake_run()
    table.add("first run", "snakemake", snakemake(*run).seconds)
    table.add("no-op", "snakemake", snakemake(*run).seconds)
    _change(folder / "data", number)
    table.add("one file changed", "snakemake", snakemake(*run).seconds)
    remove(folder)


def _project(peer: Peer, data: Path) -> Peer:
    """Give a project a copy of the data, and the script."""
    (peer.folder / "read.py").write_text(READ)
    measure(["cp", "-r", "--reflink=auto", data, "data"], peer.folder, surroundings())
    time.sleep(_OLD_SECONDS)
    return peer


def _restore(
    table: Table,
    tree: BenchTree,
    peers: Peers,
    folder: Path,
    data: Path,
    count: int,
) -> None:
    row, rate = "given back from the store", "given back (files/s)"
    tree.forget()
    tree.run("data/given")
    back = tree.root.parent / "back"
    get = ("get", "last:copy/copies", back, "--store", tree.store)
    seconds = tree.strata(*get).seconds
    table.add(row, "strata", seconds)
    table.add(rate, "strata", count / seconds, 0)
    remove(back)
    tree.forget()
    dvc = _project(peers.start_dvc(folder), data)
    dvc("add", "--quiet", "data")
    remove(folder / "data")
    seconds = dvc("checkout", "--quiet").seconds
    table.add(row, "dvc", seconds)
    table.add(rate, "dvc", count / seconds, 0)
    remove(folder)
