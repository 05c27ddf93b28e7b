"""Launchers at work side by side: each a process that takes one job after the other."""

from __future__ import annotations

import queue
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from orchestration.launcher.command import bound_to_parent
from orchestration.launcher.job import Job, JobResult

# Time for a launcher to end its command, which has a grace period of its own.
_STOP_SECONDS = 15.0

Tag = TypeVar("Tag")


@dataclass(frozen=True)
class Launcher:
    """How a launcher is started.

    Attributes:
        command: The program and its arguments.
        variables: Its environment, whole.
        end: Is called when it has to end, beside a signal to the process.
    """

    command: Sequence[str]
    variables: Mapping[str, str]
    end: Callable[[], None] = lambda: None


class Workers(Generic[Tag]):
    """Runs jobs in up to a number of launchers.

    Args:
        count: How many jobs run side by side.
        start: Says how the launcher for a job is started; jobs for which it gives an
            equal answer share one.
    """

    def __init__(self, count: int, start: Callable[[Job], Launcher]) -> None:
        self._start = start
        self._jobs: queue.SimpleQueue[tuple[Tag, Job] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Tag, JobResult]] = queue.SimpleQueue()
        self._processes: dict[int, tuple[Launcher, subprocess.Popen[str]]] = {}
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.count = count

    def submit(self, tag: Tag, job: Job) -> None:
        """Have a job run as soon as a launcher is free."""
        if len(self._threads) < self.count:
            number = len(self._threads)
            thread = threading.Thread(target=self._serve, args=(number,), daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put((tag, job))

    def next_result(self) -> tuple[Tag, JobResult]:
        """Wait for the next job to end."""
        return self._done.get()

    def stop(self) -> None:
        """End everything that still runs, and wait for it."""
        self._stopped.set()
        with self._lock:
            running = list(self._processes.values())
        for launcher, process in running:
            process.terminate()
            launcher.end()
        for _, process in running:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, number: int) -> None:
        while (taken := self._jobs.get()) is not None:
            tag, job = taken
            if self._stopped.is_set():
                return
            self._done.put((tag, self._run(number, job)))

    def _run(self, number: int, job: Job) -> JobResult:
        wanted = self._start(job)
        launcher, process = self._processes.get(number, (None, None))
        if process is None or launcher != wanted or process.poll() is not None:
            if process is not None:
                assert process.stdin is not None
                process.stdin.close()
                process.wait()
            with self._lock:
                if self._stopped.is_set():
                    return JobResult("failed", message="stopped")
                process = _popen(wanted)
                self._processes[number] = (wanted, process)
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(job.to_json() + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            return JobResult.from_json(line)
        except (BrokenPipeError, ValueError):
            status = process.wait()
            return JobResult(
                "failed", message=f"its launcher ended with status {status}"
            )


def _popen(launcher: Launcher) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*bound_to_parent(), *launcher.command],
        env=dict(launcher.variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C reaches the engine, which ends its launchers in order.
        start_new_session=True,
    )
