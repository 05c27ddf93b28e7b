"""Measure how long a pipeline takes to be written as platforms take it.

A pipeline of many steps, some with shards, a GPU, or a variable from a secret, is
written for Argo Workflows and for Azure Machine Learning. The peer is hera's own way to
write a workflow: tasks and containers in the contexts of a Workflow and its DAG, then
to_yaml(). It is given the same tasks, and what it has written is compared with ours:
they have to be the same document.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import yaml
from hera.workflows import DAG, Container, Env, Parameter, SecretEnv, Task, Workflow
from hera.workflows import models as m

from benchmarks.machine import machine
from benchmarks.tables import Table
from common.command_line import Parser, positive_int, run, say
from common.errors import RunError
from orchestration.pipelines.spec import Pipeline
from orchestration.platforms.argo import ArgoSettings, Secret, render_workflow
from orchestration.platforms.azureml import AzureSettings, render_pipeline_job
from orchestration.platforms.nodes import nodes_of

_HERA, _ARGO, _AZURE = "hera", "ours, Argo", "ours, Azure ML"
_ROW = "milliseconds"
_SECRET = "AWS_SECRET_ACCESS_KEY"
_IMAGE = "registry.example.com/team/strata/task@sha256:" + "0" * 64
_LAUNCHER = "registry.example.com/team/strata/launcher@sha256:" + "1" * 64
_STORE, _PLAN = "s3://models/strata", "file:" + "2" * 64


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        RunError: hera writes another document than we do.
    """
    args = _parser().parse_args(arguments)
    pipeline = _pipeline(args.steps)
    # What hera's contexts are given is settled before, and not counted.
    wanted = yaml.safe_load(_argo(pipeline))
    works: dict[str, Callable[[], str]] = {
        _HERA: lambda: _hera(wanted),
        _ARGO: lambda: _argo(pipeline),
        _AZURE: lambda: _azure(pipeline),
    }
    if yaml.safe_load(works[_HERA]()) != wanted:
        raise RunError("hera writes another document than ours")
    title = f"{args.steps} steps to YAML; medians, lowest and highest"
    table = Table(title, tuple(works))
    for number in range(args.rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if number:
                table.add(_ROW, name, (time.perf_counter() - start) * 1000, digits=0)
    ratio = table.median(_ROW, _ARGO) / table.median(_ROW, _HERA)
    facts = {**machine(), "hera": version("hera")}
    if args.json:
        found = {"machine": facts, "table": table.document(), "ratio": ratio}
        say(json.dumps(found, indent=2))
        return
    for name, fact in facts.items():
        say(f"{name:<22}{fact}")
    table.write(say)
    say(f"{'ours / hera':<22}{ratio:.2f}")


def _pipeline(steps: int) -> Pipeline:
    """Invent a pipeline: a chain, each step of which reads the one before it."""
    made: dict[str, Any] = {}
    for number in range(steps):
        before = f"step-{number - 1}/result" if number else {"path": "data/start"}
        step: dict[str, Any] = {
            "script": "work",
            "inputs": {"before": before},
            "args": {"source": "${inputs.before}", "target": "${outputs.result}"},
            "outputs": ["result"],
        }
        if number % 5 == 1:
            step |= {"map": "before", "shards": 4}
        if number % 5 == 2:
            step |= {"resources": {"gpu": 1, "cpu": 4, "memory": "16GiB"}}
        if number % 5 == 3:
            step |= {"env": [_SECRET], "timeout": "2h"}
        made[f"step-{number}"] = step
    return Pipeline.model_validate_json(json.dumps({"steps": made}))


def _argo(pipeline: Pipeline) -> str:
    images = dict.fromkeys(pipeline.steps, _IMAGE)
    settings = ArgoSettings(
        images,
        _LAUNCHER,
        _STORE,
        _PLAN,
        namespace="models",
        service_account="strata",
        variables={"AWS_REGION": "eu-west-1"},
        secrets={_SECRET: Secret("store", "secret")},
        labels={"strata/pipeline": "many"},
        annotations={"strata/branch": "main"},
    )
    return render_workflow("many", nodes_of(pipeline), settings)


def _azure(pipeline: Pipeline) -> str:
    images = dict.fromkeys(pipeline.steps, _IMAGE)
    variables = {_SECRET: "from the compute"}
    settings = AzureSettings(
        images, _STORE, _PLAN, "cpu", gpu="gpu", variables=variables
    )
    return render_pipeline_job("many", nodes_of(pipeline), settings)


def _hera(wanted: dict[str, Any]) -> str:
    """Write a workflow as hera's users do."""
    spec, metadata = wanted["spec"], wanted["metadata"]
    dag, *containers = spec["templates"]
    with Workflow(
        generate_name=metadata["generateName"],
        namespace=metadata["namespace"],
        labels=metadata["labels"],
        annotations=metadata["annotations"],
        entrypoint=spec["entrypoint"],
        service_account_name=spec["serviceAccountName"],
        security_context=m.PodSecurityContext(**spec["securityContext"]),
        volumes=[
            m.Volume(name=one["name"], empty_dir=m.EmptyDirVolumeSource())
            for one in spec["volumes"]
        ],
    ) as workflow:
        with DAG(name=dag["name"]):
            templates = {one["name"]: _container(one) for one in containers}
            for one in dag["dag"]["tasks"]:
                Task(
                    name=one["name"],
                    template=templates[one["template"]],
                    dependencies=one.get("dependencies"),
                    with_items=one.get("withItems"),
                    arguments={
                        parameter["name"]: parameter["value"]
                        for parameter in one.get("arguments", {}).get("parameters", ())
                    },
                )
    return str(workflow.to_yaml())


def _container(wanted: dict[str, Any]) -> Container:
    container, (first,) = wanted["container"], wanted["initContainers"]
    retries, asked = wanted["retryStrategy"], container.get("resources")
    return Container(
        name=wanted["name"],
        inputs=[
            Parameter(name=one["name"])
            for one in wanted.get("inputs", {}).get("parameters", ())
        ],
        active_deadline_seconds=wanted.get("activeDeadlineSeconds"),
        retry_strategy=m.RetryStrategy(
            limit=retries["limit"], retry_policy=retries["retryPolicy"]
        ),
        init_containers=[m.UserContainer(**first)],
        image=container["image"],
        command=container["command"],
        args=container["args"],
        env=[
            (
                Env(name=one["name"], value=one["value"])
                if "value" in one
                else _from_secret(one["name"], one["valueFrom"]["secretKeyRef"])
            )
            for one in container["env"]
        ],
        resources=m.ResourceRequirements(**asked) if asked else None,
        security_context=m.SecurityContext(**container["securityContext"]),
        volume_mounts=[m.VolumeMount(**one) for one in container["volumeMounts"]],
    )


def _from_secret(name: str, secret: dict[str, str]) -> SecretEnv:
    return SecretEnv(name=name, secret_name=secret["name"], secret_key=secret["key"])


def _parser() -> Parser:
    parser = Parser(
        "render",
        "Measure how long a pipeline takes to be written for Argo Workflows, beside "
        "hera's own way, and for Azure Machine Learning.",
        "./pants run benchmarks:render -- --rounds 20",
    )
    parser.add_argument(
        "--steps", type=positive_int, default=50, metavar="N", help="steps"
    )
    parser.add_argument(
        "--rounds",
        type=positive_int,
        default=20,
        metavar="N",
        help="how often each is measured, in turn, after once that is not counted",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON and nothing else"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run("render", main))
