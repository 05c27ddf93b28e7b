"""Fifty tiny steps in a row: what a tool itself costs a step."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from benchmarks.bench_tree import BenchTree, surroundings
from benchmarks.peers import Peer, Peers, remove
from benchmarks.tables import Table
from benchmarks.timing import measure

NAME = "chain"
TOOLS = ("shell loop", "strata", "dvc", "snakemake")
SCRIPT = """\
import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--amount", type=int, default=1)
    parser.add_argument("--after", type=Path, required=True)
    args = parser.parse_args()
    args.after.write_text(str(int(args.before.read_text()) + args.amount))


if __name__ == "__main__":
    main()
"""
FIRST, COLD, NOOP = "first run of all", "cold run", "no-op"
PARAMETER, CACHED = "first step's parameter changed", "all from cache"
EDITED = "script in the middle changed"
RUN_STEP = "overhead a run step (ms)"
CACHED_STEP = "a cached step (ms)"


def measure_chain(
    tree: BenchTree,
    peers: Peers,
    folder: Path,
    steps: int,
    rounds: int,
    write_line: Callable[[str], None],
) -> Table:
    """Measure all tools on a chain, in turn, round by round.

    Args:
        tree: Where ./strata works.
        peers: The others.
        folder: Takes their projects.
        steps: The chain's length.
        rounds: How often, after a round that is not counted.
        write_line: Is told how far it is.
    """
    table = Table(f"{steps} steps in a row; seconds", TOOLS)
    tree.write(
        {
            "src/domains/chain/BUILD": "domain()\n\npython_sources()\n",
            "src/domains/chain/pipeline.yaml": strata_chain(steps, "step{:04}"),
            **{
                f"src/domains/chain/step{number:04}.py": SCRIPT
                for number in range(steps)
            },
        }
    )
    (tree.root / "data").mkdir(exist_ok=True)
    (tree.root / "data/start.txt").write_text("0")
    dvc = peers.start_dvc(folder / "dvc")
    snakemake = peers.start_snakemake(folder / "snakemake")
    for peer in (dvc, snakemake):
        _write_scripts(peer.folder, steps)
    (dvc.folder / "dvc.yaml").write_text(_dvc_chain(peers.python, steps))
    (snakemake.folder / "Snakefile").write_text(_snakemake_chain(peers.python, steps))
    write_line("./strata for the first time: Pants starts, scripts' flags are read")
    table.add(FIRST, "strata", tree.run(NAME)[0].seconds)
    for number in range(rounds + 1):
        write_line(f"round {number} of {rounds}" if number else "a round to warm up")
        kept = table if number else Table("", TOOLS)
        _loop(kept, peers.python, folder / "loop", steps)
        _strata(kept, tree, steps, number)
        _dvc(kept, dvc, number)
        _snakemake(kept, snakemake, peers, number)
    _derive(table, steps)
    for name in ("dvc", "snakemake", "loop"):
        remove(folder / name)
    tree.forget()
    return table


def strata_chain(steps: int, script: str) -> str:
    """Give the pipeline of a chain; the script's name may have the step's number."""
    lines = ["params: {amount: 1}", "steps:"]
    source = "{path: data/start.txt}"
    for number in range(steps):
        amount = ', amount: "${params.amount}"' if number == 0 else ""
        lines += [
            f"  s{number:04}:",
            f"    script: {script.format(number)}",
            f"    inputs: {{before: {source}}}",
            f'    args: {{before: "${{inputs.before}}"{amount}, '
            'after: "${outputs.after}"}',
            "    outputs: {after: after.txt}",
        ]
        source = f"s{number:04}/after"
    return "\n".join(lines) + "\n"


def _loop(table: Table, python: Path, folder: Path, steps: int) -> None:
    folder.mkdir(exist_ok=True)
    _write_scripts(folder, steps)
    lines = [_command(python, number, "1") for number in range(steps)]
    (folder / "loop.sh").write_text("set -e\n" + "\n".join(lines) + "\n")
    table.add(COLD, "shell loop", _sh(folder))


def _sh(folder: Path) -> float:
    return measure(["sh", "loop.sh"], folder, surroundings()).seconds


def _strata(table: Table, tree: BenchTree, steps: int, number: int) -> None:
    def take(row: str, state: str, count: int, *arguments: str) -> None:
        measured, states = tree.run(NAME, *arguments)
        if states.get(state, 0) != count:
            raise AssertionError(f"{row}: {states}, not {count} {state}")
        table.add(row, "strata", measured.seconds)

    tree.forget()
    take(COLD, "done", steps)
    take(NOOP, "cached", steps)
    take(PARAMETER, "done", steps, "--set", "amount=2")
    take(CACHED, "cached", steps)
    script = tree.root / f"src/domains/chain/step{steps // 2:04}.py"
    script.write_text(f"{SCRIPT}# {number}\n")
    # Its output is what it was, so that the steps after it are cached.
    take(EDITED, "done", 1)


def _dvc(table: Table, dvc: Peer, number: int) -> None:
    def take(row: str) -> None:
        table.add(row, "dvc", dvc("repro", "--quiet").seconds)

    remove(dvc.folder / ".dvc/cache")
    for file in (*dvc.folder.glob("after*.txt"), dvc.folder / "dvc.lock"):
        file.unlink(missing_ok=True)
    (dvc.folder / "params.yaml").write_text("amount: 1\n")
    take(COLD)
    take(NOOP)
    (dvc.folder / "params.yaml").write_text("amount: 2\n")
    take(PARAMETER)
    (dvc.folder / "params.yaml").write_text("amount: 1\n")
    take(CACHED)
    _edit_middle(dvc.folder, number)
    take(EDITED)


def _snakemake(table: Table, snakemake: Peer, peers: Peers, number: int) -> None:
    def take(row: str, amount: int) -> None:
        arguments = peers.snakemake_run("--config", f"amount={amount}")
        table.add(row, "snakemake", snakemake(*arguments).seconds)

    for file in snakemake.folder.glob("after*.txt"):
        file.unlink()
    remove(snakemake.folder / ".snakemake")
    take(COLD, 1)
    take(NOOP, 1)
    take(PARAMETER, 2)
    _edit_middle(snakemake.folder, number)
    take(EDITED, 2)


def _derive(table: Table, steps: int) -> None:
    for tool in TOOLS[1:]:
        cold, loop = table.rows[COLD][tool].values, table.median(COLD, "shell loop")
        for seconds in cold:
            table.add(RUN_STEP, tool, (seconds - loop) / steps * 1000, 1)
        if tool in table.rows[CACHED]:
            for seconds in table.rows[CACHED][tool].values:
                table.add(CACHED_STEP, tool, seconds / steps * 1000, 1)


def _write_scripts(folder: Path, steps: int) -> None:
    (folder / "start.txt").write_text("0")
    for number in range(steps):
        (folder / f"step{number:04}.py").write_text(SCRIPT)


def _edit_middle(folder: Path, number: int) -> None:
    scripts = sorted(folder.glob("step*.py"))
    scripts[len(scripts) // 2].write_text(f"{SCRIPT}# {number}\n")


def _command(python: Path, number: int, amount: str) -> str:
    words = [str(python), f"step{number:04}.py", "--before", _before(number)]
    if number == 0:
        words += ["--amount", amount]
    return shlex.join(words) + f" --after after{number:04}.txt"


def _before(number: int) -> str:
    return f"after{number - 1:04}.txt" if number else "start.txt"


def _dvc_chain(python: Path, steps: int) -> str:
    lines = ["stages:"]
    for number in range(steps):
        command = _command(python, number, "AMOUNT").replace("AMOUNT", "${amount}")
        lines += [
            f"  s{number:04}:",
            f"    cmd: {command}",
            f"    deps: [step{number:04}.py, {_before(number)}]",
            f"    outs: [after{number:04}.txt]",
        ]
    return "\n".join(lines) + "\n"


def _snakemake_chain(python: Path, steps: int) -> str:
    lines = [f'rule all:\n    input: "after{steps - 1:04}.txt"\n']
    for number in range(steps):
        command = _command(python, number, "AMOUNT")
        command = command.replace("AMOUNT", "{params.amount}")
        lines += [
            f"rule s{number:04}:",
            f'    input: "step{number:04}.py", "{_before(number)}"',
            f'    output: "after{number:04}.txt"',
            *(['    params: amount=config["amount"]'] if number == 0 else []),
            f'    shell: "{command}"\n',
        ]
    return "\n".join(lines)
