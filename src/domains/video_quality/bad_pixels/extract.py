"""Take frames out of videos, without loss."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from common.command_line import Parser, run, warn
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import add_output_argument, as_json, say_done
from domains.video_quality.bad_pixels import options


def main(arguments: Sequence[str] | None = None) -> None:
    """Write frames of each video to the output folder.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, a video or the output folder is wrong.
    """
    args = _parser().parse_args(arguments)
    check_output_folder(args.output_path, "extract")

    # Only now: it takes a while, and neither --help nor a wrong flag needs it.
    from domains.video_quality.bad_pixels.clips import extract_clip
    from domains.video_quality.bad_pixels.footage import find_videos

    videos = find_videos(args.videos)
    this_run = Run("extract", as_json(args), options.PACKAGES)
    clips = []
    with output_folder(args.output_path, this_run) as folder:
        for video in options.progress(videos, "videos"):
            into = folder / options.CLIPS / video.name
            into.mkdir(parents=True)
            clips.append(extract_clip(video, into, args.frames, args.on_error, warn))
    frames = sum(clip.frames for clip in clips)
    whole = sum(clip.problem is None for clip in clips)
    say_done(
        "Extracted",
        f"{frames:,} frames of {whole:,} of {len(videos):,} videos",
        args.output_path,
    )
    options.SCRIPTS.say_next("features", str(args.output_path / options.CLIPS))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "extract",
        "Take frames out of videos, spread evenly over each, and write them as they "
        "are decoded.",
        options.SCRIPTS.command(
            "extract", str(options.GENERATE_OUTPUT / options.VIDEOS), "--frames", "100"
        ),
    )
    options.add_videos_argument(parser)
    options.add_reading_arguments(parser)
    add_output_argument(parser, options.EXTRACT_OUTPUT)
    return parser


if __name__ == "__main__":
    sys.exit(run("extract", main))
