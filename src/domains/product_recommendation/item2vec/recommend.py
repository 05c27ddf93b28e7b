"""Recommend the products nearest to one product or to a basket, or for a whole file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.command_line import Parser, positive_int, run, say
from common.errors import UserError
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import add_output_argument, say_done
from domains.product_recommendation.item2vec import options

_FILE = "recommendations.csv"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print recommendations for a basket, or write recommendations.csv for a file.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, a product, a table, the vectors or the output folder is
            wrong.
    """
    args = _parser().parse_args(arguments)
    if bool(args.basket) == (args.csv is not None):
        raise UserError("name one product or more, or a file with --csv")
    if args.csv is not None:
        check_output_folder(args.output_path, "recommend")

    # Only now: pandas takes a second, and neither --help nor a wrong flag needs it.
    from common.csv_tables import read_table
    from domains.product_recommendation.item2vec import tables
    from domains.product_recommendation.item2vec.neighbours import Recommender
    from domains.product_recommendation.item2vec.vectors import load_vectors

    vectors = load_vectors(args.vectors)
    about = read_table(args.products, tables.PRODUCTS)
    titles = {
        name: title
        for name, title in zip(about["product"].tolist(), about["title"].tolist())
        if isinstance(title, str)
    }
    recommender = Recommender(vectors, titles)
    if args.csv is not None:
        _score_file(args, recommender)
        return
    basket = [recommender.find(text) for text in args.basket]
    for name in basket:
        say(f"{'Liked':<10}{recommender.shown(name)}")
    for name, score in recommender.nearest(basket, args.top):
        say(f"{score:<10.4f}{recommender.shown(name)}")


def _score_file(args: argparse.Namespace, recommender: object) -> None:
    from common.csv_tables import read_parts
    from common.work_progress import shown_progress
    from domains.product_recommendation.item2vec import tables
    from domains.product_recommendation.item2vec.neighbours import Recommender

    assert isinstance(recommender, Recommender)
    this_run = Run("recommend", options.as_json(args), options.PACKAGES)
    left = args.limit
    users = served = unknown = 0
    with (
        output_folder(args.output_path, this_run) as folder,
        (folder / _FILE).open("w", newline="", encoding="utf-8") as file,
        shown_progress("recommending", left, "users") as advance,
    ):
        file.write(",".join(tables.RECOMMENDATIONS.columns) + "\n")
        for part in read_parts(args.csv, tables.SENTENCES, args.batch_size):
            if left is not None:
                part = part.head(left - users)
            baskets = [text.split(" ") for text in part["products"].tolist()]
            table, strangers = recommender.for_baskets(
                part["user"].tolist(), baskets, args.top
            )
            tables.RECOMMENDATIONS.validate(table).to_csv(
                file,
                index=False,
                header=False,
                lineterminator="\n",
                float_format="%.4f",
            )
            users += len(part)
            unknown += strangers
            served += int((table["rank"] == 1).sum())
            advance(len(part))
            if users == left:
                break
    if unknown:
        say(f"{unknown:,} products in the baskets have no vector and were left out")
    say_done("Recommended", f"for {served:,} of {users:,} users", args.output_path)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "recommend",
        "Recommend the products nearest to one product, to a basket of several, or to "
        "what each user of a file liked.",
        options.SCRIPTS.command(
            "recommend", "--csv", str(options.OUTPUTS / "preprocess/sentences.csv")
        ),
    )
    parser.add_argument(
        "basket",
        nargs="*",
        metavar="PRODUCT",
        help="products that are liked: their identifiers, or their whole titles",
    )
    parser.add_argument(
        "--csv",
        type=Path,
        metavar="FILE",
        help="a table of users and the products that each likes, with spaces between "
        "them (user,products), as preprocess leaves it",
    )
    parser.add_argument(
        "--top",
        type=positive_int,
        default=10,
        metavar="N",
        help="how many products to recommend",
    )
    parser.add_argument(
        "--limit",
        type=positive_int,
        metavar="N",
        help="with --csv, the first N users only",
    )
    parser.add_argument(
        "--batch_size",
        type=positive_int,
        default=1_000,
        metavar="N",
        help="with --csv, users that are in memory at a time",
    )
    options.add_vectors_argument(parser)
    options.add_products_argument(parser)
    add_output_argument(parser, options.OUTPUTS / "recommend")
    return parser


if __name__ == "__main__":
    sys.exit(run("recommend", main))
