"""Turn ratings into sentences of liked products, and hold out what was liked last."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from common.command_line import Parser, positive_float, positive_int, run
from common.errors import UserError
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import add_output_argument, say_done
from domains.product_recommendation.item2vec import options


def main(arguments: Sequence[str] | None = None) -> None:
    """Write sentences.csv, held_out.csv and report.json to the output folder.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, the ratings or the output folder is wrong, or no user
            liked two products.
    """
    args = _parser().parse_args(arguments)
    if args.min_liked < 3:
        raise UserError(
            f"--min_liked {args.min_liked} is below 3: without the product that is "
            "held out, a sentence needs two"
        )
    check_output_folder(args.output_path, "preprocess")

    # Only now: pandas takes a second, and neither --help nor a wrong flag needs it.
    from common.csv_tables import read_table, write_table
    from common.json_files import write_json
    from domains.product_recommendation.item2vec import tables
    from domains.product_recommendation.item2vec.sentences import split_ratings

    ratings = read_table(args.ratings, tables.ratings())
    count = len(ratings)
    sentences, held_out, liked = split_ratings(ratings, args.min_rating, args.min_liked)
    if sentences.empty:
        raise UserError(
            f"{args.ratings}: no user rated two products {args.min_rating:g} or "
            "better; lower --min_rating"
        )
    this_run = Run("preprocess", options.as_json(args), options.PACKAGES)
    with output_folder(args.output_path, this_run) as folder:
        write_table(folder / options.SENTENCES_FILE, sentences, tables.SENTENCES)
        write_table(folder / options.HELD_OUT_FILE, held_out, tables.HELD_OUT)
        report = {
            "ratings": count,
            "liked": liked,
            "sentences": len(sentences),
            "held_out": len(held_out),
        }
        write_json(folder / options.REPORT_FILE, report)
    say_done(
        "Sentences",
        f"{len(sentences):,} from {liked:,} liked, {len(held_out):,} products held out",
        args.output_path,
    )
    flags = options.changed_input(
        args.output_path, "preprocess", options.SENTENCES_FILE, "--sentences"
    )
    options.SCRIPTS.say_next("train", *flags)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "preprocess",
        "Write for each user one sentence of the products that the user liked, in the "
        "order of time. The last one is held out, to evaluate by.",
        options.SCRIPTS.command("preprocess", "--min_rating", "3"),
    )
    options.add_input_argument(
        parser,
        "--ratings",
        options.OUTPUTS / "clean" / options.RATINGS_FILE,
        "ratings, as clean leaves them",
    )
    parser.add_argument(
        "--min_rating",
        type=positive_float,
        default=4.0,
        metavar="RATING",
        help="who rates a product so, or better, likes it",
    )
    parser.add_argument(
        "--min_liked",
        type=positive_int,
        default=3,
        metavar="N",
        help="hold something out only of users who liked at least so many products; "
        "who liked one only has no sentence",
    )
    add_output_argument(parser, options.OUTPUTS / "preprocess")
    return parser


if __name__ == "__main__":
    sys.exit(run("preprocess", main))
