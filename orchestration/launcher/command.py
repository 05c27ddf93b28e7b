"""Run a command so that nothing of it outlives its end, however that comes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

# Between the polite and the final signal: time to remove unfinished outputs.
_GRACE_SECONDS = 10.0


class TimedOut(Exception):
    """The command did not end in time and was ended."""


def run_command(
    command: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    log: Path,
    timeout: float | None,
) -> int:
    """Run a command in a session of its own, with exactly these variables.

    Whatever ends the wait (the timeout, Ctrl-C, SIGTERM) ends the command and all that
    it has started.

    Args:
        command: The program and its arguments.
        folder: Its working folder.
        variables: Its environment, whole.
        log: Takes what it writes to standard output and standard error.
        timeout: Seconds; None waits for ever.

    Returns:
        Its exit status; negative for the signal that ended it.

    Raises:
        TimedOut: It took longer than the timeout.
        OSError: The program cannot be started.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*bound_to_parent(signal.SIGKILL), *command],
            cwd=folder,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _signal_group(process.pid, signal.SIGTERM)
        if not ended.wait(_GRACE_SECONDS):
            _signal_group(process.pid, signal.SIGKILL)

    ended = threading.Event()
    timer = threading.Timer(timeout or 0, expire)
    timer.daemon = True
    if timeout is not None:
        timer.start()
    try:
        _wait_unreaped(process)
    finally:
        ended.set()
        timer.cancel()
        _end_group(process)
    if expired.is_set():
        raise TimedOut
    return process.returncode


def bound_to_parent(number: signal.Signals) -> list[str]:
    """Give what goes before a command so that it gets a signal if its parent ends.

    That is util-linux's setpriv; where it is not, as on macOS, nothing.
    """
    setpriv = _setpriv()
    return [setpriv, "--pdeathsig", number.name[3:]] if setpriv else []


@cache
def _setpriv() -> str | None:
    return shutil.which("setpriv")


def _wait_unreaped(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process and leave its number taken, so that its group can be named."""
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        process.wait()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and what is left of its group."""
    if _runs(process):
        _signal_group(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        while _runs(process) and time.monotonic() < deadline:
            time.sleep(0.01)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _runs(process: subprocess.Popen[bytes]) -> bool:
    if not hasattr(os, "waitid"):
        return process.poll() is None
    options = os.WEXITED | os.WNOWAIT | os.WNOHANG
    return os.waitid(os.P_PID, process.pid, options) is None


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        # It has ended; of a group of zombies macOS says that it is not permitted.
        pass
