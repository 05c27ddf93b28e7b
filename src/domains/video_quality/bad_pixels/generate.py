"""Make footage with known defects."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.command_line import (
    Parser,
    non_negative_int,
    one_of,
    positive_float,
    positive_int,
    run,
    say,
)
from common.errors import UserError
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import add_output_argument, as_json, say_done
from domains.video_quality.bad_pixels import options

if TYPE_CHECKING:
    from domains.video_quality.bad_pixels.scenes import Settings

_CODECS = ("ffv1", "h264")
_BITS = {"8": 8, "10": 10}
_LEAST_SIDE, _LEAST_FRAMES = 32, 16
_WORST_CRF = 51


def main(arguments: Sequence[str] | None = None) -> None:
    """Write videos, and the truth about each, to the output folder.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument or the output folder is wrong.
    """
    args = _parser().parse_args(arguments)
    _check(args)
    check_output_folder(args.output_path, "generate")

    # Only now: it takes a while, and neither --help nor a wrong flag needs it.
    from domains.video_quality.bad_pixels.scenes import Settings

    settings = Settings(
        width=args.width,
        height=args.height,
        frames=args.frames,
        defect_rate=args.defect_rate,
        least_defects=args.least_defects,
        speed=args.speed,
    )
    this_run = Run("generate", as_json(args), options.PACKAGES)
    count = 0
    with output_folder(args.output_path, this_run) as folder:
        (folder / options.VIDEOS).mkdir()
        (folder / options.TRUTH).mkdir()
        size = f"{args.width} x {args.height} pixels, {args.frames} frames"
        say(f"{args.videos:,} videos of {size}, {args.codec}")
        for number in options.progress(range(1, args.videos + 1), "videos"):
            count += _write(folder, number, args, settings)
    say_done(
        "Generated", f"{args.videos:,} videos, {count:,} defects", args.output_path
    )
    options.SCRIPTS.say_next("extract", str(args.output_path / options.VIDEOS))


def _check(args: argparse.Namespace) -> None:
    for name, least in (
        ("width", _LEAST_SIDE),
        ("height", _LEAST_SIDE),
        ("frames", _LEAST_FRAMES),
    ):
        if getattr(args, name) < least:
            raise UserError(
                f"--{name} {getattr(args, name)} is too small; use {least} or more"
            )
    for name in ("width", "height"):
        if args.codec == "h264" and getattr(args, name) % 2:
            raise UserError(
                f"--{name} {getattr(args, name)} is odd; h264 needs an even number"
            )
    if args.crf > _WORST_CRF:
        raise UserError(f"--crf {args.crf} is too large; use {_WORST_CRF} or less")
    if args.least_defects > args.width * args.height:
        raise UserError(
            f"--least_defects {args.least_defects} is more than a frame has pixels"
        )


def _write(
    folder: Path, number: int, args: argparse.Namespace, settings: Settings
) -> int:
    """Write one video and its truth; return how many defects it has."""
    import numpy as np

    from domains.video_quality.bad_pixels.defects import write_truth
    from domains.video_quality.bad_pixels.footage import write_video
    from domains.video_quality.bad_pixels.scenes import film, plan_defects

    # A seed of its own: one more video leaves the others as they are.
    rng = np.random.default_rng([args.seed, number])
    name = f"clip-{number:04}.mkv"
    defects = plan_defects(settings, rng)
    bits = _BITS[args.bits]
    depth = np.uint8 if bits == 8 else np.uint16
    white = 2**bits - 1
    write_video(
        folder / options.VIDEOS / name,
        (np.rint(f * white).astype(depth) for f in film(settings, defects, rng)),
        codec=args.codec,
        bits=bits,
        crf=args.crf,
    )
    write_truth(folder / options.TRUTH, name, defects)
    return len(defects)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "generate",
        "Make footage of moving scenes by a sensor with dead, stuck and flickering "
        "pixels, and write down which they are.",
        options.SCRIPTS.command("generate", "--videos", "20", "--codec", "h264"),
    )
    parser.add_argument(
        "--videos", type=positive_int, default=100, metavar="N", help="how many"
    )
    parser.add_argument(
        "--width", type=positive_int, default=192, metavar="N", help="in pixels"
    )
    parser.add_argument(
        "--height", type=positive_int, default=144, metavar="N", help="in pixels"
    )
    parser.add_argument(
        "--frames", type=positive_int, default=64, metavar="N", help="in each video"
    )
    parser.add_argument(
        "--codec",
        type=one_of(*_CODECS),
        default="ffv1",
        metavar="{ffv1,h264}",
        help="ffv1 is lossless, h264 is not",
    )
    parser.add_argument(
        "--crf",
        type=non_negative_int,
        default=12,
        metavar="N",
        help="how much h264 may lose, from 0 to 51",
    )
    parser.add_argument(
        "--bits",
        type=one_of(*_BITS),
        default="10",
        metavar="{8,10}",
        help="of a pixel's value",
    )
    parser.add_argument(
        "--defect_rate",
        type=options.share,
        default=1e-4,
        metavar="SHARE",
        help="of the pixels that are defective",
    )
    parser.add_argument(
        "--least_defects",
        type=non_negative_int,
        default=6,
        metavar="N",
        help="in each video, however small it is",
    )
    parser.add_argument(
        "--speed",
        type=positive_float,
        default=2.0,
        metavar="PIXELS",
        help="of the fastest pan, in a frame; most are much slower",
    )
    parser.add_argument(
        "--seed",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="with a video's number it decides everything in the video",
    )
    add_output_argument(parser, options.GENERATE_OUTPUT)
    return parser


if __name__ == "__main__":
    sys.exit(run("generate", main))
