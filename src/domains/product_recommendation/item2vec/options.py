"""What the commands have in common on their command lines."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.byte_streams import is_address, shown_name
from common.task_scripts import TaskScripts

SCRIPTS = TaskScripts("product_recommendation/item2vec")
OUTPUTS = SCRIPTS.outputs

# The distributions whose versions decide what a run computes.
PACKAGES = ("gensim", "numpy", "orjson", "pandas", "pandera", "scikit-learn", "scipy")

RATINGS_FILE = "ratings.csv"
PRODUCTS_FILE = "products.csv"
SENTENCES_FILE = "sentences.csv"
HELD_OUT_FILE = "held_out.csv"
REPORT_FILE = "report.json"


def add_input_argument(
    parser: argparse.ArgumentParser, name: str, default: Path, text: str
) -> None:
    """Add a flag for a file that another command has left."""
    parser.add_argument(name, type=Path, default=default, metavar="FILE", help=text)


def add_products_argument(parser: argparse.ArgumentParser) -> None:
    """Add --products for cleaned products."""
    add_input_argument(
        parser,
        "--products",
        OUTPUTS / "clean" / PRODUCTS_FILE,
        "titles and categories, as clean leaves them; it may hold none",
    )


def add_sentences_argument(parser: argparse.ArgumentParser) -> None:
    """Add --sentences."""
    add_input_argument(
        parser,
        "--sentences",
        OUTPUTS / "preprocess" / SENTENCES_FILE,
        "what each user liked, as preprocess leaves it",
    )


def add_vectors_argument(parser: argparse.ArgumentParser) -> None:
    """Add --vectors."""
    parser.add_argument(
        "--vectors",
        type=Path,
        default=OUTPUTS / "train" / "vectors",
        metavar="FOLDER",
        help="the products' vectors, as train leaves them",
    )


def fraction(text: str) -> float:
    """Parse a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def as_json(arguments: argparse.Namespace) -> dict[str, object]:
    """Give parsed arguments as JSON values, by name, without what is secret."""
    return {name: _json(value) for name, value in sorted(vars(arguments).items())}


def changed_input(path: Path, command: str, name: str, flag: str) -> list[str]:
    """Give the flag with which a next command finds what this one wrote.

    Args:
        path: The output folder.
        command: Whose default output folder needs no flag.
        name: The file or folder in it that is read.
        flag: The next command's flag.
    """
    return [] if path == OUTPUTS / command else [flag, str(path / name)]


def _json(value: object) -> object:
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, str) and is_address(value):
        return shown_name(value)
    return str(value) if isinstance(value, Path) else value
