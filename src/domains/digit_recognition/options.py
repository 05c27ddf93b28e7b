"""What the commands have in common on their command lines."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.command_line import one_of, positive_int
from common.task_scripts import TaskScripts

# Named here and not where they are made, so that --help does not wait for torch.
SOURCES = ("digits", "mnist")
DATASETS = (*SOURCES, "prepared")
MODELS = ("mlp", "cnn")
INVERT = ("auto", "yes", "no")

# What reaches 98 % on digits and 99 % on MNIST in the least time.
EPOCHS = {"digits": 20, "mnist": 3}
BATCH_SIZE = 64
LEARNING_RATE = 0.003

SCRIPTS = TaskScripts("digit_recognition")
OUTPUTS = SCRIPTS.outputs
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


def add_invert_argument(parser: argparse.ArgumentParser) -> None:
    """Add --invert."""
    parser.add_argument(
        "--invert",
        type=one_of(*INVERT),
        default="auto",
        metavar="{auto,yes,no}",
        help="whether the digits are dark on light paper; auto looks at the border",
    )
