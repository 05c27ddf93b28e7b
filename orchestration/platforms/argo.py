"""A pipeline as an Argo workflow: a DAG of containers of the tasks' images.

The launcher comes from an image of its own: an init container copies it to a volume, so
that a task's image is the same on every engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from hera.workflows import models
from pydantic import ValidationError

from common.errors import UserError
from orchestration.branches import WORKFLOW, WORKFLOW_OF_RUN
from orchestration.platforms.nodes import Node, launcher_arguments

_API = "argoproj.io/v1alpha1"
_LAUNCHER = "/opt/launcher"
_SCRATCH = "/scratch"
# From where the launcher's image has them.
_COPY = (
    "cp -R /opt/code /launcher/code && "
    "cp -R /opt/environment/lib/python3.11/site-packages /launcher/packages"
)
_USER = 1000  # docker/base makes it
# What the values of Kubernetes labels may be.
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
# A container whose node is lost starts again; one whose step has failed does not.
_RETRIES_OF_LOST = 2


@dataclass(frozen=True)
class Secret:
    """A value that Kubernetes has.

    Attributes:
        name: The secret.
        key: The key in it.
    """

    name: str
    key: str


@dataclass(frozen=True)
class ArgoSettings:
    """What a workflow is made with.

    Attributes:
        images: The image of each step by digest, ``name@sha256:...``.
        launcher: The launcher's image by digest.
        store: The store's address.
        plan: The plan's reference in it.
        namespace: Where the workflow runs.
        service_account: Who it runs as; None for the namespace's default.
        variables: Environment variables of all containers.
        secrets: Those whose values Kubernetes has.
        labels: Labels of the workflow.
        annotations: Annotations of the workflow, of any text.
        run: The run that it is, which nothing else is called; None leaves it to Argo to
            find a name.
        keep_going: After a failure, go on with what does not depend on it.
    """

    images: Mapping[str, str]
    launcher: str
    store: str
    plan: str
    namespace: str | None = None
    service_account: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    run: str | None = None
    keep_going: bool = False


def workflow_name(name: str, run: str) -> str:
    """Give the name of the workflow that a run is."""
    return f"{name}-{run.lower()}"


def render_workflow(
    name: str,
    nodes: Sequence[Node],
    settings: ArgoSettings,
    schedule: str | None = None,
) -> str:
    """Write a Workflow, or a CronWorkflow with a schedule, as YAML.

    The same arguments give the same bytes.

    Args:
        name: The workflow's name, or how generated ones begin.
        nodes: What it starts.
        settings: What it is made with.
        schedule: When it starts, in cron's form (``0 3 * * 1``).

    Raises:
        UserError: Kubernetes or Argo would not take a name, or cannot do what a step
            asks for.
    """
    _check_names(name, nodes, settings)
    try:
        spec = models.WorkflowSpec(
            entrypoint="pipeline",
            service_account_name=settings.service_account,
            security_context=models.PodSecurityContext(
                run_as_non_root=True, run_as_user=_USER, fs_group=_USER
            ),
            volumes=[
                models.Volume(name="launcher", empty_dir=models.EmptyDirVolumeSource()),
                models.Volume(name="scratch", empty_dir=models.EmptyDirVolumeSource()),
            ],
            templates=[
                models.Template(
                    name="pipeline",
                    dag=models.DAGTemplate(
                        tasks=[_task(node) for node in nodes],
                        fail_fast=False if settings.keep_going else None,
                    ),
                ),
                *(_template(node, settings) for node in nodes),
            ],
        )
        labels, annotations = dict(settings.labels), dict(settings.annotations)
        document: models.Workflow | models.CronWorkflow
        if schedule is None:
            document = models.Workflow(
                api_version=_API,
                kind="Workflow",
                metadata=models.ObjectMeta(
                    generate_name=None if settings.run else f"{name}-",
                    name=workflow_name(name, settings.run) if settings.run else None,
                    namespace=settings.namespace,
                    labels=labels or None,
                    annotations=annotations or None,
                ),
                spec=spec,
            )
        else:
            document = models.CronWorkflow(
                api_version=_API,
                kind="CronWorkflow",
                metadata=models.ObjectMeta(
                    name=name,
                    namespace=settings.namespace,
                    labels=labels or None,
                    annotations=annotations or None,
                ),
                spec=models.CronWorkflowSpec(
                    schedules=[schedule],
                    concurrency_policy="Forbid",
                    workflow_spec=spec,
                ),
            )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{name} makes no workflow: {where}: {first['msg']}") from None
    plain = document.model_dump(mode="json", by_alias=True, exclude_none=True)
    text: str = yaml.safe_dump(plain, sort_keys=False, width=1000)
    return text


def _task(node: Node) -> models.DAGTask:
    arguments = None
    if node.shards:
        value = models.Parameter(name="shard", value="{{item}}")
        arguments = models.Arguments(parameters=[value])
    return models.DAGTask(
        name=template_name(node.name),
        template=template_name(node.name),
        dependencies=[template_name(name) for name in node.needs] or None,
        arguments=arguments,
        with_items=[models.Item(root=shard) for shard in node.shards] or None,
    )


def _template(node: Node, settings: ArgoSettings) -> models.Template:
    shard = "{{inputs.parameters.shard}}"
    inputs = None
    if node.shards:
        inputs = models.Inputs(parameters=[models.Parameter(name="shard")])
    run = settings.run or "{{workflow.name}}"
    arguments = launcher_arguments(node, settings.store, settings.plan, shard, run)
    arguments += ["--scratch", _SCRATCH]
    code = f"{_LAUNCHER}/code"
    variables = {
        "HOME": _SCRATCH,
        "PYTHONPATH": f"{code}:{code}/src:{_LAUNCHER}/packages",
        **settings.variables,
        **{name: value for name, value in node.variables if value is not None},
    }
    security = models.SecurityContext(
        allow_privilege_escalation=False,
        capabilities=models.Capabilities(drop=["ALL"]),
    )
    mount = models.VolumeMount(name="launcher", mount_path=_LAUNCHER)
    return models.Template(
        name=template_name(node.name),
        inputs=inputs,
        active_deadline_seconds=(
            None if node.seconds is None else models.IntOrString(root=str(node.seconds))
        ),
        retry_strategy=models.RetryStrategy(
            limit=models.IntOrString(root=str(_RETRIES_OF_LOST)), retry_policy="OnError"
        ),
        init_containers=[
            models.UserContainer(
                name="launcher",
                image=settings.launcher,
                command=["sh", "-c", _COPY],
                security_context=security,
                volume_mounts=[
                    models.VolumeMount(name="launcher", mount_path="/launcher")
                ],
            )
        ],
        container=models.Container(
            image=settings.images[node.step],
            command=["python", "-P", "-m", "orchestration.platforms"],
            args=arguments,
            env=[
                *(models.EnvVar(name=n, value=v) for n, v in sorted(variables.items())),
                *(
                    models.EnvVar(name=n, value_from=_from_secret(secret))
                    for n, secret in sorted(settings.secrets.items())
                ),
            ],
            resources=_resources(node),
            security_context=security,
            volume_mounts=[
                mount,
                models.VolumeMount(name="scratch", mount_path=_SCRATCH),
            ],
        ),
    )


def template_name(node: str) -> str:
    """Spell a node's name as Argo takes it; no two steps differ by _ and - alone."""
    return node.replace("_", "-")


