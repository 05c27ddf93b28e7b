"""What is shown of long work where there is no terminal, and on one."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import threading
from pathlib import Path

from common.work_progress import shown_progress

# For programs that are started here. Read before a test changes the folder.
_PYTHONPATH = os.pathsep.join(os.path.abspath(path) for path in sys.path)
_WORK = """\
from common.work_progress import shown_progress
with shown_progress("reading", 4, "lines") as advance:
    for _ in range(4):
        advance(1)
print("ended")
"""


def test_quick_work_leaves_no_line() -> None:
    lines: list[str] = []
    with shown_progress("reading", 10, "lines", lines.append) as advance:
        advance(10)
    assert lines == []


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    shown: list[bytes] = []

    def collect() -> None:
        try:
            while part := os.read(ours, 1000):
                shown.append(part)
        except OSError:
            pass  # the terminal is closed

    with subprocess.Popen(
        [sys.executable, "-c", _WORK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": _PYTHONPATH, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        reader = threading.Thread(target=collect)
        reader.start()
        assert process.stdout is not None
        assert process.stdout.read() == b"ended\n"
        reader.join()
    os.close(ours)
    assert process.returncode == 0
    assert b"reading:   0%" in b"".join(shown)
