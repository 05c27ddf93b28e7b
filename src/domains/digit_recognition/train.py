"""Train a model to recognise handwritten digits."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from common.command_line import (
    Parser,
    is_main_process,
    non_negative_int,
    one_of,
    positive_float,
    positive_int,
    run,
    say,
)
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import (
    add_device_argument,
    add_output_argument,
    as_json,
    say_done,
)
from domains.digit_recognition import options
from domains.digit_recognition.prepared import source_of

if TYPE_CHECKING:
    from common.fitting import Fit
    from domains.digit_recognition.data import Samples


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, score on the test samples and write everything to the output folder.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, the data or the output folder is wrong.
        RunError: Training diverged.
    """
    args = _parser().parse_args(arguments)
    source = source_of(args.dataset, args.data_path)
    if args.epochs is None:
        args.epochs = options.EPOCHS[source]
    check_output_folder(args.output_path, "train")

    # Only now: torch takes seconds, and neither --help nor a wrong flag needs it.
    from common.fitting import FitSettings
    from common.training import select_device
    from domains.digit_recognition.data import load_samples, split_validation
    from domains.digit_recognition.fitting import fit

    select_device(args.device, args.mixed_precision)
    training, validation = split_validation(
        load_samples(args.dataset, "train", args.data_path, args.limit), args.seed
    )
    test = load_samples(args.dataset, "test", args.data_path, args.limit)
    settings = FitSettings(
        epochs=args.epochs,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        seed=args.seed,
        device=args.device,
        mixed_precision=args.mixed_precision,
    )
    with ExitStack() as stack:
        folder: Path | None = None
        if is_main_process():
            this_run = Run("train", as_json(args), options.PACKAGES)
            folder = stack.enter_context(output_folder(args.output_path, this_run))
        counts = f"{len(training):,} training, {len(validation):,} validation"
        say(f"{source}: {counts}, {len(test):,} test images")
        result = fit(args.model, settings, training, validation, write_line=say)
        if folder is None:
            return
        scores = _write_results(folder, args, source, result, test)
    say_done("Test accuracy", scores, args.output_path)
    flags = []
    if args.output_path != options.TRAIN_OUTPUT:
        flags = ["--model_path", str(args.output_path)]
    if source == "mnist":
        flags += ["--dataset", "digits"]
    options.SCRIPTS.say_next("evaluate", *flags)


def _write_results(
    folder: Path, args: argparse.Namespace, source: str, result: Fit, test: Samples
) -> str:
    """Write weights, history, scores and pictures; return the scores in a few words."""
    from common.figures import Panel, save_learning_curves
    from common.training import predict, select_device
    from domains.digit_recognition.models import build_model, to_inputs
    from domains.digit_recognition.report import summary, write_report
    from domains.digit_recognition.saved_models import save_model

    save_model(folder, args.model, source, result.weights)
    model = build_model(args.model)
    model.load_state_dict(result.weights)
    device = select_device(args.device)
    facts = {
        "model": args.model,
        "dataset": source,
        "epochs": args.epochs,
        "best_epoch": asdict(result.best_epoch),
    }
    probabilities = predict(model, to_inputs(test.images), device).numpy()
    metrics = write_report(folder, test, probabilities, facts)
    rows = [asdict(epoch) for epoch in result.epochs]
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    losses = {
        "training": [epoch.train_loss for epoch in result.epochs],
        "validation": [epoch.validation_loss for epoch in result.epochs],
    }
    accuracy = {"validation": [epoch.validation_accuracy for epoch in result.epochs]}
    save_learning_curves(
        folder / "learning_curves.png",
        [
            Panel("Mean loss", losses, logarithmic=True),
            Panel("Accuracy", accuracy, percent=True),
        ],
        best_epoch=result.best_epoch.number,
    )
    return summary(metrics)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "train",
        "Train a model to recognise handwritten digits, and score it on images that it "
        "has not seen.",
        options.SCRIPTS.command("train", "--model", "mlp", "--epochs", "30"),
    )
    parser.add_argument(
        "--dataset",
        type=one_of(*options.DATASETS),
        default="digits",
        metavar="{digits,mnist,prepared}",
        help="scikit-learn's digits, which need no download, MNIST, or what prepare "
        "has left of either",
    )
    options.add_data_arguments(parser)
    parser.add_argument(
        "--model",
        type=one_of(*options.MODELS),
        default="cnn",
        metavar="{mlp,cnn}",
        help="a perceptron with two hidden layers, or a convolutional network",
    )
    parser.add_argument(
        "--epochs",
        type=positive_int,
        metavar="N",
        help="passes over the training images (default: "
        + ", ".join(f"{count} for {name}" for name, count in options.EPOCHS.items())
        + ")",
    )
    parser.add_argument(
        "--batch_size",
        type=positive_int,
        default=options.BATCH_SIZE,
        metavar="N",
        help="images a step, over all processes together",
    )
    parser.add_argument(
        "--learning_rate",
        type=positive_float,
        default=options.LEARNING_RATE,
        metavar="RATE",
        help="highest rate of the one-cycle schedule",
    )
    parser.add_argument(
        "--seed",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="the same seed on the same machine gives the same weights (on the CPU)",
    )
    parser.add_argument(
        "--mixed_precision",
        type=one_of("no", "fp16", "bf16"),
        default="no",
        metavar="{no,fp16,bf16}",
        help="compute in 16 bits where that is safe; fp16 needs a GPU",
    )
    add_device_argument(parser)
    add_output_argument(parser, options.TRAIN_OUTPUT)
    return parser


if __name__ == "__main__":
    sys.exit(run("train", main))
