"""Bring a data set into the form that the models read, for training and testing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.command_line import Parser, one_of, positive_int, run
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import add_output_argument, as_json, say_done
from domains.digit_recognition import options

if TYPE_CHECKING:
    from domains.digit_recognition.data import Samples

_DATA, _IMAGES = "data", "images"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the samples as MNIST's files, and some test images as PNG files.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, the data or the output folder is wrong.
    """
    args = _parser().parse_args(arguments)
    check_output_folder(args.output_path, "prepare")

    # Only now: it takes seconds, and neither --help nor a wrong flag needs it.
    from domains.digit_recognition.data import load_samples

    parts = {
        part: load_samples(args.dataset, part, args.data_path, args.limit)
        for part in ("train", "test")
    }
    this_run = Run("prepare", as_json(args), options.PACKAGES)
    with output_folder(args.output_path, this_run) as folder:
        _write_data(folder / _DATA, args.dataset, parts)
        _write_images(folder / _IMAGES, parts["test"].take(slice(args.images)))
    counts = f"{len(parts['train']):,} training, {len(parts['test']):,} test images"
    say_done("Prepared", f"{args.dataset}: {counts}", args.output_path)
    data = str(args.output_path / _DATA)
    options.SCRIPTS.say_next("train", "--dataset", "prepared", "--data_path", data)


def _write_data(folder: Path, source: str, parts: dict[str, Samples]) -> None:
    import numpy as np

    from domains.digit_recognition.idx import write_idx
    from domains.digit_recognition.mnist import FILES
    from domains.digit_recognition.prepared import write_source

    folder.mkdir()
    for part, samples in parts.items():
        images, labels = FILES[part]
        write_idx(folder / images, np.rint(samples.images * 255).astype(np.uint8))
        write_idx(folder / labels, samples.labels.astype(np.uint8))
    write_source(folder, source)


def _write_images(folder: Path, samples: Samples) -> None:
    """Write images as if they were scanned, each named by its number and its label."""
    import numpy as np
    from PIL import Image

    folder.mkdir()
    pairs = zip(samples.images, samples.labels, strict=True)
    for number, (image, label) in enumerate(pairs):
        grey = np.rint(255 - image * 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / f"{number:05}-{label}.png")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "prepare",
        "Bring a data set into the form that the models read: training and test images "
        "as MNIST's files, and the first test images as PNG files.",
        options.SCRIPTS.command("prepare", "--limit", "500"),
    )
    parser.add_argument(
        "--dataset",
        type=one_of(*options.SOURCES),
        default="digits",
        metavar="{digits,mnist}",
        help="scikit-learn's digits, which need no download, or MNIST",
    )
    options.add_data_arguments(parser)
    parser.add_argument(
        "--images",
        type=positive_int,
        default=10,
        metavar="N",
        help="how many test images to write as PNG files",
    )
    add_output_argument(parser, options.PREPARE_OUTPUT)
    return parser


if __name__ == "__main__":
    sys.exit(run("prepare", main))
