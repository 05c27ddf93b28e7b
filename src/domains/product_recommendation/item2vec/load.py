"""Bring ratings and what is known about products into tables, from anywhere."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from common.command_line import Parser, one_of, run, say
from common.outputs import Run, check_output_folder, output_folder
from common.record_files import FIELDS_HELP, FORMS, Field, parse_fields
from common.task_scripts import add_output_argument, say_done
from domains.product_recommendation.item2vec import options

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

# As the public review data sets name them; the column's kind follows from its type.
_RATING_FIELDS = (
    Field("user", "identifier", ("reviewerID", "user_id")),
    Field("product", "identifier", ("asin", "parent_asin")),
    Field("rating", "number", ("overall", "rating")),
    Field("time", "whole", ("unixReviewTime", "timestamp")),
)
_PRODUCT_FIELDS = (
    Field("product", "identifier", ("asin", "parent_asin")),
    Field("title", "text", ("title",), required=False),
    Field(
        "category",
        "text",
        ("main_cat", "main_category", "category.0", "categories.0.0", "categories.0"),
        required=False,
    ),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write ratings.csv and products.csv, and a report on the lines that were read.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, a source or the output folder is wrong, or too many
            lines are malformed.
        RunError: A source stops arriving.
    """
    args = _parser().parse_args(arguments)
    rating_fields = parse_fields(args.fields, _RATING_FIELDS)
    product_fields = parse_fields(args.product_fields, _PRODUCT_FIELDS)
    delimiter = _delimiter(args.delimiter)
    check_output_folder(args.output_path, "load")

    # Only now: pandas takes a second, and neither --help nor a wrong flag needs it.
    from common.csv_tables import check_table
    from common.json_files import write_json
    from common.record_files import Reading, write_table_of
    from domains.product_recommendation.item2vec import tables

    readings: dict[str, Reading] = {}

    def load(
        source: str, name: str, fields: list[Field], schema: DataFrameSchema
    ) -> None:
        readings[name] = write_table_of(
            source,
            folder / f"{name}.csv",
            fields,
            form=args.format,
            delimiter=delimiter,
            header=args.columns if name == "ratings" else (),
            max_bad_fraction=args.max_bad_fraction,
            title=name,
        )
        check_table(folder / f"{name}.csv", schema)
        say(f"{name:<10}{_summary(readings[name])}")

    this_run = Run("load", options.as_json(args), options.PACKAGES)
    with output_folder(args.output_path, this_run) as folder:
        load(args.ratings, "ratings", rating_fields, tables.LOADED_RATINGS)
        if args.products is not None:
            load(args.products, "products", product_fields, tables.LOADED_PRODUCTS)
        else:
            header = ",".join(tables.LOADED_PRODUCTS.columns) + "\n"
            (folder / options.PRODUCTS_FILE).write_text(header)
        report = {name: reading.as_dict() for name, reading in readings.items()}
        write_json(folder / options.REPORT_FILE, report)
    rows = f"{readings['ratings'].rows:,} ratings"
    if "products" in readings:
        rows += f", {readings['products'].rows:,} products"
    say_done("Loaded", rows, args.output_path)
    at = args.output_path
    ratings = options.changed_input(at, "load", options.RATINGS_FILE, "--ratings")
    products = options.changed_input(at, "load", options.PRODUCTS_FILE, "--products")
    options.SCRIPTS.say_next("clean", *ratings, *products)


def _summary(reading: object) -> str:
    from common.record_files import Reading

    assert isinstance(reading, Reading)
    packed = "" if reading.compression == "none" else f", {reading.compression}"
    text = f"{reading.rows:,} of {reading.lines:,} lines ({reading.form}{packed})"
    return text + (f", {reading.malformed:,} malformed" if reading.malformed else "")


def _delimiter(text: str) -> str:
    return "\t" if text == "tab" else text


def _one_character(text: str) -> str:
    if text != "tab" and len(text) != 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not one character, nor tab")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "load",
        "Bring ratings, and optionally what is known about products, into CSV tables. "
        "They may lie at a path or at an address (http, https, s3, az, gs), plain or "
        "packed with gzip or zstd. Credentials are taken from the environment.",
        options.SCRIPTS.command("load", "--ratings", "data/reviews.jsonl.gz"),
    )
    generated = options.OUTPUTS / "generate"
    parser.add_argument(
        "--ratings",
        default=str(generated / "reviews.jsonl.gz"),
        metavar="SOURCE",
        help="path or address of the ratings",
    )
    parser.add_argument(
        "--products",
        metavar="SOURCE",
        help="path or address of titles and categories",
    )
    parser.add_argument(
        "--format",
        type=one_of(*FORMS),
        default="jsonl",
        metavar="{jsonl,csv}",
        help="an object in each line, or a CSV with a header line",
    )
    parser.add_argument(
        "--fields",
        nargs="+",
        default=[],
        metavar="FIELD=COLUMN",
        help=f"{FIELDS_HELP} ({_shown(_RATING_FIELDS)})",
    )
    parser.add_argument(
        "--product_fields",
        nargs="+",
        default=[],
        metavar="FIELD=COLUMN",
        help=f"the same for the products ({_shown(_PRODUCT_FIELDS)})",
    )
    parser.add_argument(
        "--delimiter",
        type=_one_character,
        default=",",
        metavar="CHARACTER",
        help="what separates a CSV's values; tab for a tab",
    )
    parser.add_argument(
        "--columns",
        nargs="+",
        default=[],
        metavar="FIELD",
        help="the fields' names, in order, where a CSV of ratings has no header line",
    )
    parser.add_argument(
        "--max_bad_fraction",
        type=options.fraction,
        default=0.01,
        metavar="SHARE",
        help="the share of malformed lines to put up with, from 0 to 1",
    )
    add_output_argument(parser, options.OUTPUTS / "load")
    return parser


def _shown(fields: Sequence[Field]) -> str:
    return " ".join(f"{'|'.join(field.paths)}={field.column}" for field in fields)


if __name__ == "__main__":
    sys.exit(run("load", main))
