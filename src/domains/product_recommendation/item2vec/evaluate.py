"""Score vectors by the products that were held out, beside two simple methods."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from common.command_line import Parser, non_negative_int, positive_int, run, say
from common.errors import UserError
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import add_output_argument, say_done
from domains.product_recommendation.item2vec import options

if TYPE_CHECKING:
    from domains.product_recommendation.item2vec.ranking import Scores

_CUTOFFS = (1, 2, 5, 10, 20, 50, 100)
_SHOWN_CUTOFF = 10
_DIGITS = 6


def main(arguments: Sequence[str] | None = None) -> None:
    """Write metrics.json, metrics.png and map.png to the output folder.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, a table, the vectors or the output folder is wrong.
    """
    args = _parser().parse_args(arguments)
    check_output_folder(args.output_path, "evaluate")

    # Only now: it takes seconds, and neither --help nor a wrong flag needs it.
    import numpy as np

    from common.csv_tables import read_table
    from common.json_files import write_json
    from domains.product_recommendation.item2vec import tables
    from domains.product_recommendation.item2vec.pictures import save_map, save_scores
    from domains.product_recommendation.item2vec.ranking import (
        baskets,
        held_out_ranks,
        score_ranks,
    )
    from domains.product_recommendation.item2vec.sentences import read_sentences
    from domains.product_recommendation.item2vec.vectors import load_vectors

    vectors = load_vectors(args.vectors)
    held_out = read_table(args.held_out, tables.HELD_OUT)
    about = read_table(args.products, tables.PRODUCTS)
    sentences = read_sentences(args.sentences)
    if held_out.empty:
        raise UserError(f"{args.held_out} holds no products to evaluate by")
    if len(held_out) > args.users:
        random = np.random.default_rng(args.seed)
        chosen = random.choice(len(held_out), args.users, replace=False)
        held_out = held_out.iloc[np.sort(chosen)]
    row_of = {user: row for row, user in enumerate(sentences.users.tolist())}
    users = held_out["user"].tolist()
    missing = [user for user in users if user not in row_of]
    if missing:
        raise UserError(
            f"{args.held_out} has the user {missing[0]}, whom {args.sentences} lacks; "
            "both have to be of one preprocess"
        )
    number_of = {name: n for n, name in enumerate(sentences.products.tolist())}
    targets = [number_of.get(name, -1) for name in held_out["product"].tolist()]

    this_run = Run("evaluate", options.as_json(args), options.PACKAGES)
    with output_folder(args.output_path, this_run) as folder:
        say(f"{len(users):,} users, {len(sentences.products):,} products")
        ranks = held_out_ranks(
            baskets(sentences),
            sentences.products,
            np.asarray([row_of[user] for user in users]),
            np.asarray(targets),
            vectors,
        )
        scores, ahead = score_ranks(ranks, _CUTOFFS, args.resamples, args.seed)
        known = set(vectors.products.tolist())
        metrics = {
            "users": len(users),
            "products": len(sentences.products),
            "products_with_vector": len(known),
            "held_out_without_vector": sum(
                name not in known for name in held_out["product"].tolist()
            ),
            "intervals": "95 %; hit rates: Wilson; MRR and differences: percentile "
            f"bootstrap over users, {args.resamples} draws",
            "methods": {name: asdict(found) for name, found in scores.items()},
            "mrr_ahead_of": {name: asdict(found) for name, found in ahead.items()},
        }
        write_json(folder / "metrics.json", _rounded(metrics))
        save_scores(folder / "metrics.png", scores, len(users), _finding(scores))
        category_of = dict(
            zip(about["product"].tolist(), about["category"].tolist(), strict=True)
        )
        categories = [category_of.get(name) for name in vectors.products.tolist()]
        save_map(
            folder / "map.png",
            vectors,
            [name if isinstance(name, str) else None for name in categories],
            args.map_products,
            args.seed,
        )
        _say_scores(scores)
    say_done("Evaluated", _finding(scores), args.output_path)
    flags = []
    if args.vectors != options.OUTPUTS / "train" / "vectors":
        flags = ["--vectors", str(args.vectors)]
    options.SCRIPTS.say_next("recommend", str(vectors.products[0]), *flags)


def _say_scores(scores: dict[str, Scores]) -> None:
    say(f"\n{'':<15}{f'hit rate@{_SHOWN_CUTOFF}':<26}MRR")
    for name, found in scores.items():
        hit = found.hit_rate[_SHOWN_CUTOFF]
        rate = f"{hit.value:.2%} ({hit.low:.2%} to {hit.high:.2%})"
        mrr = f"{found.mrr.value:.4f} ({found.mrr.low:.4f} to {found.mrr.high:.4f})"
        say(f"{name:<15}{rate:<26}{mrr}")


def _finding(scores: dict[str, Scores]) -> str:
    rates = {
        name: found.hit_rate[_SHOWN_CUTOFF].value for name, found in scores.items()
    }
    listed = ", ".join(f"{name} {rate:.1%}" for name, rate in rates.items())
    return f"hit rate@{_SHOWN_CUTOFF}: {listed}"


def _rounded(value: Any) -> Any:
    """Leave out digits that another processor would compute otherwise."""
    if isinstance(value, dict):
        return {str(name): _rounded(one) for name, one in value.items()}
    return round(value, _DIGITS) if isinstance(value, float) else value


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "evaluate",
        "Score vectors by how high they rank the product that each user liked last, "
        "beside recommending what is popular and what was liked together most often.",
        options.SCRIPTS.command("evaluate", "--users", "5000"),
    )
    options.add_vectors_argument(parser)
    options.add_sentences_argument(parser)
    options.add_input_argument(
        parser,
        "--held_out",
        options.OUTPUTS / "preprocess" / options.HELD_OUT_FILE,
        "what each user liked last, as preprocess leaves it",
    )
    options.add_products_argument(parser)
    parser.add_argument(
        "--users",
        type=positive_int,
        default=20_000,
        metavar="N",
        help="score so many at most, drawn by the seed",
    )
    parser.add_argument(
        "--resamples",
        type=positive_int,
        default=1_000,
        metavar="N",
        help="draws of the bootstrap",
    )
    parser.add_argument(
        "--map_products",
        type=positive_int,
        default=1_000,
        metavar="N",
        help="draw so many products on the map at most",
    )
    parser.add_argument(
        "--seed",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="decides the users, the draws and the map",
    )
    add_output_argument(parser, options.OUTPUTS / "evaluate")
    return parser


if __name__ == "__main__":
    sys.exit(run("evaluate", main))
