"""Pipelines as each platform would get them, with made-up digests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from common.errors import UserError
from orchestration.azure.documents import AzureFile, load
from orchestration.branches import EXPERIMENT, WORKFLOW, name_for_branch
from orchestration.checks import argo_files, pipelines
from orchestration.checks.findings import Finding, found, reported
from orchestration.checks.look import Look
from orchestration.pipelines.documents import Document
from orchestration.pipelines.spec import Pipeline
from orchestration.platforms.nodes import nodes_of
from orchestration.stages import Stage

_DIGEST = "0" * 64
_IMAGE = f"registry.invalid/strata/image@sha256:{_DIGEST}"
_STORE, _PLAN = "s3://strata", f"file:{_DIGEST}"
_BRANCH = "main"

takes = pipelines.takes


def find(look: Look, file: str) -> Iterator[Finding]:
    """Find what a platform would refuse: every profile, with each stage's values."""
    sound, _ = pipelines.versions(look, file)
    for profile, pipeline in sound.items():
        for stage in look.stages:
            for name, render in (("Argo", _argo), ("Azure ML", _azureml)):
                try:
                    render(pipelines.task_of(file), pipeline, stage)
                except UserError as error:
                    chosen = f", profile {profile}" if profile else ""
                    for one in reported(error, file):
                        line = look.document(file).line(_step(pipeline, one.message))
                        text = f"{name}, {stage.name}{chosen}: {one.message}"
                        yield found(file, line, text, one.hint)


def _step(pipeline: Pipeline, message: str) -> str:
    """Give the place of the step that a message begins with."""
    first = message.partition(" ")[0]
    return f"steps.{first}" if first in pipeline.steps else ""


def _argo(task: str, pipeline: Pipeline, stage: Stage) -> None:
    # Only now: hera's models take seconds.
    from orchestration.platforms.argo import ArgoSettings, Secret, render_workflow

    values = stage.values.argo
    text = render_workflow(
        name_for_branch(WORKFLOW, task, _BRANCH),
        nodes_of(pipeline),
        ArgoSettings(
            images=dict.fromkeys(pipeline.steps, _IMAGE),
            launcher=_IMAGE,
            store=stage.values.store or _STORE,
            plan=_PLAN,
            namespace=values.namespace,
            service_account=values.service_account,
            variables=values.variables,
            secrets={n: Secret(s.name, s.key) for n, s in values.secrets.items()},
        ),
    )
    _check_workflow(text)


# Stages and profiles often give the same.
@lru_cache(maxsize=256)
def _check_workflow(text: str) -> None:
    data = yaml.safe_load(text)
    wrong = [f"{where}: {said}" for where, said in argo_files.misfits(data)]
    if wrong:
        raise UserError("; ".join(wrong))


def _azureml(task: str, pipeline: Pipeline, stage: Stage) -> None:
    from orchestration.platforms.azureml import AzureSettings, render_pipeline_job

    values = stage.values.azure
    text = render_pipeline_job(
        task,
        nodes_of(pipeline),
        AzureSettings(
            images=dict.fromkeys(pipeline.steps, _IMAGE),
            store=stage.values.store or _STORE,
            plan=_PLAN,
            cpu=values.compute.get("cpu", "cpu"),
            gpu=values.compute.get("gpu"),
            experiment=name_for_branch(EXPERIMENT, task, _BRANCH),
            variables=values.variables,
        ),
    )
    _check_job(text)


@lru_cache(maxsize=256)
def _check_job(text: str) -> None:
    from azure.ai.ml import load_job

    from orchestration.platforms.azureml import LAUNCHER_FOLDER

    data: dict[str, Any] = yaml.safe_load(text)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / LAUNCHER_FOLDER).mkdir()
        path = Path(folder) / "pipeline.yaml"
        load(load_job, AzureFile(path, "pipeline.yaml", data, Document(data)), data)
