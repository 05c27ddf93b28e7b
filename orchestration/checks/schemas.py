"""What a JSON schema says of some data, at the place where it says most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_LONGEST = 200


def mistakes(validator: Any, data: Any) -> Iterator[tuple[str, str]]:
    """Find what does not fit a schema.

    Args:
        validator: One of jsonschema's validators, with the schema.
        data: The data.

    Yields:
        The place, as keys joined with dots, and what is wrong there.
    """
    from jsonschema.exceptions import best_match

    for error in sorted(validator.iter_errors(data), key=lambda one: str(one.json_path)):
        best = best_match([error])
        where = ".".join(map(str, best.absolute_path))
        said = str(best.message)
        yield where, said if len(said) <= _LONGEST else f"{said[:_LONGEST]} ..."
