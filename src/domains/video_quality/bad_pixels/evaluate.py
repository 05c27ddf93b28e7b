"""Score a trained network, beside the usual detector, on videos it has not seen."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from common.command_line import Parser, run, say, warn
from common.errors import UserError
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import (
    add_device_argument,
    add_output_argument,
    as_json,
    say_done,
)
from domains.video_quality.bad_pixels import options


def main(arguments: Sequence[str] | None = None) -> None:
    """Score both detectors on the test videos and write what comes out.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, the model, the data or the output folder is wrong.
    """
    args = _parser().parse_args(arguments)
    check_output_folder(args.output_path, "evaluate")

    # Only now: torch takes seconds, and neither --help nor a wrong flag needs it.
    from common.training import select_device
    from domains.video_quality.bad_pixels.defects import HEALTHY
    from domains.video_quality.bad_pixels.feature_maps import find_maps
    from domains.video_quality.bad_pixels.report import write_report
    from domains.video_quality.bad_pixels.saved_models import load_model
    from domains.video_quality.bad_pixels.scoring import (
        CLASSICAL,
        NETWORK,
        score_pixels,
    )
    from domains.video_quality.bad_pixels.splitting import TEST

    device = select_device(args.device)
    model = load_model(args.model_path)
    videos = model.split.select(find_maps(args.maps_path, warn), TEST)
    pixels = score_pixels(videos, args.truth_path, model.network, device)
    if (pixels.classes == HEALTHY).all():
        raise UserError("the test videos have no defects; name more videos")
    this_run = Run("evaluate", as_json(args), options.PACKAGES)
    with output_folder(args.output_path, this_run) as folder:
        metrics = write_report(
            folder, videos, pixels, model.thresholds, model.precision
        )
        say(
            f"{'':<15}{'precision':>10}{'recall':>10}   recall at {model.precision:.0%}"
        )
        for name in (NETWORK, CLASSICAL):
            of = metrics[name]
            equal = of["at_wanted_precision"]["recall"]
            say(
                f"{name:<15}{of['precision']:>10.1%}{of['recall']:>10.1%}{equal:>12.1%}"
            )
    of_network = metrics[NETWORK]
    say_done(
        "Test",
        f"{of_network['found']:,} of {of_network['defects']:,} defects found in "
        f"{len(videos):,} videos",
        args.output_path,
    )
    flags = options.path_flag(
        "model_path", args.model_path, options.TRAIN_OUTPUT / options.MODEL
    )
    options.SCRIPTS.say_next("score", *flags, "VIDEO_FOLDER")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "evaluate",
        "Score a trained network, and the usual detector beside it, on the videos that "
        "were left for testing.",
        options.SCRIPTS.command("evaluate", "--device", "cpu"),
    )
    options.add_maps_arguments(parser)
    options.add_model_path_argument(parser)
    add_device_argument(parser)
    add_output_argument(parser, options.OUTPUTS / "evaluate")
    return parser


if __name__ == "__main__":
    sys.exit(run("evaluate", main))
