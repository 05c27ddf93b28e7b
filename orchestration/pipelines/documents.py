"""YAML and JSON files as plain data, with the line that each part of it is on.

YAML is read by version 1.2's core schema: ``no`` and ``on`` are texts, ``1e-3`` is a
number, and nothing is a date. Keys are texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from common.errors import UserError

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # built without libyaml; the same, and slower
    from yaml import SafeLoader  # type: ignore[assignment]

_DEEPEST = 32
_TEXT = "tag:yaml.org,2002:str"
_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_UNTAGGED = "untagged"
_TRUTHS = {"true": True, "True": True, "TRUE": True}
_TRUTHS |= {"false": False, "False": False, "FALSE": False}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER = re.compile(r"[-+]?[0-9]{1,400}")
_BASED = re.compile(r"0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class _Loader(SafeLoader):
    """Leaves plain scalars as they are written."""

    DEFAULT_SCALAR_TAG = _UNTAGGED  # type: ignore[misc]
    yaml_implicit_resolvers = {}


@dataclass(frozen=True)
class Mistake:
    """Something in a file that makes it no sound document.

    Attributes:
        line: Where, from 1.
        message: What.
    """

    line: int
    message: str


@dataclass(frozen=True)
class Document:
    """A file's content.

    Attributes:
        data: As plain data.
        lines: The line of each part, from 1, by its keys joined with dots.
        mistakes: What makes it unsound; then the data lacks that part.
    """

    data: Any
    lines: Mapping[str, int] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()

    def line(self, where: str) -> int:
        """Give the line of a part, or of what is nearest above it."""
        while where and where not in self.lines:
            where = where.rpartition(".")[0]
        return self.lines.get(where, 1)


def read_document(path: Path) -> Document:
    """Read a YAML file, or a JSON file if its name ends in .json.

    Raises:
        UserError: It cannot be read.
    """
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return Document(None, mistakes=(Mistake(line, "it is not UTF-8 text"),))
    if path.suffix == ".json":
        return _json_document(text)
    try:
        return _yaml_document(text)
    except yaml.YAMLError as error:
        return Document(None, mistakes=(_syntax(error),))


def parse_value(text: str) -> Any:
    """Parse a value that stands alone: a scalar, or a list in brackets.

    Raises:
        ValueError: It is a quoted text or a list, and does not end well.
    """
    if text[:1] not in ("'", '"', "["):
        return _plain(text)
    try:
        document = _yaml_document(text)
    except yaml.YAMLError as error:
        raise ValueError(_syntax(error).message) from None
    if document.mistakes:
        raise ValueError(document.mistakes[0].message)
    return document.data


def _yaml_document(text: str) -> Document:
    too_deep = _beyond_depth(text)
    if too_deep is not None:
        return Document(None, mistakes=(Mistake(too_deep, "it is nested too deeply"),))
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    finally:
        loader.dispose()
    lines: dict[str, int] = {}
    mistakes: list[Mistake] = []
    data = None if node is None else _Reading(lines, mistakes).value(node, "")
    return Document(data, lines, tuple(mistakes))


def _beyond_depth(text: str) -> int | None:
    """Give the line where a text is nested more deeply than any that has a meaning."""
    depth = 0
    # Before it is composed: libyaml's binding has no limit but the stack's end.
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                return event.start_mark.line + 1 if event.start_mark else 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


class _Reading:
    """Turns nodes into plain data, and notes where they are and what is wrong."""

    def __init__(self, lines: dict[str, int], mistakes: list[Mistake]) -> None:
        self._lines = lines
        self._mistakes = mistakes
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, where: str) -> Any:
        """Give a node's value; None where it is unsound."""
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._seen:
            self._refuse(node, "an alias (*name) is not accepted; write it out")
            return None
        self._seen.add(id(node))
        if node.tag not in _COLLECTIONS:
            self._refuse(node, f"the tag {node.tag} is not accepted")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        items = []
        for number, item in enumerate(node.value):
            place = f"{where}.{number}" if where else str(number)
            self._lines[place] = _line(item)
            items.append(self.value(item, place))
        return items

    def _mapping(self, node: yaml.MappingNode, where: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(key, "a key is a text")
                continue
            place = f"{where}.{key.value}" if where else key.value
            if key.value in found:
                first = self._lines[place]
                self._refuse(key, f"{place}: the key is in line {first} already")
                continue
            self._lines[place] = _line(key)
            found[key.value] = self.value(value, place)
        return found

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag == _TEXT or (node.tag == _UNTAGGED and node.style):
            return node.value
        if node.tag != _UNTAGGED:
            self._refuse(node, f"the tag {node.tag} is not accepted")
            return None
        return _plain(node.value)

    def _refuse(self, node: yaml.Node, message: str) -> None:
        self._mistakes.append(Mistake(_line(node), message))


def _plain(text: str) -> Any:
    if text in _NULLS:
        return None
    if text in _TRUTHS:
        return _TRUTHS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text) or _INFINITE.fullmatch(text):
        return float(text.replace(".", "", 1) if _INFINITE.fullmatch(text) else text)
    return text


def _json_document(text: str) -> Document:
    try:
        # What is JSON is YAML, too; from there come the lines.
        document = _yaml_document(text)
    except yaml.YAMLError:
        document = Document(None)
    if document.mistakes and document.data is None:
        return document
    try:
        data = json.loads(
            text, object_pairs_hook=_without_repeats, parse_constant=_no_number
        )
    except json.JSONDecodeError as error:
        return Document(None, mistakes=(Mistake(error.lineno, error.msg),))
    except ValueError as error:
        mistakes = document.mistakes or (Mistake(1, str(error)),)
        return Document(None, document.lines, mistakes)
    return Document(data, document.lines)


def _without_repeats(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key} is there twice")
        found[key] = value
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no finite number")


def _syntax(error: yaml.YAMLError) -> Mistake:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None)
    context = getattr(error, "context", None)
    message = ", ".join(str(part) for part in (context, problem or error) if part)
    return Mistake(mark.line + 1 if mark else 1, message)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
