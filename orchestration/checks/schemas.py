"""What a JSON schema says of some data, at the place where it says most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from orchestration.names import nearest

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_LONGEST = 200
_KEYS = "additionalProperties"


def mistakes(validator: Any, data: Any) -> Iterator[tuple[str, str]]:
    """Find what does not fit a schema.

    Args:
        validator: One of jsonschema's validators, with the schema.
        data: The data.

    Yields:
        The place, as keys joined with dots, and what is wrong there.
    """
    for error in sorted(validator.iter_errors(data), key=lambda one: one.json_path):
        # Of several forms none fits: what came furthest was meant.
        leaf = min(_leaves(error), key=_distance)
        path = [str(part) for part in leaf.absolute_path]
        unknown = _unknown_keys(leaf)
        for key in unknown:
            hint = nearest(key, sorted(_known_keys(leaf)))
            yield ".".join([*path, key]), f"unknown key{hint}"
        if not unknown:
            said = str(leaf.message)
            said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]} ..."
            yield ".".join(path), said


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    if not error.context:
        yield error
    for one in error.context or ():
        yield from _leaves(one)


def _distance(error: ValidationError) -> tuple[int, bool, int, bool, str]:
    unknown = _unknown_keys(error)
    depth = len(error.absolute_path)
    # A pattern is an expression's, as a rule, where a plain value was meant.
    is_pattern = error.validator == "pattern"
    return -depth, not unknown, len(unknown), is_pattern, str(error.message)


def _unknown_keys(error: ValidationError) -> list[str]:
    """Name the keys that an error is about, if it is about such."""
    if error.validator != _KEYS or not isinstance(error.instance, dict):
        return []
    known = _known_keys(error)
    return [str(key) for key in error.instance if key not in known]


def _known_keys(error: ValidationError) -> list[str]:
    schema = error.schema
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    return list(properties or ())
