"""A plan of three steps, one of which maps, with its code and inputs in a store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestration.file_digests import FileDigests
from orchestration.pipelines.keys import Platform, StepCode
from orchestration.pipelines.spec import Pipeline
from orchestration.platforms.argo import ArgoSettings, Secret, render_workflow
from orchestration.platforms.azureml import AzureSettings, render_pipeline_job
from orchestration.platforms.nodes import Node, nodes_of
from orchestration.platforms.sealed_plan import SealedPlan
from orchestration.store.content import Content, read_content
from orchestration.store.store import Store

DIGEST = "sha256:" + "0" * 64
SCRIPTS = {
    "chop": """\
import pathlib, sys
source, target = map(pathlib.Path, sys.argv[1:])
target.mkdir()
for number, line in enumerate(source.read_text().split()):
    (target / f"{number}.txt").write_text(line)
""",
    "fry": """\
import pathlib, sys
source, target = map(pathlib.Path, sys.argv[1:])
if source.read_text() == "stone":
    raise SystemExit("there is a stone in it")
target.write_text(source.read_text().upper())
""",
    "serve": """\
import os, pathlib, sys
source, target = map(pathlib.Path, sys.argv[1:])
names = sorted(os.listdir(source))
target.write_text(" ".join((source / name).read_text() for name in names))
""",
}
PIPELINE = {
    "steps": {
        "chop": {
            "script": "chop",
            "inputs": {"food": {"path": "data/food.txt"}},
            "positional": ["${inputs.food}", "${outputs.pieces}"],
            "outputs": ["pieces"],
        },
        "fry": {
            "script": "fry",
            "map": "pieces",
            "shards": 2,
            "inputs": {"pieces": "chop/pieces"},
            "positional": ["${inputs.pieces}", "${outputs.fried}"],
            "outputs": {"fried": "fried.txt"},
            "timeout": "10m",
            "resources": {"cpu": 1.5, "memory": "1GiB"},
        },
        "serve": {
            "script": "serve",
            "inputs": {"fried": "fry/fried"},
            "positional": ["${inputs.fried}", "${outputs.dish}"],
            "outputs": {"dish": "dish.txt"},
            "env": {"LANGUAGE": "en"},
            "timeout": "10m",
        },
    }
}


def plan(
    store: Store, folder: Path, food: str, deliver: Mapping[str, str] | None = None
) -> str:
    """Seal the plan for some food; its reference in the store."""
    codes, closures = {}, {}
    for name, text in SCRIPTS.items():
        path = f"src/domains/kitchen/{name}.py"
        where = folder / hashlib.sha256(text.encode()).hexdigest()
        (where / path).parent.mkdir(parents=True, exist_ok=True)
        (where / path).write_text(text)
        content = add(store, where)
        closures[name] = content.reference
        files = {path: (hashlib.sha256(text.encode()).hexdigest(), False)}
        module = f"domains.kitchen.{name}"
        codes[name] = StepCode("kitchen", module, files, "", {})
    (folder / "food.txt").write_text(food)
    inputs = {"path:data/food.txt": add(store, folder / "food.txt").reference}
    sealed = SealedPlan(
        "kitchen",
        _pipeline(deliver),
        Platform("CPython 3.11", "linux x86_64", "image: one"),
        codes,
        closures,
        inputs,
        {"path:data/food.txt": ".txt"},
        "0123abc",
    )
    return store.add_text(sealed.to_json())


def nodes() -> list[Node]:
    """Lay the kitchen out for a platform."""
    return nodes_of(_pipeline())


def workflow(store: Store, reference: str, run: str | None = None) -> str:
    """Render the kitchen for Argo."""
    settings = ArgoSettings(
        dict.fromkeys(PIPELINE["steps"], f"registry.example/strata/kitchen@{DIGEST}"),
        f"registry.example/strata/launcher@{DIGEST}",
        store.address,
        reference,
        labels={} if run is None else {"strata/run": run},
        run=run,
    )
    return render_workflow("kitchen", nodes(), settings)


def pipeline_job(store: Store, reference: str, run: str | None = None) -> str:
    """Render the kitchen for Azure Machine Learning."""
    settings = AzureSettings(
        dict.fromkeys(PIPELINE["steps"], f"registry.example/strata/kitchen@{DIGEST}"),
        store.address,
        reference,
        "cpu",
        experiment="kitchen-main",
        run=run,
    )
    return render_pipeline_job("kitchen", nodes(), settings)


def fifty_steps() -> str:
    """Render fifty steps, with all that they may ask for, for both platforms."""
    image = f"registry.example/strata/kitchen@{DIGEST}"
    steps: dict[str, Any] = {}
    for number in range(50):
        step: dict[str, Any] = {
            "script": "fry",
            "inputs": {"food": f"s{number - 1}/dish" if number else {"path": "data"}},
            "args": {"food": "${inputs.food}", "dish": "${outputs.dish}"},
            "outputs": ["dish"],
            "env": ["LANGUAGE", "AWS_SECRET_ACCESS_KEY"],
        }
        if number % 2:
            step |= {"map": "food", "shards": 3}
        if number % 3:
            step["resources"] = {"gpu": 1, "memory": "1GiB", "cpu": 0.5}
        steps[f"s{number}"] = step
    pipeline = Pipeline.model_validate_json(json.dumps({"steps": steps}))
    images, nodes = dict.fromkeys(steps, image), nodes_of(pipeline)
    variables = {name: name.lower() for name in ("LANGUAGE", "HOME", "B", "A")}
    keys = {"AWS_SECRET_ACCESS_KEY": Secret("store", "key")}
    argo = ArgoSettings(
        images, image, "s3://a/b", "file:x", variables=variables, secrets=keys
    )
    variables["AWS_SECRET_ACCESS_KEY"] = "x"
    azure = AzureSettings(
        images, "s3://a/b", "file:x", "cpu", gpu="gpu", variables=variables
    )
    return render_workflow("a", nodes, argo) + render_pipeline_job("a", nodes, azure)


def add(store: Store, path: Path) -> Content:
    """Store a file or folder."""
    content = read_content(path, FileDigests(Path("/"), None), "followed")
    store.add(path, content)
    return content


def _pipeline(deliver: Mapping[str, str] | None = None) -> Pipeline:
    return Pipeline.model_validate_json(
        json.dumps({**PIPELINE, "deliver": deliver or {}})
    )
