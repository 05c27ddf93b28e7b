"""What the commands have in common on their command lines."""

from __future__ import annotations

import argparse
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from common.command_line import one_of, say

Item = TypeVar("Item")

DEVICES = ("auto", "cpu", "cuda")
ON_ERROR = ("fail", "skip")

OUTPUTS = Path("outputs/video_quality/bad_pixels")
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


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Add --device."""
    parser.add_argument(
        "--device",
        type=one_of(*DEVICES),
        default="auto",
        metavar="{auto,cpu,cuda}",
        help="where to compute; auto takes a GPU where there is one",
    )


def add_output_argument(parser: argparse.ArgumentParser, default: Path) -> None:
    """Add --output_path."""
    parser.add_argument(
        "--output_path",
        type=Path,
        default=default,
        metavar="FOLDER",
        help="where everything is written; an earlier run's folder is replaced",
    )


def as_json(arguments: argparse.Namespace) -> dict[str, object]:
    """Give parsed arguments as JSON values, by name."""
    return {name: _json(value) for name, value in sorted(vars(arguments).items())}


def pants_command(target: str, *arguments: str) -> str:
    """Spell the command that runs one of this folder's scripts."""
    words = ["./pants", "run", f"src/domains/video_quality/bad_pixels:{target}"]
    return shlex.join([*words, "--", *arguments] if arguments else words)


def path_flag(name: str, path: Path, default: Path) -> list[str]:
    """Spell a flag with a path, unless it is the default."""
    return [] if path == default else [f"--{name}", str(path)]


def progress(items: Sequence[Item], unit: str) -> Iterator[Item]:
    """Pass over items, with a bar where there is a terminal."""
    from tqdm import tqdm

    # None: where standard error is no terminal.
    bar = tqdm(items, unit=f" {unit}", leave=False, dynamic_ncols=True, disable=None)
    yield from bar


def say_done(title: str, result: str, output_path: Path) -> None:
    """Say on the screen what came out and where it is."""
    say(f"\n{title:<15}{result}")
    say(f"{'Written to':<15}{output_path}")
    names = ", ".join(sorted(path.name for path in output_path.iterdir()))
    for line in textwrap.wrap(names, 79 - 15):
        say(f"{'':<15}{line}")


def say_next(target: str, *arguments: str) -> None:
    """Propose the next command on the screen."""
    say(f"{'Next':<15}{pants_command(target, *arguments)}")


def _frames(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    # Half of them may go when a video turns out to be longer.
    if value < 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 16")
    return value


def _json(value: object) -> object:
    if isinstance(value, list):
        return [_json(item) for item in value]
    return str(value) if isinstance(value, Path) else value
