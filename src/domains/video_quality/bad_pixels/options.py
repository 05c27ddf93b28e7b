"""What the commands have in common on their command lines."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from common.command_line import one_of
from common.task_scripts import TaskScripts

Item = TypeVar("Item")

ON_ERROR = ("fail", "skip")

SCRIPTS = TaskScripts("video_quality/bad_pixels")
OUTPUTS = SCRIPTS.outputs
GENERATE_OUTPUT = OUTPUTS / "generate"
EXTRACT_OUTPUT = OUTPUTS / "extract"
FEATURES_OUTPUT = OUTPUTS / "features"
TRAIN_OUTPUT = OUTPUTS / "train"
# What the commands leave in their output folders for others.
VIDEOS, TRUTH, CLIPS, MAPS, MODEL = "videos", "truth", "clips", "maps", "model"

# The most frames of a video that are looked at.
FRAMES = 200

# The distributions whose versions decide what a run computes.
PACKAGES = (
    "accelerate",
    "av",
    "numpy",
    "pytorch-accelerated",
    "safetensors",
    "scikit-learn",
    "torch",
)


def share(text: str) -> float:
    """Parse a number above 0 and below 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return value


def add_videos_argument(parser: argparse.ArgumentParser) -> None:
    """Add the videos."""
    parser.add_argument(
        "videos",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="video files, or folders of nothing else",
    )


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --frames and --on_error."""
    parser.add_argument(
        "--frames",
        type=_frames,
        default=FRAMES,
        metavar="N",
        help="look at no more than N frames, spread evenly over the video",
    )
    parser.add_argument(
        "--on_error",
        type=one_of(*ON_ERROR),
        default="fail",
        metavar="{fail,skip}",
        help="what to do about a video that cannot be read to its end",
    )


def add_maps_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --maps_path and --truth_path."""
    parser.add_argument(
        "--maps_path",
        type=Path,
        default=FEATURES_OUTPUT / MAPS,
        metavar="FOLDER",
        help="the maps that features has left",
    )
    parser.add_argument(
        "--truth_path",
        type=Path,
        default=GENERATE_OUTPUT / TRUTH,
        metavar="FOLDER",
        help="a table of defects for each video, VIDEO.csv",
    )


def add_model_path_argument(parser: argparse.ArgumentParser) -> None:
    """Add --model_path."""
    parser.add_argument(
        "--model_path",
        type=Path,
        default=TRAIN_OUTPUT / MODEL,
        metavar="FOLDER",
        help="the model that train has left",
    )


def path_flag(name: str, path: Path, default: Path) -> list[str]:
    """Spell a flag with a path, unless it is the default."""
    return [] if path == default else [f"--{name}", str(path)]


def progress(items: Sequence[Item], unit: str) -> Iterator[Item]:
    """Pass over items, with a bar where there is a terminal."""
    from tqdm import tqdm

    # None: where standard error is no terminal.
    bar = tqdm(items, unit=f" {unit}", leave=False, dynamic_ncols=True, disable=None)
    yield from bar


def _frames(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    # Half of them may go when a video turns out to be longer.
    if value < 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 16")
    return value
