"""Take jobs from standard input, a line each, and answer each with a line.

    python -m orchestration.launcher <jobs >results

It ends with its input. SIGTERM ends the command that runs and records nothing.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

from common.errors import RunError
from orchestration.launcher.job import Job, JobResult
from orchestration.launcher.launch import launch
from orchestration.store.store import Store


class _Stopped(BaseException):
    """A signal asks to end."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped


def main() -> int:
    """Serve until the input ends; the exit status."""
    signal.signal(signal.SIGTERM, _stop)
    # Ctrl-C reaches all of a terminal's processes; the engine says who has to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stores: dict[str, Store] = {}
    try:
        for line in sys.stdin:
            job = Job.from_json(line)
            try:
                if job.store not in stores:
                    stores[job.store] = Store.open(job.store)
                result = launch(job, stores[job.store])
            except RunError as error:
                result = JobResult("failed", message=str(error))
            except OSError as error:
                result = JobResult("failed", message=f"the launcher failed: {error}")
            sys.stdout.write(result.to_json() + "\n")
            sys.stdout.flush()
    except _Stopped:
        return 128 + signal.SIGTERM
    return 0


if __name__ == "__main__":
    sys.exit(main())
