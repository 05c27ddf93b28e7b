"""Learn vectors of products from the sentences of what people liked together."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from common.command_line import (
    Parser,
    non_negative_int,
    positive_float,
    positive_int,
    run,
    say,
    warn,
)
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import add_output_argument, say_done
from domains.product_recommendation.item2vec import options

_VECTORS = "vectors"
# gensim's generators take 32 bits.
_SEEDS = 2**32


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the folder vectors: vectors.npy, products.csv and model.json.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, the sentences or the output folder is wrong.
        RunError: Training diverged.
    """
    args = _parser().parse_args(arguments)
    check_output_folder(args.output_path, "train")

    # Only now: gensim takes seconds, and neither --help nor a wrong flag needs it.
    from domains.product_recommendation.item2vec.fitting import Settings, fit
    from domains.product_recommendation.item2vec.sentences import read_sentences
    from domains.product_recommendation.item2vec.vectors import save_vectors

    settings = Settings(
        dimensions=args.dimensions,
        window=args.window,
        negative=args.negative,
        sample=args.sample,
        learning_rate=args.learning_rate,
        min_count=args.min_count,
        epochs=args.epochs,
        seed=args.seed % _SEEDS,
        workers=args.workers,
    )
    sentences = read_sentences(args.sentences)
    if args.workers > 1:
        warn(
            f"--workers {args.workers}: they take turns as they come, so the vectors "
            "differ a little from run to run; --workers 1 gives the same ones again"
        )
    this_run = Run("train", options.as_json(args), options.PACKAGES)
    with output_folder(args.output_path, this_run) as folder:
        say(f"{len(sentences):,} sentences, {len(sentences.words):,} products in them")
        trained = fit(settings, sentences, write_line=say)
        save_vectors(folder / _VECTORS, trained, settings)
    say_done(
        "Learned",
        f"{len(trained.products):,} vectors of {args.dimensions} numbers "
        f"(products in {args.min_count} sentences or more)",
        args.output_path,
    )
    flags = options.changed_input(args.output_path, "train", _VECTORS, "--vectors")
    options.SCRIPTS.say_next("evaluate", *flags)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "train",
        "Learn a vector for each product with Word2Vec (skip-gram, negative sampling), "
        "so that products that the same people liked are near each other.",
        options.SCRIPTS.command("train", "--dimensions", "100"),
    )
    options.add_sentences_argument(parser)
    parser.add_argument(
        "--dimensions",
        type=positive_int,
        default=64,
        metavar="N",
        help="numbers in a vector",
    )
    parser.add_argument(
        "--window",
        type=positive_int,
        default=30,
        metavar="N",
        help="products before and behind, liked by the same user, that one is "
        "learned by",
    )
    parser.add_argument(
        "--negative",
        type=positive_int,
        default=5,
        metavar="N",
        help="products drawn at random to be told from each of these",
    )
    parser.add_argument(
        "--sample",
        type=positive_float,
        default=1e-4,
        metavar="SHARE",
        help="products that are a larger share of all are left out at times",
    )
    parser.add_argument(
        "--learning_rate",
        type=positive_float,
        default=0.05,
        metavar="RATE",
        help="at the start; it falls to nearly nothing",
    )
    parser.add_argument(
        "--min_count",
        type=positive_int,
        default=5,
        metavar="N",
        help="products in fewer sentences get no vector",
    )
    parser.add_argument(
        "--epochs",
        type=positive_int,
        default=10,
        metavar="N",
        help="passes over the sentences",
    )
    parser.add_argument(
        "--seed",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="the same seed on the same machine gives the same vectors, with "
        "one worker",
    )
    parser.add_argument(
        "--workers",
        type=positive_int,
        default=1,
        metavar="N",
        help="threads that learn; with several the result is not repeatable",
    )
    add_output_argument(parser, options.OUTPUTS / "train")
    return parser


if __name__ == "__main__":
    sys.exit(run("train", main))
