"""Rendered documents, as the vendors' own schemas and loaders take them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from azure.ai.ml import load_job

from common.errors import UserError
from orchestration.pipelines.spec import Pipeline
from orchestration.platforms.argo import ArgoSettings, Secret, render_workflow
from orchestration.platforms.azureml import AzureSettings, render_pipeline_job
from orchestration.platforms.nodes import nodes_of
from tests.orchestration.platforms.kitchen import DIGEST, PIPELINE, fifty_steps

IMAGE = f"registry.example/strata/kitchen@{DIGEST}"
STORE, PLAN = "s3://models/strata", "file:" + "1" * 64


def pipeline(**changes: dict[str, Any]) -> Pipeline:
    """The kitchen, with changed keys of steps."""
    steps: dict[str, Any] = json.loads(json.dumps(PIPELINE["steps"]))
    for name, values in changes.items():
        steps[name] |= values
    return Pipeline.model_validate_json(json.dumps({"steps": steps}))


def argo(made: Pipeline) -> ArgoSettings:
    return ArgoSettings(
        dict.fromkeys(made.steps, IMAGE),
        f"registry.example/strata/launcher@{DIGEST}",
        STORE,
        PLAN,
        namespace="models",
        service_account="strata",
        variables={"AWS_REGION": "us-east-1"},
        secrets={"AWS_SECRET_ACCESS_KEY": Secret("store", "secret")},
        labels={"strata/pipeline": "kitchen"},
        annotations={"strata/branch": "feature/Ünïcode, of any length"},
    )


def azure(made: Pipeline) -> AzureSettings:
    return AzureSettings(
        dict.fromkeys(made.steps, IMAGE),
        "az://models/strata",
        PLAN,
        "cpu-cluster",
        gpu="gpu-cluster",
        experiment="kitchen-main",
        variables={"AZURE_STORAGE_ACCOUNT_NAME": "models"},
        tags={"branch": "main"},
    )


@pytest.mark.parametrize("schedule", [None, "0 3 * * 1"])
def test_argos_published_schema_takes_it(schedule: str | None) -> None:
    file = os.environ.get("STRATA_ARGO_SCHEMA")
    if not file:
        pytest.skip("STRATA_ARGO_SCHEMA names no file with Argo's schema")
    schema = json.loads(Path(file).read_text())
    made = pipeline(chop={"resources": {"gpu": 1}})

    text = render_workflow("kitchen", nodes_of(made), argo(made), schedule)

    document = yaml.safe_load(text)
    jsonschema.validate(document, schema)
    kind = "Workflow" if schedule is None else "CronWorkflow"
    assert document["kind"] == kind
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "spec": {"templates": 1}}, schema)


def test_azure_mls_own_loader_takes_it(tmp_path: Path) -> None:
    made = pipeline(chop={"resources": {"gpu": 1}, "timeout": "1h"})
    (tmp_path / "launcher").mkdir()
    file = tmp_path / "pipeline.yaml"

    file.write_text(render_pipeline_job("kitchen", nodes_of(made), azure(made)))

    job: Any = load_job(file)
    assert job.type == "pipeline" and job.experiment_name == "kitchen-main"
    assert list(job.jobs) == ["chop", "fry_items_1", "fry_items_2", "fry", "serve"]
    assert job.jobs["chop"].compute == "gpu-cluster"
    assert job.settings.force_rerun is True


def test_every_process_writes_the_same_bytes() -> None:
    program = (
        "import sys; from tests.orchestration.platforms import kitchen as k; "
        "print(k.fifty_steps(), end='')"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    texts = {process.communicate()[0] for process in started}

    assert texts == {fifty_steps()}


def test_steps_that_are_in_the_store_are_left_out() -> None:
    nodes = nodes_of(pipeline(), without={"chop"})

    assert [(node.name, node.needs) for node in nodes] == [
        ("fry-items", ()),
        ("fry", ("fry-items",)),
        ("serve", ("fry",)),
    ]


def test_a_secret_is_named_and_not_shown() -> None:
    made = pipeline(serve={"env": ["AWS_SECRET_ACCESS_KEY"]})
    text = render_workflow("kitchen", nodes_of(made), argo(made))

    (entry,) = {
        json.dumps(one)
        for template in yaml.safe_load(text)["spec"]["templates"]
        for one in template.get("container", {}).get("env", [])
        if one["name"] == "AWS_SECRET_ACCESS_KEY"
    }
    assert json.loads(entry)["valueFrom"] == {
        "secretKeyRef": {"key": "secret", "name": "store"}
    }


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"chop": {"resources": {"nodes": 2}}}, "chop asks for 2 machines"),
        ({"chop": {"env": ["TOKEN"]}}, "chop sees the variable TOKEN; say in the sta"),
    ],
)
def test_what_a_platform_cannot_do_is_said(
    changes: dict[str, dict[str, Any]], problem: str
) -> None:
    made = pipeline(**changes)
    with pytest.raises(UserError, match=problem):
        render_workflow("kitchen", nodes_of(made), argo(made))
    with pytest.raises(UserError, match=problem):
        render_pipeline_job("kitchen", nodes_of(made), azure(made))


def test_names_that_kubernetes_does_not_take_are_refused() -> None:
    made = pipeline()
    with pytest.raises(UserError, match="Kitchen is no workflow's name"):
        render_workflow("Kitchen", nodes_of(made), argo(made))
    settings = replace(argo(made), labels={"strata/pipeline": "a/b"})
    with pytest.raises(UserError, match="the label strata/pipeline cannot have"):
        render_workflow("kitchen", nodes_of(made), settings)
