"""What a stage lacks: its workspace, computes, registry and store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from common.errors import RunError, UserError
from orchestration.azure.connection import connect, reported
from orchestration.images.registry import Registry
from orchestration.stages import Stage, StageError
from orchestration.store.store import Store

OK, MISSING, NOT_SET, FAILED = "ok", "missing", "not set", "failed"
_APPLY = "./strata azure apply"


@dataclass(frozen=True)
class Finding:
    """What became of a look at one part of a stage.

    Attributes:
        part: The part: workspace, compute, registry or store.
        name: What the stage calls it, if it does.
        state: ok, missing, not set, or failed (it could not be looked at).
        way_out: What to do about it; empty if it is ok.
    """

    part: str
    name: str
    state: str
    way_out: str = ""


def check_stage(stage: Stage) -> list[Finding]:
    """Look at everything that a stage names."""
    return [*_azure(stage), _registry(stage), _store(stage)]


def _azure(stage: Stage) -> Iterator[Finding]:
    values = stage.values.azure
    name = values.workspace or ""
    try:
        client = connect(stage)
    except StageError as error:
        yield Finding("workspace", name, NOT_SET, "; ".join(error.lines))
        return
    apply = f"{_APPLY} FILE --stage {stage.name}"
    found = _look(
        "workspace",
        name,
        lambda: client.workspaces.get(name),
        f"{apply}, with a workspace's file such as azure/workspace.yaml",
    )
    yield found
    if found.state == OK:
        for compute in sorted(set(values.compute.values())):
            yield _look(
                "compute",
                compute,
                partial(client.compute.get, compute),
                f"{apply}, with a compute's file such as azure/cpu.yaml",
            )


def _look(part: str, name: str, get: Callable[[], object], way_out: str) -> Finding:
    from azure.core.exceptions import ResourceNotFoundError

    try:
        with reported(f"{part} {name}"):
            try:
                get()
            except ResourceNotFoundError:
                return Finding(part, name, MISSING, way_out)
    except (UserError, RunError) as error:
        return Finding(part, name, FAILED, str(error))
    return Finding(part, name, OK)


def _registry(stage: Stage) -> Finding:
    name = stage.values.registry
    if name is None:
        return Finding("registry", "", NOT_SET, _unset(stage, "registry"))
    try:
        # Whether there is an image does not matter: an answer does.
        Registry(name).digest("strata/base", "latest")
    except (UserError, RunError) as error:
        return Finding("registry", name, FAILED, str(error))
    return Finding("registry", name, OK)


def _store(stage: Stage) -> Finding:
    name = stage.values.store
    if name is None:
        return Finding("store", "", NOT_SET, _unset(stage, "store"))
    try:
        Store.open(name).runs()
    except (UserError, RunError) as error:
        return Finding("store", name, FAILED, str(error))
    return Finding("store", name, OK)


def _unset(stage: Stage, key: str) -> str:
    try:
        stage.require(key)
    except StageError as error:
        return error.lines[0]
    return ""
