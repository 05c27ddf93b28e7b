"""Find the defective pixels of videos."""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    import torch

    from domains.video_quality.bad_pixels.clips import Clip
    from domains.video_quality.bad_pixels.network import DefectNetwork


@dataclass(frozen=True)
class _Detector:
    """A network at work."""

    network: DefectNetwork
    threshold: float
    device: torch.device


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the defects of all videos, and a picture of each, to the output folder.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, the model, a video or the output folder is wrong.
    """
    args = _parser().parse_args(arguments)
    check_output_folder(args.output_path, "score")

    # Only now: torch takes seconds, and neither --help nor a wrong flag needs it.
    from common.training import select_device
    from domains.video_quality.bad_pixels.footage import find_videos
    from domains.video_quality.bad_pixels.saved_models import load_model
    from domains.video_quality.bad_pixels.scoring import NETWORK

    videos = find_videos(args.videos)
    model = load_model(args.model_path)
    threshold = args.threshold or model.thresholds[NETWORK]
    detector = _Detector(model.network, threshold, select_device(args.device))
    this_run = Run("score", as_json(args), options.PACKAGES)
    with output_folder(args.output_path, this_run) as folder:
        say(
            f"{len(videos):,} videos, reporting from a confidence of {threshold:.3f} on"
        )
        defects, read = _score_all(folder, videos, detector, args)
        if not read:
            raise UserError("none of the videos can be read")
    say_done(
        "Found",
        f"{defects:,} defective pixels in {read:,} of {len(videos):,} videos",
        args.output_path,
    )


def _score_all(
    folder: Path, videos: Sequence[Path], detector: _Detector, args: argparse.Namespace
) -> tuple[int, int]:
    """Write everything; return how many defects and how many readable videos."""
    defects = read = 0
    (folder / "overlays").mkdir()
    with (
        (folder / "defects.csv").open("w", newline="", encoding="utf-8") as found_file,
        (folder / "videos.csv").open("w", newline="", encoding="utf-8") as videos_file,
    ):
        found = csv.writer(found_file, lineterminator="\n")
        found.writerow(["video", "row", "column", "kind", "confidence"])
        summary = csv.writer(videos_file, lineterminator="\n")
        summary.writerow(["video", "frames", "width", "height", "defects", "problem"])
        for video in options.progress(videos, "videos"):
            clip, rows = _score(folder, video, detector, args)
            found.writerows([video.name, *row] for row in rows)
            numbers = (clip.frames_read, clip.width, clip.height, len(rows))
            summary.writerow([video.name, *numbers, clip.problem or ""])
            defects += len(rows)
            read += clip.problem is None
    return defects, read


def _score(
    folder: Path, video: Path, detector: _Detector, args: argparse.Namespace
) -> tuple[Clip, list[tuple[int, int, str, str]]]:
    """Draw a video's defects, and return them as rows of defects.csv."""
    import numpy as np

    from domains.video_quality.bad_pixels.clips import extract_clip, read_rows
    from domains.video_quality.bad_pixels.defects import CLASSES, Defect
    from domains.video_quality.bad_pixels.network import probabilities, to_inputs
    from domains.video_quality.bad_pixels.pictures import save_overlay
    from domains.video_quality.bad_pixels.scoring import network_scores
    from domains.video_quality.bad_pixels.temporal import temporal_maps

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        clip = extract_clip(video, Path(scratch), args.frames, args.on_error, warn)
        if clip.problem is not None:
            return clip, []
        by_class = probabilities(
            detector.network, to_inputs(*temporal_maps(clip)), detector.device
        )
        scores, kinds = network_scores(by_class)
        rows = []
        for row, column in np.argwhere(scores >= detector.threshold).tolist():
            kind = CLASSES[kinds[row, column]]
            rows.append((row, column, kind, f"{scores[row, column]:.6f}"))
        middle = clip.frames // 2
        frame = read_rows(clip, slice(0, clip.height), range(middle, middle + 1))[0]
    marked = [Defect(row, column, kind) for row, column, kind, _ in rows]
    save_overlay(folder / "overlays" / f"{video.name}.png", frame, marked, video.name)
    return clip, rows


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "score",
        "Find the dead, stuck and flickering pixels of videos, and draw them.",
        options.SCRIPTS.command(
            "score", str(options.GENERATE_OUTPUT / options.VIDEOS), "--on_error", "skip"
        ),
    )
    options.add_videos_argument(parser)
    options.add_model_path_argument(parser)
    parser.add_argument(
        "--threshold",
        type=options.share,
        metavar="SHARE",
        help="report from this confidence on (default: what train has chosen)",
    )
    options.add_reading_arguments(parser)
    add_device_argument(parser)
    add_output_argument(parser, options.OUTPUTS / "score")
    return parser


if __name__ == "__main__":
    sys.exit(run("score", main))
