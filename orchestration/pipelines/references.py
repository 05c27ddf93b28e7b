"""References in arguments: ``${params.x}``, ``${inputs.x}`` and ``${outputs.x}``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

KINDS = ("params", "inputs", "outputs")
_FORMS = ", ".join(f"${{{kind}.NAME}}" for kind in KINDS) + " or ${outputs}"
# What begins with ${, and $${, which stands for it.
MARKS = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Reference:
    """One of a text's references.

    Attributes:
        kind: params, inputs or outputs.
        name: The name in there; empty for ``${outputs}``, the step's output folder.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        """Write it as in the file."""
        return f"${{{self.kind}.{self.name}}}" if self.name else f"${{{self.kind}}}"


def parse_text(text: str) -> list[str | Reference]:
    """Split a text into what stands as it is and what is replaced.

    ``$${`` stands for ``${``.

    Raises:
        ValueError: A reference has none of the forms that there are.
    """
    parts: list[str | Reference] = []
    plain, end = "", 0
    for mark in MARKS.finditer(text):
        plain += text[end : mark.start()]
        end = mark.end()
        if mark[0] == "$${":
            plain += "${"
            continue
        if plain:
            parts.append(plain)
        plain = ""
        parts.append(_reference(mark))
    plain += text[end:]
    return [*parts, plain] if plain else parts


def references(value: object) -> list[Reference]:
    """List the references of an argument's value: a text, or texts in a list.

    Raises:
        ValueError: As :func:`parse_text`.
    """
    if isinstance(value, str):
        return [part for part in parse_text(value) if isinstance(part, Reference)]
    if isinstance(value, Sequence):
        return [found for item in value for found in references(item)]
    return []


def sole_reference(value: object) -> Reference | None:
    """Give the reference that a value consists of, if it is nothing else.

    Raises:
        ValueError: As :func:`parse_text`.
    """
    parts = parse_text(value) if isinstance(value, str) else []
    if len(parts) == 1 and isinstance(parts[0], Reference):
        return parts[0]
    return None


def _reference(mark: re.Match[str]) -> Reference:
    if mark[1] is None:
        raise ValueError("a ${ without its }; a ${ that stands for itself is $${")
    kind, _, name = mark[1].partition(".")
    if mark[1] == "outputs" or (kind in KINDS and _NAME.fullmatch(name)):
        return Reference(kind, name)
    raise ValueError(f"{mark[0]} is none of {_FORMS}")
