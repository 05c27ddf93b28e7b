"""What is wrong in a file, where, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from common.errors import UserError, UserErrors

# How the readers of files report what they find, and how they end with a hint.
_LINE = re.compile(r"([^:\s][^:\n]*):(\d+): (.*)", re.DOTALL)
_HINT = re.compile(r"(.*) \((did you mean [^()]*\?)\)", re.DOTALL)


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is wrong in a file.

    Attributes:
        file: The file, relative to the tree's root.
        line: The line, from 1.
        message: What is wrong.
        hint: What to do about it; may be empty.
    """

    file: str
    line: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """Write it in a line."""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}: {self.message}{hint}"


def found(file: str, line: int, text: str, hint: str = "") -> Finding:
    """Make a finding of a text that may end with the nearest right name.

    Args:
        file: The file.
        line: The line.
        text: What is wrong, maybe with ``(did you mean ...?)`` behind it.
        hint: What to do about it where the text has no such end.
    """
    line_of_it = " ".join(text.split())
    ended = _HINT.fullmatch(line_of_it)
    if ended is None:
        return Finding(file, line, line_of_it, hint)
    return Finding(file, line, ended[1], ended[2])


def reported(error: UserError, file: str, hint: str = "") -> Iterator[Finding]:
    """Give the findings that the lines of an error stand for.

    Args:
        error: The error; each line begins with ``FILE:LINE:``, or is about the file.
        file: The file that was read.
        hint: What to do about it where a line does not say it.
    """
    lines = error.lines if isinstance(error, UserErrors) else (str(error),)
    for text in lines:
        place = _LINE.fullmatch(text)
        if place is None:
            yield found(file, 1, text, hint)
        else:
            yield found(place[1], int(place[2]), place[3], hint)


def cycle(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Give a cycle among what needs each other, its first name again at its end.

    Args:
        needs: What each one needs.

    Returns:
        The names, each needed by the next; empty if there is no cycle.
    """
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        names: list[str] = error.args[1]
        return names
    return []
