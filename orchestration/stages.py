"""What a deployment stage sets: the workspace, the registry, the store, Argo.

A stage is a file ``config/STAGE.yaml`` of values, none of them a secret. A value that
is null is not set; the command that needs it says so, with the file and the line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from common.command_line import Parser, one_of
from common.errors import UserErrors
from orchestration.forms import describe
from orchestration.pipelines.documents import Document, read_document
from orchestration.secret_values import secrets_in

STAGES = ("dev", "test", "prod")
_FOLDER = "config"
# What Azure ML sets in every job.
_RUN_CONTEXT = {
    "subscription": "AZUREML_ARM_SUBSCRIPTION",
    "resource_group": "AZUREML_ARM_RESOURCEGROUP",
    "workspace": "AZUREML_ARM_WORKSPACE_NAME",
}
_UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


class StageError(UserErrors):
    """A stage's file is wrong; each line names the file, the line and the key."""


def _matching(pattern: str, rule: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise PydanticCustomError("stage", "{rule}", {"rule": rule})
        return value

    return AfterValidator(check)


_Compute = Annotated[
    str,
    _matching(
        r"[A-Za-z]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?",
        "takes a compute's name: letters, digits and hyphens, 32 at most",
    ),
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SecretKey(_Part):
    """A value that a cluster has.

    Attributes:
        name: The secret.
        key: The key in it.
    """

    name: str
    key: str


class Azure(_Part):
    """Where jobs of Azure Machine Learning go.

    Attributes:
        subscription: The subscription's id.
        resource_group: The resource group.
        workspace: The workspace.
        location: The region that new resources are made in, such as ``westeurope``.
        compute: What the workspace calls its computes, by the names in job files.
        datastores: Datastores that it has beside its own and those of the tree's files.
        variables: Environment variables of all steps of pipelines.
    """

    subscription: (
        Annotated[str, _matching(_UUID, "takes a subscription's id: a UUID")] | None
    ) = None
    resource_group: (
        Annotated[
            str,
            _matching(
                r"[\w().-]{0,89}[\w()-]",
                "takes a resource group's name: letters, digits and _.-(), 90 at most",
            ),
        ]
        | None
    ) = None
    workspace: (
        Annotated[
            str,
            _matching(
                r"[A-Za-z0-9][A-Za-z0-9_-]{2,32}",
                "takes a workspace's name: 3 to 33 letters, digits, _ and -",
            ),
        ]
        | None
    ) = None
    location: (
        Annotated[
            str,
            _matching(r"[a-z0-9]+", "takes a region's short name, such as westeurope"),
        ]
        | None
    ) = None
    compute: dict[str, _Compute] = {}
    datastores: list[str] = []
    variables: dict[str, str] = {}


class Argo(_Part):
    """Where Argo Workflows runs.

    Attributes:
        server: The server's address.
        namespace: The namespace that workflows run in.
        service_account: Who they run as.
        variables: Environment variables of all steps.
        secrets: Those whose values the cluster has.
    """

    server: (
        Annotated[str, _matching(r"https?://[^\s/]+\S*", "takes http(s)://HOST[:PORT]")]
        | None
    ) = None
    namespace: (
        Annotated[
            str,
            _matching(
                r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
                "takes a namespace: small letters, digits and hyphens, 63 at most",
            ),
        ]
        | None
    ) = None
    service_account: str | None = None
    variables: dict[str, str] = {}
    secrets: dict[str, SecretKey] = {}


class Values(_Part):
    """All that a stage sets.

    Attributes:
        azure: Azure Machine Learning.
        argo: Argo Workflows.
        registry: Where images are pushed and pulled, as ``HOST[:PORT][/PATH]``.
        store: Where results are kept: a folder, or ``s3://``, ``az://``, ``gs://``.
    """

    azure: Azure = Azure()
    argo: Argo = Argo()
    registry: (
        Annotated[
            str,
            _matching(
                r"[A-Za-z0-9][A-Za-z0-9.-]*(:\d+)?(/[a-z0-9._/-]+)?",
                "takes HOST[:PORT][/PATH]",
            ),
        ]
        | None
    ) = None
    store: (
        Annotated[
            str,
            _matching(
                r"(s3|az|gs|file)://\S+|/\S*", "takes s3://, az://, gs:// or a folder"
            ),
        ]
        | None
    ) = None


@dataclass(frozen=True)
class Stage:
    """A stage and where its values are written.

    Attributes:
        name: dev, test or prod.
        values: What it sets.
        file: The file, relative to the tree's root.
        document: The file's content, with lines.
    """

    name: str
    values: Values
    file: str
    document: Document

    def require(self, *keys: str) -> list[str]:
        """Give values that a command cannot do without, by keys joined with dots.

        Raises:
            StageError: Some are not set; a line each.
        """
        found = [self._value(key) for key in keys]
        missing = [
            f"{self.file}:{self.document.line(key)}: {key} is not set"
            for key, value in zip(keys, found, strict=True)
            if value is None
        ]
        if missing:
            raise StageError(missing)
        return [str(value) for value in found]

    def _value(self, key: str) -> Any:
        value: Any = self.values
        for part in key.split("."):
            value = getattr(value, part)
        return value


def add_stage(parser: Parser) -> None:
    """Add the flag that names the stage."""
    parser.add_argument(
        "--stage",
        type=one_of(*STAGES),
        metavar="{dev,test,prod}",
        help="whose values of config/ count; dev if left out",
    )


def load_stage(root: Path, name: str | None) -> Stage:
    """Read a stage's file and check it.

    Args:
        root: The tree's root.
        name: The stage; None takes dev.

    In a job of Azure ML the workspace is the job's own, unless a stage is named; the
    file may be left out there.

    Raises:
        StageError: With everything that is wrong in the file. Values that look like a
            secret are named by their place alone.
        UserError: The file cannot be read.
    """
    context = _run_context() if name is None else {}
    name = name or STAGES[0]
    file = f"{_FOLDER}/{name}.yaml"
    if context and not (root / file).exists():
        return Stage(name, Values(azure=Azure(**context)), file, Document(None))
    document = read_document(root / file)
    found = [(one.line, one.message) for one in document.mistakes]
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        raise StageError([f"{file}:1: it holds no mapping"])
    secret = dict(secrets_in(data))
    for where, kind in secret.items():
        found.append(
            (
                document.line(where),
                f"{where} looks like {kind}; secrets stay out of files",
            )
        )
    values = Values()
    try:
        values = Values.model_validate(data)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            path, message = describe(one, data, _known_keys)
            where = ".".join(path)
            if where not in secret:
                found.append((document.line(where), f"{where}: {message}"))
    if found:
        unique = sorted(dict.fromkeys(found), key=lambda one: one[0])
        raise StageError([f"{file}:{line}: {message}" for line, message in unique])
    if context:
        azure = values.azure.model_copy(update=context)
        values = values.model_copy(update={"azure": azure})
    return Stage(name, values, file, document)


def _run_context() -> dict[str, Any]:
    """Give the workspace that this process is a job of; nothing outside of jobs."""
    found = {key: os.environ.get(name) for key, name in _RUN_CONTEXT.items()}
    return found if all(found.values()) else {}


def _known_keys(path: Sequence[str]) -> Sequence[str]:
    """Name the keys that there are beside the last one of a path."""
    models: dict[str, type[BaseModel]] = {"azure": Azure, "argo": Argo}
    model = models.get(path[0], Values) if len(path) > 1 else Values
    return list(model.model_fields)
