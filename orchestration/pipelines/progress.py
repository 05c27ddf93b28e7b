"""How a run goes, on the screen: live in a terminal, and elsewhere as plain lines."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from common.command_line import warn
from orchestration.step_end import StepEnd

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_SIGNS = {"cached": "=", "done": "+", "failed": "x", "skipped": "-", "stopped": "!"}
_STYLES = {
    "cached": "dim",
    "done": "green",
    "failed": "bold red",
    "skipped": "dim",
    "stopped": "dim",
}
_PLAIN_EVERY_SECONDS = 10.0


class ProgressScreen:
    """Shows steps as they start, advance and end; everything goes to standard error.

    Args:
        width: The length of the longest step's name.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._live: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._next_line: dict[str, float] = {}

    def __enter__(self) -> ProgressScreen:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, line: str) -> None:
        """Show a line about something that takes long."""
        self._line(f"  {line}")

    def started(self, step: str, reason: str, items: int | None) -> None:
        """Show that a step runs, and why."""
        self._next_line[step] = time.monotonic() + _PLAIN_EVERY_SECONDS
        if self._live is None and sys.stderr.isatty():
            self._live = _live()
            self._live.start()
        self._line(f"> {step:<{self._width}}  {reason}")
        if self._live is not None:
            self._bars[step] = self._live.add_task(step, total=items)

    def advanced(self, step: str, done: int, items: int | None) -> None:
        """Show how many of a step's items are done."""
        if self._live is not None:
            self._live.update(self._bars[step], completed=done, total=items)
        elif items is not None and time.monotonic() >= self._next_line[step]:
            self._next_line[step] = time.monotonic() + _PLAIN_EVERY_SECONDS
            self._line(f"  {step:<{self._width}}  {done:,} of {items:,} items")

    def ended(self, step: str, end: StepEnd) -> None:
        """Show how a step ended."""
        if self._live is not None and step in self._bars:
            self._live.remove_task(self._bars.pop(step))
        text = end.state
        if end.state == "done":
            text = f"done in {end.seconds:.1f} s"
            if end.items is not None:
                text += f", {end.ran:,} items"
        elif end.state == "failed":
            text = f"failed: {end.message}"
        line = f"{_SIGNS[end.state]} {step:<{self._width}}  {text}"
        self._line(line, _STYLES[end.state])

    def _line(self, line: str, style: str | None = None) -> None:
        if self._live is None:
            warn(line)
        else:
            self._live.console.print(line, style=style, markup=False, soft_wrap=True)


def _live() -> Progress:
    # Imported when something runs: it takes longer than looking that nothing has to.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
    )
