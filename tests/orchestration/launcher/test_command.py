"""Whatever ends a command, nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestration.launcher.command import TimedOut, run_command

# Starts a process of its own, tells its number, and waits for ever.
_PARENT = """\
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def run(code: str, folder: Path, timeout: float | None = None) -> int:
    return run_command(
        [sys.executable, "-c", code],
        folder,
        {"SEEN": "yes"},
        folder / "log",
        timeout,
    )


def ends(process: int) -> bool:
    """Whether a process ends soon: the kernel takes a moment to kill one."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            status = Path(f"/proc/{process}/stat").read_text()
        except FileNotFoundError:
            return True
        if status.rpartition(")")[2].split()[0] == "Z":
            return True  # nobody has asked for it yet
        time.sleep(0.01)
    return False


def wait_for_line(log: Path) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if log.exists() and log.read_text().endswith("\n"):
            return log.read_text()
        time.sleep(0.01)
    raise TimeoutError(log)


def test_it_sees_the_given_variables_and_no_others(tmp_path: Path) -> None:
    assert run("import os; print(*os.environ); raise SystemExit(3)", tmp_path) == 3
    # LC_CTYPE is Python's own doing (PEP 538).
    seen = set((tmp_path / "log").read_text().split())
    assert seen - {"LC_CTYPE"} == {"SEEN"}


def test_a_timeout_ends_it_with_all_that_it_has_started(tmp_path: Path) -> None:
    with pytest.raises(TimedOut):
        run(_PARENT, tmp_path, timeout=1)

    assert ends(int((tmp_path / "log").read_text()))


def test_what_it_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    code = _PARENT.rpartition("time.sleep(600)\n")[0]

    assert run(code, tmp_path) == 0
    assert ends(int((tmp_path / "log").read_text()))


def test_the_signal_that_ended_it_is_told(tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"

    assert run(code, tmp_path) == -signal.SIGSEGV


def test_an_interrupt_of_ours_ends_it(tmp_path: Path) -> None:
    def interrupt() -> None:
        wait_for_line(tmp_path / "log")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(_PARENT, tmp_path)
    thread.join()

    assert ends(int((tmp_path / "log").read_text()))


def test_it_does_not_outlive_a_launcher_that_is_killed(tmp_path: Path) -> None:
    launcher = (
        "import sys; from pathlib import Path\n"
        "from orchestration.launcher.command import run_command\n"
        f"folder = Path({str(tmp_path)!r})\n"
        f"command = [sys.executable, '-c', {_PARENT!r}]\n"
        "run_command(command, folder, {}, folder / 'log', None)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", launcher],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        wait_for_line(tmp_path / "log")
        (child,) = children(process.pid)
        process.kill()

    assert ends(child)


def children(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(number) for number in listed.split()]
