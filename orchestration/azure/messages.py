"""What azure-ai-ml says at length when data do not fit, taken apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def mistakes_in(text: str) -> list[tuple[str, str]]:
    """Find the places, as keys joined with dots, and what is wrong with each.

    Args:
        text: What azure-ai-ml says: prose with a JSON document in it, whose values may
            be such texts again.

    Returns:
        At least one place and message; a place may be empty.
    """
    return list(dict.fromkeys(_mistakes(text)))


def _mistakes(text: str) -> Iterator[tuple[str, str]]:
    start = text.find("{\n")
    try:
        found, _ = (
            json.JSONDecoder().raw_decode(text[start:]) if start >= 0 else ({}, 0)
        )
    except ValueError:
        found = {}
    errors = found.get("errors") if isinstance(found, dict) else None
    if isinstance(errors, list):
        for one in errors:
            inner = list(_mistakes(str(one.get("message"))))
            where = str(one.get("path") or "").strip("*")
            yield from ((place or where, said) for place, said in inner)
    elif found:
        yield from _leaves(found, "")
    else:
        # After the message the same comes once more, in parts.
        yield "", " ".join(text.partition("\nCode: ")[0].split())


def _leaves(found: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(found, dict):
        for key, value in found.items():
            yield from _leaves(value, f"{where}.{key}" if where else str(key))
    elif isinstance(found, list):
        for value in found:
            yield from _leaves(value, where)
    else:
        yield where, str(found)
