"""Score a trained model on a data set's test images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from common.command_line import Parser, one_of, run, say
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import (
    add_device_argument,
    add_output_argument,
    as_json,
    say_done,
)
from domains.digit_recognition import options
from domains.digit_recognition.prepared import source_of


def main(arguments: Sequence[str] | None = None) -> None:
    """Score a model and write the scores and pictures to the output folder.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, the model, the data or the output folder is wrong.
    """
    args = _parser().parse_args(arguments)
    check_output_folder(args.output_path, "evaluate")

    # Only now: torch takes seconds, and neither --help nor a wrong flag needs it.
    from common.training import predict, select_device
    from domains.digit_recognition.data import load_samples
    from domains.digit_recognition.models import to_inputs
    from domains.digit_recognition.report import summary, write_report
    from domains.digit_recognition.saved_models import load_model

    device = select_device(args.device)
    saved = load_model(args.model_path)
    dataset = args.dataset or saved.dataset
    source = source_of(dataset, args.data_path)
    samples = load_samples(dataset, "test", args.data_path, args.limit)
    this_run = Run("evaluate", as_json(args), options.PACKAGES)
    with output_folder(args.output_path, this_run) as folder:
        say(
            f"{saved.name}, trained on {saved.dataset}, "
            f"on {len(samples):,} test images of {source}"
        )
        probabilities = predict(saved.module, to_inputs(samples.images), device).numpy()
        facts = {
            "model": saved.name,
            "trained_on": saved.dataset,
            "dataset": source,
        }
        metrics = write_report(folder, samples, probabilities, facts)
    say_done("Test accuracy", summary(metrics), args.output_path)
    flags = []
    if args.model_path != options.TRAIN_OUTPUT:
        flags = ["--model_path", str(args.model_path)]
    options.SCRIPTS.say_next("predict", *flags, "PNG_FOLDER")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "evaluate",
        "Score a trained model on the test images of either data set.",
        options.SCRIPTS.command("evaluate", "--dataset", "mnist"),
    )
    options.add_model_path_argument(parser)
    parser.add_argument(
        "--dataset",
        type=one_of(*options.DATASETS),
        metavar="{digits,mnist,prepared}",
        help="whose test images (default: those of the data set it was trained on)",
    )
    options.add_data_arguments(parser)
    add_device_argument(parser)
    add_output_argument(parser, options.OUTPUTS / "evaluate")
    return parser


if __name__ == "__main__":
    sys.exit(run("evaluate", main))
