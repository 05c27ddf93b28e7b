"""Run a pipeline on a platform: submit what is not cached, follow it, write it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.command_line import warn
from common.errors import RunError, UserError
from orchestration.pipelines.planning import Planner
from orchestration.pipelines.progress import ProgressScreen
from orchestration.platforms.following import Follower
from orchestration.platforms.nodes import Node, nodes_of
from orchestration.platforms.remote import Remote, RemoteState
from orchestration.platforms.rendering import (
    Prepared,
    workflow_prefix,
    write_pipeline_job,
    write_workflow,
)
from orchestration.platforms.sealed_plan import SealedPlan
from orchestration.run_keeper import KeepingWatcher, RunKeeper
from orchestration.run_summary import DONE
from orchestration.stages import Stage
from orchestration.step_end import StepEnd
from orchestration.store.store import Store


@dataclass(frozen=True)
class RemoteRun:
    """A run, and where it is.

    Attributes:
        document: The run's document.
        remote: The run on its platform.
        planner: Plans it, as its containers do.
        nodes: What the platform starts.
    """

    document: dict[str, Any]
    remote: Remote
    planner: Planner
    nodes: tuple[Node, ...]


def new_remote_run(
    engine: str, prepared: Prepared, document: dict[str, Any], folder: Path
) -> RemoteRun:
    """Make a run that is to be submitted.

    Args:
        engine: The platform.
        prepared: The pipeline, whose run is the document's.
        document: The run's document; it takes what is needed to find the run again.
        folder: The run's folder.

    Raises:
        UserError: The stage lacks a value, or the platform cannot do what a step asks.
        RunError: The registry or the launcher's packages cannot be had.
    """
    opened, run = prepared.opened, document["id"]
    remote: Remote
    if engine == "argo":
        from orchestration.platforms.argo import workflow_name
        from orchestration.platforms.argo_server import ArgoRun

        name = workflow_name(workflow_prefix(prepared), run)
        text = write_workflow(prepared)
        remote = ArgoRun(prepared.stage, name, run, prepared.nodes, text)
    else:
        from orchestration.azure.task_jobs import git_properties
        from orchestration.platforms.azure_run import AzureRun

        name = f"{opened.name.replace('/', '-')}-{run}".lower()
        file = write_pipeline_job(prepared, folder / "job")
        changed = "true" if document["diff"] else "false"
        source = git_properties(prepared.branch, prepared.plan.commit, changed)
        remote = AzureRun(prepared.stage, name, prepared.nodes, file, source)
    plan = prepared.plan
    document["platform"] = {
        "name": name,
        "stage": prepared.stage.name,
        "plan": prepared.reference,
        # What its containers read, so that it is not collected as garbage.
        "reads": sorted({*plan.closures.values(), *plan.inputs.values()}),
        "nodes": sorted({node.step for node in prepared.nodes}),
        "submitted": None,
    }
    return RemoteRun(document, remote, _planner(plan, opened.store), prepared.nodes)


def find_remote_run(store: Store, document: dict[str, Any], stage: Stage) -> RemoteRun:
    """Find a run that was submitted before.

    Args:
        store: The store that it is in.
        document: The run's document.
        stage: The stage that it names.

    Raises:
        UserError: The stage lacks a value.
        RunError: The store has lost its plan.
    """
    where = document["platform"]
    plan = SealedPlan.from_json(store.text(where["plan"]))
    without = set(plan.pipeline.steps) - set(where["nodes"])
    nodes = tuple(nodes_of(plan.pipeline, without))
    remote: Remote
    if document["engine"] == "argo":
        from orchestration.platforms.argo_server import ArgoRun

        remote = ArgoRun(stage, where["name"], document["id"], nodes)
    else:
        from orchestration.platforms.azure_run import AzureRun

        remote = AzureRun(stage, where["name"], nodes)
    return RemoteRun(document, remote, _planner(plan, store), nodes)


def submit(run: RemoteRun, keeper: RunKeeper, cancel_on_interrupt: bool) -> None:
    """Submit a run, once, whatever becomes of the answer.

    Args:
        run: The run.
        keeper: Keeps its document.
        cancel_on_interrupt: Have the platform end it if Ctrl-C comes meanwhile.

    Raises:
        UserError: The platform refuses it.
        RunError: The platform, or the way to it, failed.
    """
    name, run_id = run.remote.name, run.document["id"]
    try:
        is_new = run.remote.submit()
    except UserError:
        keeper.end(state="failed", **_times(run.document))
        raise
    except BaseException as interruption:
        warn(
            f"{name} may have been submitted; ./strata follow {run_id} looks, and goes "
            "on from there"
        )
        if cancel_on_interrupt and not isinstance(interruption, Exception):
            _stop(run.remote)
        raise
    run.document["platform"]["submitted"] = datetime.now(UTC).isoformat()
    keeper.write_soon()
    warn(f"{name}: {'submitted' if is_new else 'it has arrived before'}")
    if run.remote.link:
        warn(f"  {run.remote.link}")


def follow(
    run: RemoteRun,
    store: Store,
    keeper: RunKeeper,
    screen: ProgressScreen,
    cancel_on_interrupt: bool,
) -> None:
    """Follow a run to its end, and write down how it ended.

    Args:
        run: The run.
        store: The store that it is in.
        keeper: Keeps its document.
        screen: Shows how it goes.
        cancel_on_interrupt: Have the platform end it when Ctrl-C comes.

    Raises:
        UserError: The platform refuses to say how it goes.
        RunError: The platform or the store cannot be reached.
        KeyboardInterrupt: After Ctrl-C; the run goes on, unless it is to be cancelled.
    """
    document, remote = run.document, run.remote
    follower = _follower(run, store, keeper, screen)
    interruption = None
    try:
        try:
            state = follower.wait()
        except BaseException as error:
            is_cancelled = cancel_on_interrupt and not isinstance(error, Exception)
            if not (is_cancelled and _stop(remote)):
                raise
            interruption = error
            state = follower.wait()
        follower.settle(state)
    except BaseException:
        again = f"./strata follow {document['id']}"
        warn(f"{remote.name} goes on; to follow it again: {again}")
        raise
    ended = state.ended
    if ended == "done" and not _is_done(follower):
        ended = "failed"
    keeper.end(state=ended, **_times(document))
    if state.message and ended != "done":
        warn(f"{remote.name}: {state.message}")
    if interruption is not None:
        raise interruption


def settle_without_platform(
    run: RemoteRun, store: Store, keeper: RunKeeper, screen: ProgressScreen
) -> None:
    """Say how a run has ended that its platform does not know (any more).

    Raises:
        RunError: The store cannot be read.
    """
    follower = _follower(run, store, keeper, screen)
    follower.settle(RemoteState("failed"))
    state = "done" if _is_done(follower) else "failed"
    keeper.end(state=state, **_times(run.document))


def _follower(
    run: RemoteRun, store: Store, keeper: RunKeeper, screen: ProgressScreen
) -> Follower:
    document = run.document
    return Follower(
        run.remote,
        run.planner,
        store,
        document["id"],
        run.nodes,
        KeepingWatcher(keeper, screen),
        _ended(document),
    )


def _is_done(follower: Follower) -> bool:
    return all(end.state in DONE for end in follower.ends.values())


def _stop(remote: Remote) -> bool:
    """Ask a platform to end a run; whether it has been asked."""
    warn(f"stopping {remote.name} ...")
    try:
        remote.stop()
    except (UserError, RunError) as error:
        warn(str(error))
        return False
    return True


def _planner(plan: SealedPlan, store: Store) -> Planner:
    return Planner(
        plan.task, plan.pipeline, plan, plan.reader(store), store, plan.platform
    )


def _ended(document: Mapping[str, Any]) -> dict[str, StepEnd]:
    return {
        name: StepEnd.from_document(step) for name, step in document["steps"].items()
    }


def _times(document: Mapping[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC)
    began = datetime.fromisoformat(document["started"])
    return {
        "finished": now.isoformat(),
        "seconds": round((now - began).total_seconds(), 3),
    }
