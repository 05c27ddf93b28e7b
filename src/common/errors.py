"""The two kinds of failure that a command reports in one line."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(Exception):
    """The request was wrong; the command ends with exit status 2.

    The message is one line. It names the thing that is wrong (the file, the flag) and
    says what to do about it.
    """


class UserErrors(UserError):
    """Several mistakes of one request, reported together, in a line each.

    Attributes:
        lines: The mistakes.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class RunError(Exception):
    """The request was right and the work failed; the command ends with exit status 1.

    For failures with a known cause and remedy, such as a diverged training run.
    Anything unexpected should stay an ordinary exception and keep its traceback.
    """
