"""What a benchmark of several tools has found, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.timing import Series

_NAME_WIDTH = 40
_COLUMN_WIDTH = 26


@dataclass
class Table:
    """Rows of what was done, columns of the tools that did it.

    Attributes:
        title: What it is about.
        columns: The tools.
        rows: What was found, by row and column.
        digits: How many digits of a row's numbers are shown behind the point.
    """

    title: str
    columns: tuple[str, ...]
    rows: dict[str, dict[str, Series]] = field(default_factory=dict)
    digits: dict[str, int] = field(default_factory=dict)

    def add(self, row: str, column: str, value: float, digits: int = 2) -> None:
        """Take one value."""
        self.digits[row] = digits
        self.rows.setdefault(row, {}).setdefault(column, Series()).values.append(value)

    def median(self, row: str, column: str) -> float:
        """Give what a row's middle value is.

        Raises:
            KeyError: There is none.
        """
        return self.rows[row][column].median

    def write(self, write_line: Callable[[str], None]) -> None:
        """Write it as lines of text."""
        write_line(f"\n{self.title}")
        names = "".join(f"{name:>{_COLUMN_WIDTH}}" for name in self.columns)
        write_line(f"{'':<{_NAME_WIDTH}}{names}")
        for row, found in self.rows.items():
            cells = (
                found.get(name, Series()).text(self.digits[row])
                for name in self.columns
            )
            shown = "".join(f"{cell:>{_COLUMN_WIDTH}}" for cell in cells)
            write_line(f"{row:<{_NAME_WIDTH}}{shown}")

    def document(self) -> dict[str, Any]:
        """Give it as values of JSON."""
        return {
            "title": self.title,
            "rows": {
                row: {name: series.values for name, series in found.items()}
                for row, found in self.rows.items()
            },
        }
