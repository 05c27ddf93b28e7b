"""Run the commands one after the other, as a user does, on a small shop."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from common.command_line import run
from domains.product_recommendation.item2vec import (
    clean,
    evaluate,
    generate,
    load,
    preprocess,
    recommend,
    train,
)

OUTPUTS = Path("outputs/product_recommendation/item2vec")
COMMANDS: dict[str, Callable[[Sequence[str] | None], None]] = {
    "generate": generate.main,
    "load": load.main,
    "clean": clean.main,
    "preprocess": preprocess.main,
    "train": train.main,
    "evaluate": evaluate.main,
    "recommend": recommend.main,
}
SHOP = ["--users", "600", "--products", "300", "--ratings", "12000", "--bots", "2"]
PRODUCTS = str(OUTPUTS / "generate" / "products.jsonl.gz")
# What each needs beyond its defaults, in a shop of this size.
FLAGS: dict[str, list[str]] = {
    "generate": SHOP,
    "load": ["--products", PRODUCTS],
    "clean": ["--max_ratings_per_user", "200"],
    "preprocess": [],
    "train": ["--epochs", "30", "--dimensions", "16"],
    "evaluate": ["--map_products", "200"],
}


def call(command: str, *flags: str) -> int:
    """Run a command and give its exit status."""
    return run(command, COMMANDS[command], flags)


def make_shop(home: Path) -> str:
    """Run all commands in a folder, and give what they printed."""
    log = home / "log"
    with pytest.MonkeyPatch.context() as patch, log.open("w") as file:
        patch.chdir(home)
        patch.setattr(sys, "stdout", file)
        for command, flags in FLAGS.items():
            assert call(command, *flags) == 0
    screen = log.read_text()
    log.unlink()
    return screen


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    document = json.loads(path.read_text())
    assert isinstance(document, dict)
    return document


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
