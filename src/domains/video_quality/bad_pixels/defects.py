"""The kinds of defect, and the tables in which they are written down.

A table of truth is a CSV file with the columns row, column and kind: one defect a line,
row and column counted from 0 at the top left.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError

# Always dark; always at one value; right and wrong by turns.
KINDS = ("dead", "stuck", "flickering")
# A pixel's class is its place here.
CLASSES = ("healthy", *KINDS)
HEALTHY = 0

_COLUMNS = ["row", "column", "kind"]
_ENDING = ".csv"


@dataclass(frozen=True, order=True)
class Defect:
    """A pixel that does not measure light.

    Attributes:
        row: From 0, from the top.
        column: From 0, from the left.
        kind: One of KINDS.
    """

    row: int
    column: int
    kind: str


def write_truth(folder: Path, video: str, defects: Iterable[Defect]) -> None:
    """Write a video's table of defects to a folder.

    Args:
        folder: An existing folder.
        video: The video's file name; the table is called the same, with .csv added.
        defects: They are written in the order of rows and columns.
    """
    path = folder / (video + _ENDING)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for defect in sorted(defects):
            writer.writerow([defect.row, defect.column, defect.kind])


def read_truth(folder: Path, video: str, height: int, width: int) -> list[Defect]:
    """Read a video's table of defects.

    Args:
        folder: Where the tables are.
        video: The video's file name.
        height: Of its frames, in pixels.
        width: Of its frames, in pixels.

    Returns:
        The defects, in the order of rows and columns.

    Raises:
        UserError: The table is missing or malformed, a defect lies outside the frame,
            or a pixel is named twice.
    """
    path = folder / (video + _ENDING)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist: {video} has no table of its defects "
            "(one with the heading alone says that it has none)"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file: {error}") from None
    if not lines or lines[0] != _COLUMNS:
        raise UserError(f"{path} does not begin with the line {','.join(_COLUMNS)}")
    found: dict[tuple[int, int], Defect] = {}
    for number, line in enumerate(lines[1:], start=2):
        defect = _parse(line, height, width)
        if isinstance(defect, str):
            raise UserError(f"{path}, line {number}: {defect}")
        if (defect.row, defect.column) in found:
            raise UserError(f"{path}, line {number}: the pixel is named twice")
        found[defect.row, defect.column] = defect
    return sorted(found.values())


def _parse(line: list[str], height: int, width: int) -> Defect | str:
    """Read a line, or say what is wrong with it."""
    if len(line) != len(_COLUMNS):
        return f"{len(line)} columns instead of {len(_COLUMNS)}"
    try:
        row, column = int(line[0]), int(line[1])
    except ValueError:
        return f"{line[0]!r}, {line[1]!r} are not whole numbers"
    if not (0 <= row < height and 0 <= column < width):
        return f"({row}, {column}) is outside the frame, {width} x {height} pixels"
    if line[2] not in KINDS:
        return f"{line[2]!r} is none of {', '.join(KINDS)}"
    return Defect(row, column, line[2])
