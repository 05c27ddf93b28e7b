"""Show how far a long piece of work is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from common.command_line import say

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def shown_progress(
    title: str, total: int | None, unit: str, write_line: Callable[[str], None] = say
) -> Iterator[Callable[[int], object]]:
    """Draw a bar on a terminal; in a log, write a line now and then.

    Work that ends within ten seconds leaves no line in a log.

    Args:
        title: What is done, in a few words.
        total: How many units there are; None if unknown.
        unit: What is counted, such as "B" for bytes.
        write_line: Takes the log's lines.

    Yields:
        What to call with the number of units that have been done since the last call.
    """
    if sys.stderr.isatty():
        # Only now: a log needs none of it.
        from tqdm import tqdm

        with tqdm(
            total=total,
            desc=title,
            unit=unit,
            unit_scale=True,
            dynamic_ncols=True,
            leave=False,
        ) as bar:
            yield bar.update
        return
    done, last = 0, time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            share = f" ({done / total:.0%})" if total else ""
            write_line(f"{title}: {done:,} {unit}{share}")

    yield advance
