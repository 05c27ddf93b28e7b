"""Command lines that explain themselves and fail in one line.

A script defines ``main(arguments)``, parses with :class:`Parser` and ends with::

    if __name__ == "__main__":
        sys.exit(run("train", main))
"""

from __future__ import annotations

import argparse
import difflib
import errno
import math
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn, TypeVar

from common.errors import RunError, UserError, UserErrors

Number = TypeVar("Number", int, float)

DONE, FAILED, WRONG_REQUEST = 0, 1, 2
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
CLOSED_PIPE = 128 + signal.SIGPIPE

# A path that the user gave, or rights that the user has, and never a mistake of ours.
_WRONG_PATH = frozenset(
    {
        errno.EACCES,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)


class _HelpFormatter(argparse.HelpFormatter):
    """Show defaults that say something, and keep the example's line as it is."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        # Zero equals False, and says something.
        is_unsaid = action.default is False or action.default in (None, "", [])
        if is_unsaid or action.default == argparse.SUPPRESS:
            return text
        return f"{text} (default: %(default)s)"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return text
        return super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """An argument parser whose help shows defaults and an example.

    A mistake is a :class:`UserError`, so it is reported in one line like any other.

    Args:
        name: The command's name, as error messages begin with it.
        description: What the command does.
        example: A command line that works as it stands.
    """

    def __init__(self, name: str, description: str, example: str) -> None:
        super().__init__(
            prog=name,
            description=description,
            epilog=f"example:\n  {example}",
            formatter_class=_HelpFormatter,
            # A prefix that is unique today stops being so with the next flag.
            allow_abbrev=False,
        )

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        """Parse, and answer an unknown flag with the nearest known one."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            known = sorted(self._option_string_actions)
            name = unknown[0].partition("=")[0]
            hint = _nearest(name.replace("-", "_").replace("__", "--", 1), known)
            self.error(f"unknown argument {unknown[0]}{hint}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Raise the mistake instead of printing the usage, which would bury it."""
        raise UserError(f"{message.removeprefix('argument ')} (--help lists all flags)")


@dataclass(frozen=True)
class OneOf:
    """An argument type that takes one of some names.

    Attributes:
        choices: The names; here, and not in argparse's own choices, so that the nearest
            can be proposed and others can still ask which there are.
    """

    choices: tuple[str, ...]

    def __call__(self, text: str) -> str:
        """Take a name, or propose the nearest."""
        if text not in self.choices:
            known = ", ".join(self.choices)
            hint = _nearest(text, self.choices)
            raise argparse.ArgumentTypeError(f"{text!r} is none of {known}{hint}")
        return text


def one_of(*names: str) -> OneOf:
    """Make an argument type that takes one of the names, and proposes the nearest."""
    return OneOf(names)


def positive_int(text: str) -> int:
    """Parse an integer above zero."""
    return _number(text, int, "a whole number above 0", lambda value: value > 0)


def non_negative_int(text: str) -> int:
    """Parse an integer of zero or above, below 2**63 (a seed, a rank)."""
    return _number(
        text,
        int,
        "a whole number from 0 up to 2**63 - 1",
        lambda value: 0 <= value < 2**63,
    )


def positive_float(text: str) -> float:
    """Parse a finite number above zero."""
    return _number(
        text,
        float,
        "a number above 0",
        lambda value: value > 0 and math.isfinite(value),
    )


def is_main_process() -> bool:
    """Whether this process speaks for all processes of a distributed run.

    The rank is read from the environment, where torch's and accelerate's launchers put
    it, because mistakes are reported before torch is imported.
    """
    return os.environ.get("RANK", "0") == "0"


def say(line: str) -> None:
    """Write a line to standard output, once in a distributed run, and at once."""
    if is_main_process():
        print(line, flush=True)


def warn(line: str) -> None:
    """Write a line to standard error, once in a distributed run."""
    if is_main_process():
        print(line, file=sys.stderr, flush=True)


def run(
    name: str,
    main: Callable[[Sequence[str] | None], None],
    arguments: Sequence[str] | None = None,
) -> int:
    """Call a command's main function and turn how it ends into an exit status.

    SIGTERM, and SIGHUP from a terminal that goes, unwind the stack like Ctrl-C does, so
    that unfinished outputs are removed.
    In a distributed run only the main process reports a failure of all.

    Args:
        name: The command's name, before the message.
        main: The command. It takes its arguments, or None for those of the process.
        arguments: What to pass on.

    Returns:
        0 when done, 1 when the work failed, 2 when the request was wrong, 130 after
        Ctrl-C, 143 after SIGTERM, 141 when nobody reads the output any more.
    """
    try:
        with _terminable():
            main(arguments)
    except UserErrors as error:
        for line in error.lines:
            _report(name, line, WRONG_REQUEST)
        return WRONG_REQUEST
    except UserError as error:
        return _report(name, error, WRONG_REQUEST)
    except RunError as error:
        return _report(name, error, FAILED)
    except KeyboardInterrupt:
        return _report(name, "interrupted", INTERRUPTED)
    except _Terminated:
        return _report(name, "terminated", TERMINATED)
    except BrokenPipeError:
        # Whoever read the output has gone. Python flushes it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _report(name, f"{error.strerror}; nothing was written", FAILED)
        if error.errno in _WRONG_PATH and error.filename is not None:
            return _report(name, f"{error.filename}: {error.strerror}", WRONG_REQUEST)
        traceback.print_exc()
        return FAILED
    except Exception:
        traceback.print_exc()
        return FAILED
    return DONE


class _Terminated(BaseException):
    """SIGTERM arrived. Not an Exception: no handler on the way may swallow it."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Raise _Terminated when SIGTERM or SIGHUP arrives."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    asking = (signal.SIGTERM, signal.SIGHUP)
    previous: list[Any] = [signal.getsignal(number) for number in asking]
    for number, handler in zip(asking, previous):
        # Who starts it with nohup wants it to go on.
        if handler is not signal.SIG_IGN:
            signal.signal(number, terminate)
    try:
        yield
    finally:
        for number, handler in zip(asking, previous):
            signal.signal(number, handler)


def _report(name: str, problem: object, status: int) -> int:
    if is_main_process():
        print(f"{name}: error: {' '.join(str(problem).split())}", file=sys.stderr)
    return status


def _number(
    text: str,
    kind: Callable[[str], Number],
    expected: str,
    accepts: Callable[[Number], bool],
) -> Number:
    try:
        value = kind(text)
    except ValueError:
        pass
    else:
        if accepts(value):
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")


def _nearest(name: str, known: Sequence[str]) -> str:
    matches = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {matches[0]}?" if matches else ""
