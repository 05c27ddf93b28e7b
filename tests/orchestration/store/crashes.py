"""A process that is killed at some call to the file system."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

_CALLS = ("open", "write", "fsync", "replace", "link", "unlink", "rename", "utime")


def killed_at(count: int, work: Callable[[], object]) -> bool:
    """Do some work in a process that is killed at a call to the file system.

    Args:
        count: How many calls are let through. Of the bytes of a write that is not, half
            are written.
        work: What to do.

    Returns:
        Whether it was killed; False if it was done before.
    """
    child = os.fork()
    if child == 0:
        try:
            _trap(count)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


def _trap(count: int) -> None:
    left = count

    def trapped(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                if name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)

        return call

    for name in _CALLS:
        setattr(os, name, trapped(getattr(os, name), name))
