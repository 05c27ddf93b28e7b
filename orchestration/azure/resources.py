"""Other resources of a workspace, from files in the YAML of Azure ML's command line."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestration.azure.connection import reported
from orchestration.azure.documents import AzureFile, FileError, load
from orchestration.names import nearest

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_SCHEMA = re.compile(r"https://azuremlschemas\.azureedge\.net/\w+/(\w+)\.schema\.json")


@dataclass(frozen=True)
class Kind:
    """A kind of resource.

    Attributes:
        name: What it is called.
        loader: The function of azure-ai-ml that loads one.
        operations: What its client calls the operations on such resources.
        method: The one of them that makes or changes one.
        part: The key by which it may name a file of something else, that it needs.
    """

    name: str
    loader: str
    operations: str
    method: str = "begin_create_or_update"
    part: str | None = None


_AT_ONCE = "create_or_update"
_BATCH = Kind("batch deployment", "load_batch_deployment", "batch_deployments")
COMPONENT = Kind("component", "load_component", "components", _AT_ONCE)
_COMPUTE = Kind("compute", "load_compute", "compute")
_DATASTORE = Kind("datastore", "load_datastore", "datastores", _AT_ONCE)
_DEPLOYMENT = Kind("online deployment", "load_online_deployment", "online_deployments")
_ENDPOINT = Kind("online endpoint", "load_online_endpoint", "online_endpoints")
ENVIRONMENT = Kind("environment", "load_environment", "environments", _AT_ONCE)
PIPELINE_DEPLOYMENT = Kind(
    "batch deployment",
    "load_pipeline_component_batch_deployment",
    "batch_deployments",
    part="component",
)
SCHEDULE = Kind("schedule", "load_schedule", "schedules", part="create_job")
WORKSPACE = Kind("workspace", "load_workspace", "workspaces", "begin_create")
# By the last part of $schema, as the reference of the YAML schemas has them.
KINDS = {
    "amlCompute": _COMPUTE,
    "azureBlob": _DATASTORE,
    "azureDataLakeGen2": _DATASTORE,
    "azureFile": _DATASTORE,
    "batchDeployment": _BATCH,
    "batchEndpoint": Kind("batch endpoint", "load_batch_endpoint", "batch_endpoints"),
    "computeInstance": _COMPUTE,
    "data": Kind("data asset", "load_data", "data", _AT_ONCE),
    "environment": ENVIRONMENT,
    "kubernetesCompute": _COMPUTE,
    "kubernetesOnlineDeployment": _DEPLOYMENT,
    "kubernetesOnlineEndpoint": _ENDPOINT,
    "managedOnlineDeployment": _DEPLOYMENT,
    "managedOnlineEndpoint": _ENDPOINT,
    "model": Kind("model", "load_model", "models", _AT_ONCE),
    "modelBatchDeployment": Kind(
        "batch deployment", "load_model_batch_deployment", "batch_deployments"
    ),
    "pipelineComponent": COMPONENT,
    "pipelineComponentBatchDeployment": PIPELINE_DEPLOYMENT,
    "schedule": SCHEDULE,
    "workspace": WORKSPACE,
}


def kind_of(file: AzureFile) -> Kind:
    """Tell by its ``$schema`` what a file is of.

    Raises:
        FileError: It names none, or one that cannot be applied.
    """
    schema = file.data.get("$schema")
    found = _SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if found is None:
        example = "https://azuremlschemas.azureedge.net/latest/data.schema.json"
        raise FileError([file.at("$schema", f"takes a schema, such as {example}")])
    name = found[1]
    if name in ("commandJob", "pipelineJob"):
        message = "it is a job; ./strata job TASK --file FILE submits it"
        raise FileError([file.at("$schema", message)])
    if name not in KINDS:
        hint = nearest(name, list(KINDS))
        known = ", ".join(sorted(KINDS))
        message = f"{name} cannot be applied{hint}; these can: {known}"
        raise FileError([file.at("$schema", message)])
    return KINDS[name]


def load_resource(kind: Kind, file: AzureFile, data: Mapping[str, Any]) -> Any:
    """Have azure-ai-ml load a resource, which checks it against its schema.

    Raises:
        FileError: It does not fit.
    """
    # The package itself gives most of them, and not those of schedules.
    from azure.ai.ml.entities import _load_functions

    return load(getattr(_load_functions, kind.loader), file, data)


def apply(client: MLClient, kind: Kind, resource: Any) -> Any:
    """Make a resource, or change it to what it is to be.

    Args:
        client: The workspace's client.
        kind: What it is.
        resource: What :func:`load_resource` gave.

    Returns:
        The resource as the service has it.

    Raises:
        UserError: The service refuses it.
        RunError: The service, or the way to it, failed.
    """
    if kind == COMPONENT:
        return register(client, resource)
    with reported(f"{kind.name} {resource.name}"):
        with _silence():
            make = getattr(getattr(client, kind.operations), kind.method)
            made = make(resource)
            return made if kind.method == _AT_ONCE else made.result()


def register(client: MLClient, component: Any) -> Any:
    """Make a component, unless it is there: a version never changes.

    Args:
        client: The workspace's client.
        component: What :func:`load_resource` gave.

    Returns:
        The component as the service has it.

    Raises:
        UserError: The service refuses it.
        RunError: The service, or the way to it, failed.
    """
    from azure.core.exceptions import ResourceNotFoundError

    with reported(f"{COMPONENT.name} {component.name}"):
        if component.version:
            with contextlib.suppress(ResourceNotFoundError):
                return client.components.get(component.name, component.version)
        with _silence():
            return client.components.create_or_update(component)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep azure-ai-ml's colours and dots, on both outputs, from among our lines."""
    with contextlib.redirect_stdout(io.StringIO()):
        with contextlib.redirect_stderr(io.StringIO()):
            yield
