"""The domains' real tasks in a scratch tree."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.build.scratch_tree import Outcome, ScratchTree

ITEM2VEC, BAD_PIXELS = "product_recommendation/item2vec", "video_quality/bad_pixels"
DIGITS = "digit_recognition"
TASKS = (ITEM2VEC, BAD_PIXELS)


@dataclass(frozen=True)
class Domains:
    """A tree with the tasks.

    Attributes:
        tree: The tree.
    """

    tree: ScratchTree

    def strata(self, *arguments: str) -> Outcome:
        """Run a command, which succeeds."""
        outcome = self.tree.run("./strata", *arguments)
        assert outcome.status == 0, outcome.errors
        return outcome

    def run(self, task: str, store: object, *flags: str) -> dict[str, Any]:
        """Run a pipeline to its end; its document."""
        outcome = self.strata("run", task, "--json", "--store", str(store), *flags)
        document: dict[str, Any] = json.loads(outcome.output)
        return document

    def ran(self, task: str, store: object, *flags: str) -> set[str]:
        """Run a pipeline; the steps that were not cached."""
        steps = self.run(task, store, *flags)["steps"]
        return {name for name, step in steps.items() if step["state"] != "cached"}

    def get(self, store: object, output: str, path: Path) -> Path:
        """Take an output of the last run from a store."""
        self.strata("get", f"last:{output}", str(path), "--store", str(store))
        return path


def outputs_of(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the content of each output, by step."""
    return {
        name: {key: one["reference"] for key, one in step["outputs"].items()}
        for name, step in run["steps"].items()
    }
