"""Describe what each pixel of footage does over time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.command_line import Parser, run, warn
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import add_output_argument, as_json, say_done
from domains.video_quality.bad_pixels import options


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the maps of each clip to the output folder.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, a clip or the output folder is wrong.
    """
    args = _parser().parse_args(arguments)
    check_output_folder(args.output_path, "features")

    # Only now: it takes a while, and neither --help nor a wrong flag needs it.
    from domains.video_quality.bad_pixels.clips import find_clips
    from domains.video_quality.bad_pixels.feature_maps import write_maps

    clips = find_clips(args.clips)
    this_run = Run("features", as_json(args), options.PACKAGES)
    with output_folder(args.output_path, this_run) as folder:
        for clip in options.progress(clips, "videos"):
            if clip.problem is not None:
                warn(f"left out: {clip.video} {clip.problem}")
            into = folder / options.MAPS / clip.video
            into.mkdir(parents=True)
            write_maps(into, clip)
    whole = sum(clip.problem is None for clip in clips)
    say_done("Described", f"{whole:,} of {len(clips):,} videos", args.output_path)
    flags = options.path_flag(
        "maps_path",
        args.output_path / options.MAPS,
        options.FEATURES_OUTPUT / options.MAPS,
    )
    options.SCRIPTS.say_next("train", *flags)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "features",
        "Describe what each pixel does over time, compared with those around it.",
        options.SCRIPTS.command(
            "features", str(options.EXTRACT_OUTPUT / options.CLIPS)
        ),
    )
    parser.add_argument(
        "clips",
        type=Path,
        metavar="FOLDER",
        help="the clips that extract has left, or one of them",
    )
    add_output_argument(parser, options.FEATURES_OUTPUT)
    return parser


if __name__ == "__main__":
    sys.exit(run("features", main))
