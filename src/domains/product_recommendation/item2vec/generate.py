"""Invent a shop's ratings, in the form of the public review data sets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.command_line import Parser, non_negative_int, positive_int, run, say
from common.errors import UserError
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import add_output_argument, say_done
from domains.product_recommendation.item2vec import options

_MOST_PAIRS = 4


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the ratings and the products' descriptions to the output folder.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument or the output folder is wrong.
    """
    args = _parser().parse_args(arguments)
    if args.ratings_name == args.products_name:
        raise UserError(f"--products_name {args.products_name} is the ratings' name")
    if args.ratings * _MOST_PAIRS > args.users * args.products:
        raise UserError(
            f"--ratings {args.ratings} are too many: {args.users:,} users and "
            f"{args.products:,} products are good for "
            f"{args.users * args.products // _MOST_PAIRS:,}"
        )
    check_output_folder(args.output_path, "generate")

    # Only now: neither --help nor a wrong flag needs it.
    from domains.product_recommendation.item2vec.shop import (
        Shop,
        product_lines,
        rating_lines,
    )

    shop = Shop(
        people=args.users,
        products=args.products,
        ratings=args.ratings,
        noise=args.noise,
        defects=args.defects,
        bots=args.bots,
        seed=args.seed,
    )
    this_run = Run("generate", options.as_json(args), options.PACKAGES)
    with output_folder(args.output_path, this_run) as folder:
        path = folder / args.ratings_name
        lines = _write(path, rating_lines(shop), args.ratings, "ratings")
        size = path.stat().st_size
        say(f"{args.ratings_name}: {lines:,} lines, {size:,} bytes")
        path = folder / args.products_name
        lines = _write(path, product_lines(shop), args.products, "products")
        say(f"{args.products_name}: {lines:,} lines, {path.stat().st_size:,} bytes")
    counts = f"{args.ratings:,} ratings by {args.users:,} users"
    say_done("Invented", f"{counts}, of {args.products:,} products", args.output_path)
    names = [
        args.output_path / name for name in (args.ratings_name, args.products_name)
    ]
    options.SCRIPTS.say_next(
        "load", "--ratings", str(names[0]), "--products", str(names[1])
    )


def _write(path: Path, lines: Iterator[bytes], count: int, title: str) -> int:
    from common.byte_streams import open_packed
    from common.work_progress import shown_progress

    written = 0
    with (
        open_packed(path) as file,
        shown_progress(title, count, "lines") as advance,
    ):
        for line in lines:
            file.write(line)
            advance(1)
            written += 1
    return written


def _file_name(text: str) -> str:
    if not text or Path(text).name != text or text == "run.json":
        raise argparse.ArgumentTypeError(f"{text!r} is not a file's name")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "generate",
        "Invent a shop: products in categories, people with tastes, and the defects of "
        "real data. Written as JSON lines, in the form of the public review data sets.",
        options.SCRIPTS.command("generate", "--ratings", "1000000", "--users", "60000"),
    )
    parser.add_argument(
        "--users",
        type=positive_int,
        default=5_000,
        metavar="N",
        help="people who rate",
    )
    parser.add_argument(
        "--products", type=positive_int, default=1_500, metavar="N", help="products"
    )
    parser.add_argument(
        "--ratings",
        type=positive_int,
        default=100_000,
        metavar="N",
        help="ratings, without those that come twice and those of bots",
    )
    parser.add_argument(
        "--noise",
        type=options.fraction,
        default=0.2,
        metavar="SHARE",
        help="the share of ratings that have nothing to do with taste",
    )
    parser.add_argument(
        "--defects",
        type=options.fraction,
        default=0.01,
        metavar="SHARE",
        help="the share of lines that are spoilt; as many come twice",
    )
    parser.add_argument(
        "--bots",
        type=non_negative_int,
        default=3,
        metavar="N",
        help="users that rate up to 3,000 products with the best grade in a day",
    )
    parser.add_argument(
        "--seed",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="the same seed gives the same shop",
    )
    parser.add_argument(
        "--ratings_name",
        type=_file_name,
        default="reviews.jsonl.gz",
        metavar="NAME",
        help="file of the ratings; packed if it ends in .gz or .zst",
    )
    parser.add_argument(
        "--products_name",
        type=_file_name,
        default="products.jsonl.gz",
        metavar="NAME",
        help="file of the products' descriptions; packed likewise",
    )
    add_output_argument(parser, options.OUTPUTS / "generate")
    return parser


if __name__ == "__main__":
    sys.exit(run("generate", main))
