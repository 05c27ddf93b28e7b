"""Read handwritten digits from PNG files."""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.command_line import Parser, positive_int, run, say, warn
from common.errors import UserError
from common.outputs import Run, check_output_folder, output_folder
from common.task_scripts import (
    add_device_argument,
    add_output_argument,
    as_json,
    say_done,
)
from domains.digit_recognition import options
from domains.digit_recognition.images import read_digit

_SHOWN = 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict the digit on each image and write predictions.csv to the output folder.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument, the model, an image or the output folder is wrong.
    """
    args = _parser().parse_args(arguments)
    check_output_folder(args.output_path, "predict")
    paths = _find_images(args.images)

    # Only now: torch takes seconds, and neither --help nor a wrong flag needs it.
    from domains.digit_recognition.reader import Reader

    reader = Reader(args.model_path, args.device)
    this_run = Run("predict", as_json(args), options.PACKAGES)
    count = 0
    with output_folder(args.output_path, this_run) as folder:
        say(f"{reader.name}, on {len(paths):,} images")
        with (folder / "predictions.csv").open(
            "w", newline="", encoding="utf-8"
        ) as file:
            writer = csv.writer(file, lineterminator="\n")
            columns = [f"probability_{digit}" for digit in range(10)]
            writer.writerow(["path", "digit", "confidence", *columns])
            digits = _read(paths, args.invert, args.skip_damaged)
            # One batch in memory at a time, however many images there are.
            while batch := list(itertools.islice(digits, args.batch_size)):
                readings = reader.read([image for _, image in batch])
                for (path, _), read in zip(batch, readings, strict=True):
                    shares = (read.confidence, *read.probabilities)
                    values = [f"{value:.6f}" for value in shares]
                    writer.writerow([path.as_posix(), read.digit, *values])
                    count += 1
                    if count <= _SHOWN:
                        say(f"{read.digit}  {read.confidence:7.2%}  {path}")
        if not count:
            raise UserError("none of the images can be read")
        if count > _SHOWN:
            say(f"and {count - _SHOWN:,} more")
    say_done("Predicted", f"{count:,} of {len(paths):,} images", args.output_path)


def _find_images(paths: Sequence[Path]) -> list[Path]:
    """List the files among the paths and the PNG files in the folders, each once."""
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} does not exist")
        if not path.is_dir():
            found[path] = None
            continue
        inside = sorted(
            Path(folder, name)
            for folder, _, names in os.walk(path, onerror=_refuse)
            for name in names
            if name.lower().endswith(".png")
        )
        if not inside:
            raise UserError(f"folder {path} holds no PNG files")
        found.update(dict.fromkeys(inside))
    return list(found)


def _refuse(error: OSError) -> None:
    """Raise what os.walk would pass over in silence."""
    raise error


def _read(
    paths: Sequence[Path], invert: str, skip_damaged: bool
) -> Iterator[tuple[Path, npt.NDArray[np.float32]]]:
    for path in paths:
        try:
            yield path, read_digit(path, invert)
        except UserError as error:
            if not skip_damaged:
                raise UserError(f"{error} (--skip_damaged leaves it out)") from None
            warn(f"left out: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "predict",
        "Read the handwritten digit on each PNG image, of any size and colour.",
        options.SCRIPTS.command("predict", "scans/", "extra/seven.png"),
    )
    parser.add_argument(
        "images",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="PNG files, or folders to search for them",
    )
    options.add_model_path_argument(parser)
    options.add_invert_argument(parser)
    parser.add_argument(
        "--skip_damaged",
        action="store_true",
        help="leave out images that cannot be read, instead of stopping",
    )
    parser.add_argument(
        "--batch_size",
        type=positive_int,
        default=256,
        metavar="N",
        help="images that are in memory at a time",
    )
    add_device_argument(parser)
    add_output_argument(parser, options.OUTPUTS / "predict")
    return parser


if __name__ == "__main__":
    sys.exit(run("predict", main))
