"""All parts of some data, with their places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def parts(data: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Give the parts of plain data, each before those in it.

    Args:
        data: Mappings, lists and scalars.
        where: What precedes the places.

    Yields:
        The place, as keys joined with dots, and what is there.
    """
    yield where, data
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from parts(value, f"{where}.{key}" if where else str(key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from parts(value, f"{where}.{number}" if where else str(number))


def texts(data: Any) -> Iterator[tuple[str, str]]:
    """Give the texts among the parts of plain data, with their places."""
    for where, value in parts(data):
        if isinstance(value, str):
            yield where, value


def key_of(where: str) -> str:
    """Give the last key of a place."""
    return where.rpartition(".")[2]
