"""What long work shows: live in a terminal, and elsewhere as plain lines.

Everything goes to standard error, so that standard output holds results alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TransferSpeedColumn,
)

_PLAIN_EVERY_SECONDS = 10.0


class Screen:
    """Where progress is shown."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)

    @contextmanager
    def steps(self, title: str) -> Iterator[Callable[[str], None]]:
        """Show the last line of what a command prints, and at the end how long it took.

        Yields:
            What to call with each line.
        """
        start = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(escape(title)) as status:
                yield lambda line: status.update(
                    f"{escape(title)}  [dim]{escape(line[:100])}[/dim]"
                )
        else:
            self._console.print(f"{title} ...", markup=False, soft_wrap=True)
            yield lambda line: None
        seconds = time.monotonic() - start
        self._console.print(f"{title}: {seconds:.1f} s", markup=False, soft_wrap=True)

    @contextmanager
    def transfer(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """Show how much of some bytes has been moved.

        Yields:
            What to call with the bytes that were moved, and how many there are.
        """
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
            )
            with Progress(*columns, console=self._console, transient=True) as progress:
                bar = progress.add_task(escape(title), total=None)
                yield lambda done, total: progress.update(
                    bar, completed=done, total=total
                )
            return
        self._console.print(f"{title} ...", markup=False, soft_wrap=True)
        next_line = time.monotonic() + _PLAIN_EVERY_SECONDS

        def show(done: int, total: int) -> None:
            nonlocal next_line
            if time.monotonic() >= next_line:
                next_line = time.monotonic() + _PLAIN_EVERY_SECONDS
                line = f"{title}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
                self._console.print(line, markup=False, soft_wrap=True)

        yield show
