"""Many small pieces of work at once, and how far they are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
# Is called with the bytes that were moved, and how many there are.
Progress = Callable[[int, int], None]


def in_parallel(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> list[Result]:
    """Do some work on each item, in threads.

    Args:
        work: Is called from several threads at once.
        items: What to call it with.
        workers: How many threads there are at most.

    Returns:
        What came of each item, in their order. After a failure no further item is
        begun, and what is at work is waited for.
    """
    listed = list(items)
    if workers == 1 or len(listed) < 2:
        return [work(item) for item in listed]
    results: dict[int, Result] = {}
    # A range's iterator gives each number once, whoever asks.
    numbers = iter(range(len(listed)))
    stopped = threading.Event()

    def serve() -> None:
        try:
            for number in numbers:
                if stopped.is_set():
                    return
                results[number] = work(listed[number])
        except BaseException:
            stopped.set()
            raise

    workers = min(workers, len(listed))
    with ThreadPoolExecutor(workers) as pool:
        try:
            for future in [pool.submit(serve) for _ in range(workers)]:
                future.result()
        finally:
            stopped.set()  # Ctrl-C arrives here
    return [results[number] for number in range(len(listed))]


class Meter:
    """Counts bytes, from several threads.

    Args:
        progress: Is told, if it is there.
        total: How many bytes there are.
    """

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count bytes that have been moved."""
        if self._progress is not None:
            with self._lock:
                self._done += count
                self._progress(self._done, self._total)
