"""Compare item2vec's steps with the same work in a notebook.

Both go from the same file of invented ratings to vectors, scores and pictures, with the
same settings. Ours are five programs, one after the other, that leave checked tables
for each other; what is counted is the sum of their times and the memory of the largest.
The notebook is benchmarks/item2vec_notebook.py, one program that keeps everything in
memory. Its reader takes no malformed lines, so the file has none.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.tables import Table
from benchmarks.timing import Measured, measure
from common.command_line import Parser, positive_int, run, say, warn

_OURS, _NOTEBOOK = "ours", "notebook"
_STEPS = ("load", "clean", "preprocess", "train", "evaluate")
_MODULES = "domains.product_recommendation.item2vec"
# Ours' defaults, spelled out so that both have the same.
_CLEANING = {"max_ratings_per_user": "1000"}
_TRAINING = {
    "dimensions": "64",
    "window": "30",
    "negative": "5",
    "sample": "1e-4",
    "learning_rate": "0.05",
    "min_count": "5",
    "epochs": "10",
}
_EVALUATION = {"users": "20000", "resamples": "1000", "map_products": "1000"}
_TIME, _MEMORY = "file to scores (s)", "largest process (MiB)"
_PROCESSOR = "processor time (s)"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print.

    Args:
        arguments: The command's arguments; None takes those of the process.
    """
    args = _parser().parse_args(arguments)
    title = (
        f"{args.ratings:,} ratings by {args.users:,} users of {args.products:,} "
        f"products, {args.workers} worker(s); medians, lowest and highest"
    )
    table = Table(title, (_NOTEBOOK, _OURS))
    with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
        folder = Path(scratch)
        warn("inventing the ratings ...")
        shop = folder / "shop"
        _step(
            "generate",
            folder,
            {
                "ratings": str(args.ratings),
                "users": str(args.users),
                "products": str(args.products),
                "defects": "0",
                "output_path": str(shop),
            },
        )
        for number in range(1, args.rounds + 1):
            warn(f"round {number} of {args.rounds}: notebook ...")
            _measure_notebook(table, folder, shop, str(args.workers), number)
            warn(f"round {number} of {args.rounds}: ours ...")
            _measure_ours(table, folder, shop, str(args.workers))
    facts = {
        **machine(),
        **{name: version(name) for name in ("gensim", "numpy", "pandas")},
    }
    ratios = {
        row: table.median(row, _OURS) / table.median(row, _NOTEBOOK)
        for row in (_TIME, _PROCESSOR, _MEMORY)
    }
    if args.json:
        found = {"machine": facts, "table": table.document(), "ratios": ratios}
        say(json.dumps(found, indent=2))
        return
    for name, fact in facts.items():
        say(f"{name:<22}{fact}")
    table.write(say)
    for row, ratio in ratios.items():
        say(f"{'ours / notebook':<22}{ratio:.2f}  {row}")


def _measure_notebook(
    table: Table, folder: Path, shop: Path, workers: str, number: int
) -> None:
    flags = {
        "ratings": str(shop / "reviews.jsonl.gz"),
        "products": str(shop / "products.jsonl.gz"),
        "output": str(folder / f"notebook{number}"),
        **_CLEANING,
        **_TRAINING,
        **_EVALUATION,
        "workers": workers,
    }
    measured = _python("benchmarks.item2vec_notebook", folder, flags)
    table.add(_TIME, _NOTEBOOK, measured.seconds, 1)
    table.add(_PROCESSOR, _NOTEBOOK, measured.processor_seconds, 1)
    table.add(_MEMORY, _NOTEBOOK, measured.peak, 0)
    scores = json.loads(measured.output.splitlines()[-1])
    for method, found in scores.items():
        table.add(f"hit rate@10 (%), {method}", _NOTEBOOK, 100 * found["hit_rate@10"])


def _measure_ours(table: Table, folder: Path, shop: Path, workers: str) -> None:
    flags = {
        "load": {
            "ratings": str(shop / "reviews.jsonl.gz"),
            "products": str(shop / "products.jsonl.gz"),
        },
        "clean": _CLEANING,
        "preprocess": {},
        "train": {**_TRAINING, "workers": workers},
        "evaluate": _EVALUATION,
    }
    measured = {name: _step(name, folder, flags[name]) for name in _STEPS}
    table.add(_TIME, _OURS, sum(one.seconds for one in measured.values()), 1)
    worked = sum(one.processor_seconds for one in measured.values())
    table.add(_PROCESSOR, _OURS, worked, 1)
    table.add(_MEMORY, _OURS, max(one.peak for one in measured.values()), 0)
    for name, one in measured.items():
        table.add(f"{name} (s)", _OURS, one.seconds, 1)
        table.add(f"{name}: processor (s)", _OURS, one.processor_seconds, 1)
        table.add(f"{name} (MiB)", _OURS, one.peak, 0)
    output = folder / "outputs/product_recommendation/item2vec/evaluate"
    scores = json.loads((output / "metrics.json").read_text())["methods"]
    for method, found in scores.items():
        rate = found["hit_rate"]["10"]["value"]
        table.add(f"hit rate@10 (%), {method}", _OURS, 100 * rate)


def _step(name: str, folder: Path, flags: dict[str, str]) -> Measured:
    return _python(f"{_MODULES}.{name}", folder, flags)


def _python(module: str, folder: Path, flags: dict[str, str]) -> Measured:
    words = [word for name, value in flags.items() for word in (f"--{name}", value)]
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PEX", "PYTHON", "VIRTUAL_ENV", "__PEX"))
    }
    return measure(
        [sys.executable, "-m", module, *words], folder, _with_path(variables)
    )


def _with_path(variables: dict[str, str]) -> dict[str, str]:
    """Have a program find the sources that this one has."""
    paths = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    return {**variables, "PYTHONPATH": paths}


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "item2vec",
        "Compare item2vec's steps, from a file of ratings to scores and pictures, with "
        "the same work in a notebook of pandas and gensim.",
        "./pants run benchmarks:item2vec -- --rounds 1",
    )
    parser.add_argument(
        "--ratings",
        type=positive_int,
        default=1_000_000,
        metavar="N",
        help="ratings in the file",
    )
    parser.add_argument(
        "--users", type=positive_int, default=60_000, metavar="N", help="users"
    )
    parser.add_argument(
        "--products", type=positive_int, default=12_000, metavar="N", help="products"
    )
    parser.add_argument(
        "--workers",
        type=positive_int,
        default=1,
        metavar="N",
        help="threads that learn; ours is repeatable with one",
    )
    parser.add_argument(
        "--rounds",
        type=positive_int,
        default=3,
        metavar="N",
        help="how often each is measured, in turn",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="FOLDER",
        help="where the temporary folder is made; the system's place if left out",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON and nothing else"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run("item2vec", main))
