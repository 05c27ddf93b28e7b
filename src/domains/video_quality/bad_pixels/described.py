"""Folders that hold what was made of one video, found by the file that describes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from common.errors import UserError
from common.json_files import read_json


class Described(Protocol):
    """What was made of one video."""

    @property
    def video(self) -> str:
        """The video's file name."""


One = TypeVar("One", bound=Described)


def find_described(
    path: Path, file_name: str, read: Callable[[Path], One], command: str
) -> list[One]:
    """Read everything of a kind that lies in a folder, however deep.

    Args:
        path: The folder of one video or of many.
        file_name: The file that describes each.
        read: Takes the folder of one.
        command: What makes them.

    Returns:
        What was found, by the videos' names.

    Raises:
        UserError: There is nothing of the kind, or two of videos with the same name.
    """
    if not path.is_dir():
        raise UserError(f"folder {path} does not exist; {command} makes it")
    found: dict[str, One] = {}
    folders: dict[str, Path] = {}
    for where in sorted(path.rglob(file_name)):
        one = read(where.parent)
        if one.video in found:
            raise UserError(
                f"{folders[one.video]} and {where.parent} are both of {one.video}; "
                "keep one"
            )
        found[one.video], folders[one.video] = one, where.parent
    if not found:
        raise UserError(f"{path} holds no {file_name}; {command} makes them")
    return [found[video] for video in sorted(found)]


def read_description(where: Path, form: str, command: str) -> dict[str, Any]:
    """Read a describing file.

    Args:
        where: The file.
        form: What it has to say of its format.
        command: What makes it.

    Returns:
        What else it says.

    Raises:
        UserError: It is missing, or of another format.
    """
    described = read_json(where)
    if described.pop("format", None) != form:
        raise UserError(f"{where} was not written by this {command}; run it again")
    return described
