"""Names in files of Azure ML: what a stage, a task or another file has to define."""

from __future__ import annotations

import re
from collections.abc import Iterator

from common.errors import UserError
from orchestration.azure.documents import AzureFile
from orchestration.azure.resources import kind_of
from orchestration.checks.findings import Finding, found
from orchestration.checks.look import Look
from orchestration.checks.parts import key_of, texts
from orchestration.names import nearest

# What the address of each of its schemas has in it.
SCHEMAS = "azuremlschemas"
_PLACE = re.compile(r"azureml://datastores/([^/]+)/")
# Every workspace has them (Azure ML's documentation of datastores), and serverless jobs
# need no compute.
_BUILT_IN = (
    "workspaceartifactstore",
    "workspaceblobstore",
    "workspacefilestore",
    "workspaceworkingdirectory",
)
_SERVERLESS = "serverless"
# An expression, a path of Azure's resource manager, or a placeholder.
_IS_OPEN = re.compile(r"\$\{\{|^/|<")


def find(look: Look, azure: AzureFile) -> Iterator[Finding]:
    """Find computes, datastores and environments that nobody has defined."""
    defined = _defined(look)
    for where, value in texts(azure.data):
        key = key_of(where)
        line = azure.document.line(where)
        if key in ("compute", "default_compute") and value != _SERVERLESS:
            name = value.removeprefix("azureml:")
            known = {*defined["compute"]} | {
                one
                for stage in look.stages
                for pair in stage.values.azure.compute.items()
                for one in pair
            }
            if name not in known and not _IS_OPEN.search(name):
                message = f"{where}: no stage has a compute {name}"
                hint = "name it in config/*.yaml under azure.compute"
                yield found(azure.name, line, message + nearest(name, [*known]), hint)
        elif key == "environment" and value.startswith("azureml:"):
            name = value.removeprefix("azureml:").partition("@")[0].partition(":")[0]
            known = {*defined["environment"], *_images(look)}
            if look.knows_graph and name not in known and "/" not in name:
                message = f"{where}: neither a task nor a file has the environment"
                hint = "name a task, or describe it in a file for ./strata azure apply"
                text = f"{message} {name}{nearest(name, [*known])}"
                yield found(azure.name, line, text, hint)
        for name in _PLACE.findall(value):
            known = {*defined["datastore"], *_BUILT_IN}
            known |= {o for s in look.stages for o in s.values.azure.datastores}
            if name not in known and "${{" not in name:
                message = f"{where}: no stage has a datastore {name}"
                hint = "name it in config/*.yaml under azure.datastores"
                yield found(azure.name, line, message + nearest(name, [*known]), hint)


def _images(look: Look) -> list[str]:
    return [name.replace("/", "-") for name in look.tasks] if look.knows_graph else []


def _defined(look: Look) -> dict[str, set[str]]:
    """Name what files of the tree describe, by kind."""
    named: dict[str, set[str]] = {k: set() for k in ("compute", "datastore")}
    named["environment"] = set()
    for file, data in look.mappings():
        if SCHEMAS not in str(data.get("$schema")) or "name" not in data:
            continue
        azure = AzureFile(look.root / file, file, data, look.document(file))
        try:
            kind = kind_of(azure).name
        except UserError:
            continue  # a job, or its own check says so
        if kind in named:
            named[kind].add(str(data["name"]))
    return named
