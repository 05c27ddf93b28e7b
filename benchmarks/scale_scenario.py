"""Many steps, and many items: whether time grows with their number, and memory not."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bench_tree import BenchTree
from benchmarks.chain_scenario import SCRIPT, strata_chain
from benchmarks.peers import remove
from benchmarks.tables import Table

_MAP = """\
steps:
  count:
    script: step
    map: items
    inputs: {items: {path: data/items}}
    args: {before: "${inputs.items}", after: "${outputs.after}"}
    outputs: {after: after.txt}
"""


def measure_scale(
    tree: BenchTree, steps: int, items: int, write_line: Callable[[str], None]
) -> list[Table]:
    """Measure ./strata at a quarter, at half and at all of the steps and items.

    Args:
        tree: Where it works.
        steps: The length of the longest chain.
        items: The most items that a step maps over.
        write_line: Is told how far it is.
    """
    sizes = [(number, number * steps // 4) for number in (1, 2, 4)]
    build = "domain()\n\npython_sources()\n"
    sources = {
        "src/domains/long/BUILD": build,
        "src/domains/long/step.py": SCRIPT,
        "src/domains/many/BUILD": build,
        "src/domains/many/step.py": SCRIPT,
        "src/domains/many/pipeline.yaml": _MAP,
    }
    for number, count in sizes:
        name = f"src/domains/long/quarters{number}/pipeline.yaml"
        sources[name] = strata_chain(count, "src/domains/long:step")
    tree.write(sources)
    (tree.root / "data").mkdir(exist_ok=True)
    (tree.root / "data/start.txt").write_text("0")
    return [
        _chains(tree, sizes, write_line),
        _items(tree, items, write_line),
    ]


def _chains(
    tree: BenchTree, sizes: list[tuple[int, int]], write_line: Callable[[str], None]
) -> Table:
    columns = tuple(f"{count:,} steps" for _, count in sizes)
    table = Table("./strata, chains of steps", columns)
    for (number, count), column in zip(sizes, columns):
        write_line(column)
        # A longer chain begins as a shorter one does.
        tree.forget()
        # So that Pants' time for the graph is none of the run's.
        name = f"long/quarters{number}"
        tree.strata("plan", name, "--store", tree.store)
        measured, states = tree.run(name)
        if states != {"done": count}:
            raise AssertionError(f"{states}, not {count} done")
        table.add("run: seconds", column, measured.seconds)
        table.add("run: ms a step", column, measured.seconds / count * 1000, 1)
        table.add("run: peak MiB", column, measured.peak, 0)
        measured, states = tree.run(name)
        if states != {"cached": count}:
            raise AssertionError(f"{states}, not {count} cached")
        table.add("no-op: seconds", column, measured.seconds)
        table.add("no-op: ms a step", column, measured.seconds / count * 1000, 2)
        table.add("no-op: peak MiB", column, measured.peak, 0)
    tree.forget()
    return table


def _items(tree: BenchTree, items: int, write_line: Callable[[str], None]) -> Table:
    sizes = [number * items // 4 for number in (1, 2, 4)]
    columns = tuple(f"{count:,} items" for count in sizes)
    table = Table("./strata, a step that maps; the items grow", columns)
    folder = tree.root / "data/items"
    folder.mkdir()
    there = 0
    for count, column in zip(sizes, columns):
        write_line(column)
        for number in range(there, count):
            (folder / f"{number:06}.txt").write_text(str(number))
        new, there = count - there, count
        tree.strata("plan", "many", "--store", tree.store)
        measured, _ = tree.run("many")
        table.add("items that run", column, new, 0)
        table.add("run: seconds", column, measured.seconds)
        table.add("run: ms an item that runs", column, measured.seconds / new * 1e3, 1)
        table.add("run: peak MiB", column, measured.peak, 0)
        measured, states = tree.run("many")
        if states != {"cached": 1}:
            raise AssertionError(f"{states}, not cached")
        table.add("no-op: seconds", column, measured.seconds)
        table.add("no-op: peak MiB", column, measured.peak, 0)
        (folder / "000000.txt").write_text(str(count + 1))
        measured, _ = tree.run("many")
        table.add("one item changed: seconds", column, measured.seconds)
        table.add("one item changed: peak MiB", column, measured.peak, 0)
    remove(folder)
    tree.forget()
    return table
