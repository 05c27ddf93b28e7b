"""A pipeline as a pipeline job of Azure Machine Learning, in the form of its CLI v2.

The launcher travels as the jobs' code, so that a task's image is the same on every
engine. The service orders jobs by what they hand on: each leaves a small file that says
that it is done, and all else lies in the store.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from common.errors import UserError
from orchestration.platforms.nodes import Node, launcher_arguments

_SCHEMA = "https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json"
# The folder with the launcher's code and packages, beside the rendered file.
LAUNCHER_FOLDER = "launcher"


@dataclass(frozen=True)
class AzureSettings:
    """What a pipeline job is made with.

    Attributes:
        images: The image of each step by digest, ``name@sha256:...``.
        store: The store's address.
        plan: The plan's reference in it.
        cpu: The compute of steps that ask for no GPU.
        gpu: The compute of those that do; None where there is none.
        experiment: The experiment that the job belongs to.
        variables: Environment variables of all jobs.
        tags: The pipeline job's tags.
        run: The run that it is; None for a job that is none.
        keep_going: After a failure, go on with what does not depend on it.
    """

    images: Mapping[str, str]
    store: str
    plan: str
    cpu: str
    gpu: str | None = None
    experiment: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    run: str | None = None
    keep_going: bool = False


def render_pipeline_job(
    name: str, nodes: Sequence[Node], settings: AzureSettings
) -> str:
    """Write a pipeline job as YAML; the same arguments give the same bytes.

    Args:
        name: What it is shown as.
        nodes: What it starts; a node with shards becomes parallel jobs.
        settings: What it is made with.

    Raises:
        UserError: The service cannot do what a step asks for.
    """
    jobs: dict[str, Any] = {}
    spelled: dict[str, list[str]] = {}
    for node in nodes:
        shards = node.shards or (None,)
        names = job_names(node)
        spelled[node.name] = names
        after = [one for need in node.needs for one in spelled[need]]
        for job, shard in zip(names, shards, strict=True):
            if job in jobs:
                raise UserError(
                    f"{name}: two jobs would be called {job}; rename a step"
                )
            jobs[job] = _job(node, shard, after, settings)
    document: dict[str, Any] = {
        "$schema": _SCHEMA,
        "type": "pipeline",
        "display_name": name,
    }
    if settings.experiment is not None:
        document["experiment_name"] = settings.experiment
    if settings.tags:
        document["tags"] = dict(sorted(settings.tags.items()))
    document["settings"] = {
        "default_compute": f"azureml:{settings.cpu}",
        # Whether a step is cached is for the launcher to say, by the step's key.
        "force_rerun": True,
        "continue_on_step_failure": settings.keep_going,
    }
    document["jobs"] = jobs
    text: str = yaml.safe_dump(document, sort_keys=False, width=1000)
    return text


def _job(
    node: Node, shard: str | None, after: Sequence[str], settings: AzureSettings
) -> dict[str, Any]:
    asked = node.resources
    if asked.nodes > 1:
        raise UserError(
            f"{node.step} asks for {asked.nodes} machines; a pipeline's step has one "
            "(./strata job submits a script to several)"
        )
    if asked.gpu and settings.gpu is None:
        raise UserError(
            f"{node.step} asks for a GPU; the stage names no compute with one"
        )
    for variable, given in node.variables:
        if given is None and variable not in settings.variables:
            raise UserError(
                f"{node.step} sees the variable {variable}; say in the stage's "
                "azure.variables what its value is"
            )
    arguments = launcher_arguments(
        node, settings.store, settings.plan, shard, settings.run
    )
    words = [shlex.quote(argument) for argument in arguments]
    for one in after:
        words += ["--after", f"${{{{inputs.{_input(one)}}}}}"]
    words += ["--done", "${{outputs.done}}"]
    job: dict[str, Any] = {
        "type": "command",
        "code": LAUNCHER_FOLDER,
        "command": " ".join(["python -P -m orchestration.platforms", *words]),
        "environment": {"image": settings.images[node.step]},
        "environment_variables": {
            # Relative to the folder that the code is in, which the job starts in.
            "PYTHONPATH": "code:code/src:packages",
            **settings.variables,
            **{name: value for name, value in node.variables if value is not None},
        },
    }
    if asked.gpu:
        job["compute"] = f"azureml:{settings.gpu}"
    if node.seconds is not None:
        job["limits"] = {"timeout": math.ceil(node.seconds)}
    if after:
        job["inputs"] = {
            _input(one): {
                "type": "uri_folder",
                "path": f"${{{{parent.jobs.{one}.outputs.done}}}}",
            }
            for one in after
        }
    job["outputs"] = {"done": {"type": "uri_folder"}}
    return job


def job_names(node: Node) -> list[str]:
    """Spell a node's name, one for each shard, as the service takes it.

    That is letters, digits and _.
    """
    name = node.name.replace("-", "_")
    count = len(node.shards)
    return [name] if count < 2 else [f"{name}_{i}" for i in range(1, count + 1)]


def _input(job: str) -> str:
    return f"after_{job}"
