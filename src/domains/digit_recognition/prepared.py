"""What prepare leaves for the other commands: a data set's files, and which it is."""

from __future__ import annotations

from pathlib import Path

from common.errors import UserError
from common.json_files import read_json, write_json
from domains.digit_recognition.options import SOURCES

_FILE = "dataset.json"
_FORMAT = "digit_recognition-data/1"


def write_source(folder: Path, source: str) -> None:
    """Say in a folder of prepared data which data set it is of."""
    write_json(folder / _FILE, {"format": _FORMAT, "dataset": source})


def source_of(dataset: str, data_path: Path) -> str:
    """Tell which data set samples are of.

    Args:
        dataset: A data set's name; or "prepared", for what a folder says that it is of.
        data_path: That folder.

    Raises:
        UserError: It was not left by prepare.
    """
    if dataset != "prepared":
        return dataset
    where = data_path / _FILE
    described = read_json(where)
    if described.get("format") != _FORMAT or described.get("dataset") not in SOURCES:
        raise UserError(f"{where} was not written by prepare")
    return str(described["dataset"])
