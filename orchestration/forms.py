"""What pydantic finds wrong with the form of some data, in our words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from orchestration.names import nearest

_MESSAGES = {
    "bool_type": "takes true or false",
    "dict_type": "takes a mapping",
    "float_type": "takes a number",
    "int_type": "takes a whole number",
    "list_type": "takes a list",
    "missing": "is missing",
    "model_type": "takes a mapping",
    "string_type": "takes a text",
    "too_short": "is empty",
}


def describe(
    error: ErrorDetails,
    data: Mapping[str, Any],
    known_keys: Callable[[Sequence[str]], Sequence[str]],
) -> tuple[list[str], str]:
    """Say where data are wrong, and what is wrong there.

    Args:
        error: What pydantic found.
        data: The data that it looked at.
        known_keys: Gives the keys that there are beside the last one of a path.

    Returns:
        The part's path in the data, and the message.
    """
    path: list[str] = []
    here: Any = data
    for part in error["loc"]:
        if isinstance(here, dict) and part in here:
            here = here[str(part)]
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        elif part != error["loc"][-1] or error["type"] != "missing":
            continue  # pydantic's own name for one form of several
        path.append(str(part))
    message = _MESSAGES.get(error["type"], error["msg"])
    if error["type"] == "extra_forbidden":
        message = f"unknown key{nearest(path[-1], known_keys(path))}"
    return path, message.removeprefix("Input ")
