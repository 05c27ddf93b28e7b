"""JSON documents on disk, written the same way everywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import UserError


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON object, indented, in the order of its keys.

    Args:
        path: The file to write; its folder exists.
        document: What to write.

    Raises:
        ValueError: A number is not finite: JSON has no such value, and a file that only
            Python can read back is of no use to others.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file to read.

    Returns:
        The object.

    Raises:
        UserError: The file is missing, unreadable or holds no JSON object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not JSON: it is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise UserError(f"{path} is not JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise UserError(f"{path} is not JSON: it is nested too deeply") from None
    if not isinstance(document, dict):
        raise UserError(f"{path} holds no JSON object")
    return document
