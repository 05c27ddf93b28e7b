"""How a run goes, on the screen: live in a terminal, and elsewhere as plain lines."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from orchestration.running import StepEnd

_SIGNS = {"cached": "=", "done": "+", "failed": "x", "skipped": "-"}
_STYLES = {"cached": "dim", "done": "green", "failed": "bold red", "skipped": "dim"}
_PLAIN_EVERY_SECONDS = 10.0


class ProgressScreen:
    """Shows steps as they start, advance and end; everything goes to standard error.

    Args:
        width: The length of the longest step's name.
    """

    def __init__(self, width: int) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._width = width
        self._live: Progress | None = None
        if self._console.is_terminal:
            self._live = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
        self._bars: dict[str, TaskID] = {}
        self._totals: dict[str, int] = {}
        self._next_line: dict[str, float] = {}

    def __enter__(self) -> ProgressScreen:
        if self._live is not None:
            self._live.start()
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
        self._console.print(f"  {line}", markup=False, soft_wrap=True)

    def started(self, step: str, reason: str, items: int | None) -> None:
        """Show that a step runs, and why."""
        self._totals[step] = items if items is not None else 1
        self._next_line[step] = time.monotonic() + _PLAIN_EVERY_SECONDS
        line = f"> {step:<{self._width}}  {reason}"
        self._console.print(line, markup=False, soft_wrap=True)
        if self._live is not None:
            total = items if items is not None else None
            self._bars[step] = self._live.add_task(escape(step), total=total)

    def advanced(self, step: str, done: int) -> None:
        """Show how many of a step's items are done."""
        if self._live is not None:
            self._live.update(self._bars[step], completed=done)
        elif time.monotonic() >= self._next_line[step]:
            self._next_line[step] = time.monotonic() + _PLAIN_EVERY_SECONDS
            line = f"  {step:<{self._width}}  {done:,} of {self._totals[step]:,} items"
            self._console.print(line, markup=False, soft_wrap=True)

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
        self._console.print(
            f"{_SIGNS[end.state]} {step:<{self._width}}  {text}",
            style=_STYLES[end.state],
            markup=False,
            soft_wrap=True,
        )