def _from_secret(secret: Secret) -> models.EnvVarSource:
    return models.EnvVarSource(
        secret_key_ref=models.SecretKeySelector(name=secret.name, key=secret.key)
    )


def _resources(node: Node) -> models.ResourceRequirements | None:
    asked = node.resources
    found: dict[str, Any] = {}
    if asked.cpu is not None:
        found["cpu"] = f"{asked.cpu:g}"
    if asked.memory is not None:
        found["memory"] = str(asked.memory)
    if asked.gpu:
        found["nvidia.com/gpu"] = str(asked.gpu)
    quantities = {name: models.Quantity(root=value) for name, value in found.items()}
    if not quantities:
        return None
    return models.ResourceRequirements(requests=quantities, limits=quantities)


def _check_names(name: str, nodes: Sequence[Node], settings: ArgoSettings) -> None:
    rule = WORKFLOW_OF_RUN if settings.run else WORKFLOW
    if not rule.takes(name):
        raise UserError(
            f"{name} is no workflow's name: small letters, digits and hyphens, "
            f"{rule.longest} at most"
        )
    for key, value in settings.labels.items():
        if not _LABEL_VALUE.fullmatch(value):
            raise UserError(f"the label {key} cannot have the value {value!r}")
    for node in nodes:
        if node.resources.nodes > 1:
            raise UserError(
                f"{node.step} asks for {node.resources.nodes} machines; on Argo a step "
                "has one"
            )
        for variable, given in node.variables:
            provided = {*settings.variables, *settings.secrets}
            if given is None and variable not in provided:
                raise UserError(
                    f"{node.step} sees the variable {variable}; say in the stage's "
                    "argo.variables or argo.secrets where its value comes from"
                )
