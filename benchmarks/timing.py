"""Commands measured from outside: how long they take, and how much memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import RunError

_TAIL_LINES = 15


@dataclass(frozen=True)
class Measured:
    """One command that has ended.

    Attributes:
        seconds: How long it took.
        peak: The memory in MiB that its largest process had at most: of those that it
            has waited for, and of itself.
        output: What it wrote to standard output.
        processor_seconds: How long processors worked for it and those that it has
            waited for; other work on the machine changes that less.
    """

    seconds: float
    peak: float
    output: str
    processor_seconds: float


def measure(
    command: Sequence[str | Path], folder: Path, variables: Mapping[str, str]
) -> Measured:
    """Run a command to its end.

    Args:
        command: The program and its arguments.
        folder: Its working folder.
        variables: Its environment, whole.

    Raises:
        RunError: It failed.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        written = output.read()
        if process.returncode:
            tail = (written + errors.read()).splitlines()[-_TAIL_LINES:]
            shown = " ".join(map(str, command))
            raise RunError(f"{shown}: status {process.returncode}: {' | '.join(tail)}")
    worked = usage.ru_utime + usage.ru_stime
    return Measured(seconds, usage.ru_maxrss / 1024, written, worked)


@dataclass
class Series:
    """The same measured several times.

    Attributes:
        values: What was found, round after round.
    """

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.values)

    def text(self, digits: int) -> str:
        """Give the median, and the lowest and highest where there are several."""
        if not self.values:
            return "-"
        text = f"{self.median:,.{digits}f}"
        if len(self.values) > 1:
            lowest, highest = min(self.values), max(self.values)
            text += f" ({lowest:,.{digits}f} to {highest:,.{digits}f})"
        return text
