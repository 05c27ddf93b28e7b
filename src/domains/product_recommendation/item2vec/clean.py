"""Drop ratings that say nothing about taste, and say in a report how many and why."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

from common.command_line import Parser, positive_int, run, say
from common.errors import UserError
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import add_output_argument, say_done
from domains.product_recommendation.item2vec import options


def main(arguments: Sequence[str] | None = None) -> None:
    """Write ratings.csv, products.csv and report.json to the output folder.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, a table or the output folder is wrong, or nothing is
            left.
    """
    args = _parser().parse_args(arguments)
    if args.min_value > args.max_value:
        raise UserError(
            f"--min_value {args.min_value:g} is above --max_value {args.max_value:g}"
        )
    check_output_folder(args.output_path, "clean")

    # Only now: pandas takes a second, and neither --help nor a wrong flag needs it.
    from common.csv_tables import read_table, write_table
    from common.json_files import write_json
    from domains.product_recommendation.item2vec import tables
    from domains.product_recommendation.item2vec.cleaning import (
        Bounds,
        clean_products,
        clean_ratings,
    )

    bounds = Bounds(args.min_value, args.max_value, args.max_ratings_per_user)
    loaded = read_table(args.ratings, tables.LOADED_RATINGS)
    about = read_table(args.products, tables.LOADED_PRODUCTS)
    ratings, report = clean_ratings(loaded, bounds)
    del loaded
    if ratings.empty:
        raise UserError(
            f"{args.ratings}: no rating is left; most were dropped as "
            f"{max(report.dropped, key=report.dropped.__getitem__)}"
        )
    products, products_report = clean_products(about, ratings)
    this_run = Run("clean", options.as_json(args), options.PACKAGES)
    with output_folder(args.output_path, this_run) as folder:
        schema = tables.ratings(args.min_value, args.max_value)
        write_table(folder / options.RATINGS_FILE, ratings, schema)
        write_table(folder / options.PRODUCTS_FILE, products, tables.PRODUCTS)
        write_json(
            folder / options.REPORT_FILE,
            {"ratings": report.as_dict(), "products": products_report},
        )
        for reason, count in report.dropped.items():
            say(f"{count:>12,}  {reason.replace('_', ' ')}")
    counts = f"{report.kept:,} of {report.read:,} ratings, {report.users:,} users"
    say_done("Kept", f"{counts}, {report.products:,} products", args.output_path)
    ratings_flag = options.changed_input(
        args.output_path, "clean", options.RATINGS_FILE, "--ratings"
    )
    options.SCRIPTS.say_next("preprocess", *ratings_flag)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "clean",
        "Drop ratings with something missing or out of bounds, what was rated twice, "
        "and everything by users with so many ratings that they are no people.",
        options.SCRIPTS.command("clean", "--max_ratings_per_user", "500"),
    )
    loaded = options.OUTPUTS / "load"
    options.add_input_argument(
        parser,
        "--ratings",
        loaded / options.RATINGS_FILE,
        "ratings, as load leaves them",
    )
    options.add_input_argument(
        parser,
        "--products",
        loaded / options.PRODUCTS_FILE,
        "titles and categories, as load leaves them; it may hold none",
    )
    parser.add_argument(
        "--min_value",
        type=_finite,
        default=1.0,
        metavar="RATING",
        help="the lowest rating that there is",
    )
    parser.add_argument(
        "--max_value",
        type=_finite,
        default=5.0,
        metavar="RATING",
        help="the highest",
    )
    parser.add_argument(
        "--max_ratings_per_user",
        type=positive_int,
        default=1_000,
        metavar="N",
        help="who rated more products than that is a bot",
    )
    add_output_argument(parser, options.OUTPUTS / "clean")
    return parser


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


if __name__ == "__main__":
    sys.exit(run("clean", main))
