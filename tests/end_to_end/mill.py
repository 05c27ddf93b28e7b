"""A small task with a pipeline: grind -> bake; sieve, which maps; and weigh."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.build.scratch_tree import Outcome, ScratchTree

GRIND = """\
import argparse
import importlib.util
import json
import os
from importlib import resources
from pathlib import Path

import tqdm

from domains.mill.helper import scaled


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--grain", type=Path, required=True)
    parser.add_argument("--factor", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    files = sorted(path for path in args.grain.rglob("*") if path.is_file())
    print("grinding", len(files), "files")
    seen = {
        "grain": [path.read_text() for path in files],
        "amount": scaled(args.factor),
        "label": resources.files("domains.mill").joinpath("label.txt").read_text(),
        "speed": os.environ.get("MILL_SPEED"),
        "secret": os.environ.get("MILL_SECRET"),
        "importable": [
            name for name in ("tqdm", "numpy") if importlib.util.find_spec(name)
        ],
        "siblings": bool(importlib.util.find_spec("domains.mill.unused")),
        "folder": sorted(os.listdir()),
    }
    args.output.write_text(json.dumps(seen, sort_keys=True))


if __name__ == "__main__":
    main()
"""
BAKE = """\
import argparse
import os
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--flour", type=Path, required=True)
    parser.add_argument("--mood", default="good")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    args.output.mkdir()
    if args.mood == "bad":
        raise SystemExit("the oven is cold")
    if args.mood == "forgetful":
        args.output.rmdir()
        return
    if args.mood == "careless":
        args.flour.write_text("burnt")
    if args.mood == "scribbling":
        (Path(__file__).parent / "note.txt").write_text("flour is out")
    if args.mood == "slow":
        print("baking as", os.getpid(), flush=True)
        time.sleep(600)
    (args.output / "loaf.txt").write_text(args.flour.read_text())
    (args.output / "cut.sh").write_text("echo")
    (args.output / "cut.sh").chmod(0o755)
    (args.output / "crumbs").mkdir()


if __name__ == "__main__":
    main()
"""
SIEVE = """\
import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--grain", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    if "stone" in args.grain.read_text():
        raise SystemExit(f"{args.grain.name} has a stone")
    args.output.write_text(f"{args.grain.name} {args.grain.read_text()}")


if __name__ == "__main__":
    main()
"""
PIPELINE = """\
description: Grind grain and bake with it.
params: {factor: 8, mood: good}
steps:
  grind:
    script: grind
    inputs: {grain: {path: data/grain}}
    args:
      grain: ${inputs.grain}
      factor: ${params.factor}
      output: ${outputs.flour}
    env: [MILL_SPEED]
    outputs: {flour: flour.json}
  bake:
    script: bake
    inputs: {flour: grind/flour}
    args: {flour: "${inputs.flour}", mood: "${params.mood}", output: "${outputs.bread}"}
    outputs: [bread]
  sieve:
    script: sieve
    map: grain
    inputs: {grain: {path: data/grain}}
    args: {grain: "${inputs.grain}", output: "${outputs.fine}"}
    outputs: {fine: fine.txt}
  weigh:
    script: sieve
    portable: true
    inputs: {grain: {path: data/one.txt}}
    args: {grain: "${inputs.grain}", output: "${outputs.weight}"}
    outputs: {weight: weight.txt}
"""
NIGHTLY = """\
params: {factor: 8}
steps:
  grind:
    script: src/domains/mill:grind
    inputs: {grain: {path: data/grain}}
    args:
      grain: ${inputs.grain}
      factor: ${params.factor}
      output: ${outputs.flour}
    env: [MILL_SPEED]
    outputs: {flour: flour.json}
"""
BUILD = """\
domain()

python_sources(overrides={"grind.py": dict(dependencies=[":label"])})

resources(name="label", sources=["label.txt"])

task_image("grind.py", "bake.py", "sieve.py")
"""
DOCKERFILE = """\
ARG BASE=docker/base:base
FROM ${BASE}
COPY requirements.txt /opt/environment.txt
RUN install-environment /opt/environment.txt
COPY code /opt/code
USER strata
"""
SOURCES = {
    "src/domains/mill/BUILD": BUILD,
    "src/domains/mill/bake.py": BAKE,
    "src/domains/mill/deep.py": "AMOUNT = 10\n",
    "src/domains/mill/environment/Dockerfile": DOCKERFILE,
    "src/domains/mill/grind.py": GRIND,
    "src/domains/mill/helper.py": "from domains.mill.deep import AMOUNT\n\n\n"
    "def scaled(factor: int) -> int:\n    return AMOUNT * factor\n",
    "src/domains/mill/label.txt": "rye",
    "src/domains/mill/nightly/pipeline.yaml": NIGHTLY,
    "src/domains/mill/pipeline.yaml": PIPELINE,
    "src/domains/mill/sieve.py": SIEVE,
    "src/domains/mill/unused.py": "",
}

STEPS = ("grind", "bake", "sieve", "weigh")


@dataclass(frozen=True)
class Mill:
    """The scratch tree with the mill's task, and a store of its own.

    Attributes:
        tree: The tree.
        store: The store's folder, or the address of another kind.
    """

    tree: ScratchTree
    store: Path | str

    @property
    def folder(self) -> Path:
        """The store, where it is a folder."""
        return Path(self.store)

    @property
    def grain(self) -> Path:
        """The folder that grind and sieve read."""
        return self.tree.root / "data/grain"

    def fill(self) -> None:
        """Put the grain there as it is for every test."""
        shutil.rmtree(self.tree.root / "data", ignore_errors=True)
        self.grain.mkdir(parents=True)
        for name, text in {"one.txt": "one", "linked/rye.txt": "rye"}.items():
            (self.grain.parent / name).parent.mkdir(exist_ok=True)
            (self.grain.parent / name).write_text(text)
        (self.grain / "a.txt").write_text("barley")
        (self.grain / "b.txt").write_text("oats")
        (self.grain / "c.txt").symlink_to("../linked/rye.txt")

    def strata(self, *arguments: str) -> Outcome:
        """Run a command of ``./strata`` on the store."""
        return self.tree.run(
            "./strata", *arguments, *("--store", os.fspath(self.store))
        )

    def run(self, *arguments: str, pipeline: str = "mill") -> dict[str, Any]:
        """Run the pipeline; its document, whether or not a step failed."""
        outcome = self.strata("run", pipeline, "--json", *arguments)
        if outcome.status not in (0, 1) or not outcome.output:
            raise RuntimeError(outcome.errors)
        document: dict[str, Any] = json.loads(outcome.output)
        assert outcome.status == (document["state"] != "done")
        return document

    def ran(self, *arguments: str) -> dict[str, str]:
        """Run the pipeline; why each step that was not cached ran, by step."""
        steps = self.run(*arguments)["steps"]
        assert set(steps) == set(STEPS)
        return {
            name: step["reason"]
            for name, step in steps.items()
            if step["state"] != "cached"
        }

    def read(self, run: dict[str, Any], step: str, output: str) -> bytes:
        """Read an output that is a file from the store."""
        kind, _, digest = run["steps"][step]["outputs"][output]["reference"].partition(
            ":"
        )
        assert kind == "file"
        content: bytes = (self.folder / "cas" / digest).read_bytes()
        return content
