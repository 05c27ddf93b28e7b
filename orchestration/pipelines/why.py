"""Why a step runs: what differs between its key's document and an earlier one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Fields whose value names things, each of which may differ, and how one is called.
_NAMED = {
    "code": "file",
    "packages": "package",
    "variables": "environment variable",
    "inputs": "input",
    "outputs": "output",
}
_PLAIN = {
    "module": "script",
    "python": "interpreter",
    "platform": "platform",
    "system": "system",
    "processes": "number of processes",
    "map": "mapped input",
    "item": "item",
    "step": "step",
    "task": "task",
    "format": "format of the key",
}
_SHORT = 19  # "file:" or "tree:" and the first digits of a digest


@dataclass(frozen=True)
class Difference:
    """One thing that two documents do not agree on.

    Attributes:
        kind: What it is, such as file, package or parameter.
        name: Which one; empty where there is but one.
        before: What it was; None if it was not there.
        after: What it is; None if it is not there any more.
    """

    kind: str
    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        subject = f"{self.kind} {self.name}".strip()
        if self.before is None:
            return f"{subject} is new"
        if self.after is None:
            return f"{subject} is gone"
        before, after = _spelt(self.before), _spelt(self.after)
        if self.kind in ("file", "environment variable") or before == after:
            return f"{subject} changed"
        return f"{subject}: {before} -> {after}"


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Difference]:
    """List everything that differs between two keys' documents, sorted by kind."""
    found = []
    for field in sorted({*before, *after}):
        old, new = before.get(field), after.get(field)
        if old == new:
            continue
        if field in _NAMED and isinstance(old, Mapping) and isinstance(new, Mapping):
            found += [
                Difference(_NAMED[field], name, old.get(name), new.get(name))
                for name in sorted({*old, *new})
                if old.get(name) != new.get(name)
            ]
        elif field == "arguments":
            found += _arguments(old or [], new or [])
        else:
            found.append(Difference(_PLAIN.get(field, field), "", old, new))
    return found


def nearest_record(
    records: Iterable[Mapping[str, Any]], document: Mapping[str, Any]
) -> tuple[Mapping[str, Any], list[Difference]] | None:
    """Find the earlier record that differs least; of several the first.

    Args:
        records: Records of the step, newest first.
        document: The step's document now.

    Returns:
        The record and what differs; None if there is no record.
    """
    found = [(record, differences(record["key"], document)) for record in records]
    return min(found, key=lambda pair: len(pair[1]), default=None)


def text_diff(
    name: str, before: str | None, after: str | None, read: Callable[[str], bytes]
) -> list[str]:
    """Give the lines of a unified diff of a file, without its two headers.

    Args:
        name: The file.
        before: Its SHA-256 before; None if it was not there.
        after: Its SHA-256 now.
        read: Gives a file's bytes by its SHA-256; it may raise OSError.

    Returns:
        The lines; none where one is no text.
    """
    try:
        old, new = (
            read(digest).decode().splitlines() if digest else []
            for digest in (before, after)
        )
    except (OSError, UnicodeDecodeError):
        return []
    return list(difflib.unified_diff(old, new, lineterm="", n=1))[2:]


def _arguments(before: Sequence[str], after: Sequence[str]) -> list[Difference]:
    """Compare command lines flag by flag where both consist of flags."""
    old, new = _flags(before), _flags(after)
    found = [
        Difference("argument", name, old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    return found or [Difference("arguments", "", " ".join(before), " ".join(after))]


def _flags(words: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    flag = "(positional)"
    for word in words:
        name, given, value = word.partition("=")
        if word.startswith("--"):
            flag = name
            found[flag] = value if given else ""
        else:
            found[flag] = f"{found.get(flag, '')} {word}".strip()
    return found


def _spelt(value: Any) -> str:
    if isinstance(value, list):
        return str(value[0]) if value else "none"
    text = str(value)
    kind, _, digest = text.partition(":")
    is_reference = kind in ("file", "executable", "tree") and len(digest) == 64
    return text[:_SHORT] if is_reference else text
