"""Read what a run left."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    document = json.loads(path.read_text())
    assert isinstance(document, dict)
    return document


def read_history(folder: Path) -> list[dict[str, float]]:
    """Read the epochs of a training run's output folder, a row each."""
    with (folder / "history.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
