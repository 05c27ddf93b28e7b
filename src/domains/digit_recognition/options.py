"""What the three commands have in common on their command lines."""

from __future__ import annotations

import argparse
import shlex
import textwrap
from pathlib import Path

from common.command_line import one_of, positive_int, say

# Named here and not where they are made, so that --help does not wait for torch.
SOURCES = ("digits", "mnist")
DATASETS = (*SOURCES, "prepared")
MODELS = ("mlp", "cnn")
DEVICES = ("auto", "cpu", "cuda")

# What reaches 98 % on digits and 99 % on MNIST in the least time.
EPOCHS = {"digits": 20, "mnist": 3}
BATCH_SIZE = 64
LEARNING_RATE = 0.003

OUTPUTS = Path("outputs/digit_recognition")
PREPARE_OUTPUT = OUTPUTS / "prepare"
TRAIN_OUTPUT = OUTPUTS / "train"

# The distributions whose versions decide what a run computes.
PACKAGES = (
    "accelerate",
    "numpy",
    "pillow",
    "pytorch-accelerated",
    "safetensors",
    "scikit-learn",
    "torch",
)


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --data_path and --limit."""
    parser.add_argument(
        "--data_path",
        type=Path,
        default=Path("data/mnist"),
        metavar="FOLDER",
        help="where MNIST's idx files are (plain or .gz), or are downloaded to, or the "
        "data that prepare has left; digits needs none",
    )
    parser.add_argument(
        "--limit",
        type=positive_int,
        metavar="N",
        help="use the first N training and the first N test samples only",
    )


def add_model_path_argument(parser: argparse.ArgumentParser) -> None:
    """Add --model_path."""
    parser.add_argument(
        "--model_path",
        type=Path,
        default=TRAIN_OUTPUT,
        metavar="FOLDER",
        help="output folder of a training run",
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
    words = ["./pants", "run", f"src/domains/digit_recognition:{target}"]
    return shlex.join([*words, "--", *arguments] if arguments else words)


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


def _json(value: object) -> object:
    if isinstance(value, list):
        return [_json(item) for item in value]
    return str(value) if isinstance(value, Path) else value
