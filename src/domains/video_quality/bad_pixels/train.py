"""Train a network to find defective pixels."""

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
    positive_float,
    positive_int,
    run,
    say,
    warn,
)
from common.errors import UserError
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import (
    add_device_argument,
    add_output_argument,
    as_json,
    say_done,
)
from domains.video_quality.bad_pixels import options

if TYPE_CHECKING:
    from common.fitting import Fit
    from domains.video_quality.bad_pixels.feature_maps import FeatureMaps
    from domains.video_quality.bad_pixels.splitting import Split


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, choose thresholds and write everything to the output folder.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, the data or the output folder is wrong.
        RunError: Training diverged.
    """
    args = _parser().parse_args(arguments)
    if args.validation + args.test >= 1:
        raise UserError(
            f"--validation {args.validation:g} and --test {args.test:g} leave no "
            "videos for training"
        )
    check_output_folder(args.output_path, "train")

    # Only now: torch takes seconds, and neither --help nor a wrong flag needs it.
    from common.fitting import FitSettings
    from common.training import select_device
    from domains.video_quality.bad_pixels.defects import HEALTHY
    from domains.video_quality.bad_pixels.feature_maps import find_maps
    from domains.video_quality.bad_pixels.fitting import fit
    from domains.video_quality.bad_pixels.samples import collect
    from domains.video_quality.bad_pixels.splitting import (
        TRAINING,
        VALIDATION,
        Split,
    )

    select_device(args.device)
    split = Split(args.validation, args.test)
    videos = find_maps(args.maps_path, warn)
    parts = {part: split.select(videos, part) for part in (TRAINING, VALIDATION)}
    samples = {
        part: collect(chosen, args.truth_path, args.seed, turned=part == TRAINING)
        for part, chosen in parts.items()
    }
    for part, taken in samples.items():
        if (taken.labels == HEALTHY).all():
            raise UserError(f"the videos for {part} have no defects; name more videos")
    settings = FitSettings(
        epochs=args.epochs,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        seed=args.seed,
        device=args.device,
    )
    with ExitStack() as stack:
        folder: Path | None = None
        if is_main_process():
            this_run = Run("train", as_json(args), options.PACKAGES)
            folder = stack.enter_context(output_folder(args.output_path, this_run))
        for part, chosen in parts.items():
            say(f"{part}: {len(chosen):,} videos, {len(samples[part]):,} patches")
        result = fit(settings, samples[TRAINING], samples[VALIDATION], write_line=say)
        if folder is None:
            return
        summary = _write_results(folder, args, split, result, parts[VALIDATION])
    say_done("Validation", summary, args.output_path)
    flags = options.path_flag(
        "maps_path", args.maps_path, options.FEATURES_OUTPUT / options.MAPS
    )
    flags += options.path_flag(
        "truth_path", args.truth_path, options.GENERATE_OUTPUT / options.TRUTH
    )
    flags += options.path_flag(
        "model_path",
        args.output_path / options.MODEL,
        options.TRAIN_OUTPUT / options.MODEL,
    )
    options.SCRIPTS.say_next("evaluate", *flags)


def _write_results(
    folder: Path,
    args: argparse.Namespace,
    split: Split,
    result: Fit,
    validation: Sequence[FeatureMaps],
) -> str:
    """Write model, history and scores; return the scores in a few words."""
    from common.figures import Panel, save_learning_curves
    from common.json_files import write_json
    from common.training import select_device
    from domains.video_quality.bad_pixels.network import DefectNetwork
    from domains.video_quality.bad_pixels.saved_models import save_model
    from domains.video_quality.bad_pixels.scoring import (
        CLASSICAL,
        NETWORK,
        score_pixels,
    )

    network = DefectNetwork()
    network.load_state_dict(result.weights)
    device = select_device(args.device)
    pixels = score_pixels(validation, args.truth_path, network, device)
    chosen = {
        name: pixels.curve(name).at_precision(args.precision)
        for name in (NETWORK, CLASSICAL)
    }
    for name, threshold in chosen.items():
        if threshold.precision < args.precision:
            warn(
                f"no threshold of the {name} detector reaches --precision "
                f"{args.precision:g} on the validation videos; the one chosen has "
                f"{threshold.precision:.3f}"
            )
    (folder / options.MODEL).mkdir()
    save_model(
        folder / options.MODEL,
        result.weights,
        args.precision,
        {name: threshold.score for name, threshold in chosen.items()},
        split,
    )
    document = {
        "wanted_precision": args.precision,
        "validation": {name: asdict(threshold) for name, threshold in chosen.items()},
        "epochs": args.epochs,
        "best_epoch": asdict(result.best_epoch),
    }
    write_json(folder / "metrics.json", document)
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
            Panel("Accuracy on patches", accuracy, percent=True),
        ],
        best_epoch=result.best_epoch.number,
    )
    of_network = chosen[NETWORK]
    return (
        f"{of_network.recall:.1%} of the defects found at a precision of "
        f"{of_network.precision:.1%}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "train",
        "Train a network to tell dead, stuck and flickering pixels from healthy ones, "
        "and choose the threshold from which on a pixel counts as defective.",
        options.SCRIPTS.command("train", "--epochs", "30", "--precision", "0.95"),
    )
    options.add_maps_arguments(parser)
    parser.add_argument(
        "--precision",
        type=options.share,
        default=0.9,
        metavar="SHARE",
        help="of the pixels that are reported, how many are to be defects; thresholds "
        "are chosen for it on the validation videos",
    )
    parser.add_argument(
        "--validation",
        type=options.share,
        default=0.2,
        metavar="SHARE",
        help="of the videos, chosen by their names, for thresholds and the best epoch",
    )
    parser.add_argument(
        "--test",
        type=options.share,
        default=0.25,
        metavar="SHARE",
        help="of the videos, chosen by their names, that are left to evaluate",
    )
    parser.add_argument(
        "--epochs",
        type=positive_int,
        default=12,
        metavar="N",
        help="passes over the training patches",
    )
    parser.add_argument(
        "--batch_size",
        type=positive_int,
        default=256,
        metavar="N",
        help="patches a step, over all processes together",
    )
    parser.add_argument(
        "--learning_rate",
        type=positive_float,
        default=0.001,
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
    add_device_argument(parser)
    add_output_argument(parser, options.TRAIN_OUTPUT)
    return parser


if __name__ == "__main__":
    sys.exit(run("train", main))
