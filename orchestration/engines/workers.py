"""Launchers at work side by side: each a process that takes one job after the other."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from common.errors import RunError
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
    """

    command: Sequence[str]
    variables: Mapping[str, str]


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
        self._done: queue.SimpleQueue[tuple[Tag, JobResult] | Exception] = (
            queue.SimpleQueue()
        )
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
        """Wait for the next job to end.

        Raises:
            RunError: No launcher can be had.
        """
        done = self._done.get()
        if isinstance(done, Exception):
            raise RunError(f"no launcher can be started: {done}") from done
        return done

    def stop(self) -> None:
        """End everything that still runs, and wait for it, whoever is impatient."""
        with _unsignalled():
            self._stop()

    def _stop(self) -> None:
        self._stopped.set()
        with self._lock:
            running = list(self._processes.values())
        for _, process in running:
            process.terminate()
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
            try:
                self._done.put((tag, self._run(number, job)))
            except Exception as error:
                # Told to who waits for a result; here nobody would see it.
                self._done.put(error)

    def _run(self, number: int, job: Job) -> JobResult:
        wanted = self._start(job)
        launcher, process = self._processes.get(number, (None, None))
        if process is None or launcher != wanted or process.poll() is not None:
            if process is not None:
                assert process.stdin is not None
                with suppress(OSError):
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


@contextmanager
def _unsignalled() -> Iterator[None]:
    """Take no notice of signals that ask to end: that is what is being done."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    asking = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = [signal.signal(number, signal.SIG_IGN) for number in asking]
    try:
        yield
    finally:
        for number, handler in zip(asking, previous):
            signal.signal(number, handler)


def _popen(launcher: Launcher) -> subprocess.Popen[str]:
    return subprocess.Popen(
        # It ends its command in order when it is asked to, which a kill is not.
        [*bound_to_parent(signal.SIGTERM), *launcher.command],
        env=dict(launcher.variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C reaches the engine, which ends its launchers in order.
        start_new_session=True,
    )
