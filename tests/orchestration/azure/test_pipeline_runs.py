"""Pipelines on Azure ML: submitted once, executed from what was sent, followed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import RunError, UserError
from orchestration.azure.task_jobs import git_properties
from orchestration.pipelines.planning import Planner
from orchestration.platforms.azure_run import AzureRun
from orchestration.platforms.following import Follower
from orchestration.platforms.remote import RemoteState
from orchestration.platforms.sealed_plan import SealedPlan
from orchestration.stages import Stage
from orchestration.step_end import StepEnd
from orchestration.store.store import Store
from tests.orchestration.azure.service import Service
from tests.orchestration.faults import Fault
from tests.orchestration.platforms import pipeline_jobs
from tests.orchestration.platforms.kitchen import nodes, pipeline_job, plan
from tests.orchestration.platforms.test_workflows import environment

__all__ = ["environment"]  # a fixture

RUN, NAME = "20260102T030405-a1b2c3", "kitchen-20260102t030405-a1b2c3"
SOURCE = git_properties("ripe", "0123abc", "false")
pytestmark = pytest.mark.usefixtures("patience")


class Silent:
    """Is told how steps go, and says nothing."""

    def started(self, step: str, reason: str, items: int | None) -> None:
        """Say nothing."""

    def advanced(self, step: str, done: int, items: int | None) -> None:
        """Say nothing."""

    def ended(self, step: str, end: StepEnd) -> None:
        """Say nothing."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


def kitchen(store: Store, stage: Stage, folder: Path, food: str) -> AzureRun:
    """Make a run of the kitchen that is to be submitted."""
    (folder / "plan").mkdir()
    reference = plan(store, folder / "plan", food)
    code = folder / "job/launcher/code"
    code.mkdir(parents=True)
    (code / "launcher.py").write_text("# what travels with it\n")
    (folder / "job/pipeline.yaml").write_text(pipeline_job(store, reference, RUN))
    (folder / "reference").write_text(reference)
    return AzureRun(stage, NAME, nodes(), folder / "job/pipeline.yaml", SOURCE)


@pytest.fixture
def run(store: Store, stage: Stage, service: Service, tmp_path: Path) -> AzureRun:
    return kitchen(store, stage, tmp_path, "egg ham leek rice")


def follower(run: AzureRun, store: Store, folder: Path) -> Follower:
    made = SealedPlan.from_json(store.text((folder / "reference").read_text()))
    planner = Planner(
        made.task, made.pipeline, made, made.reader(store), store, made.platform
    )
    return Follower(run, planner, store, RUN, nodes(), Silent(), {})


@pytest.fixture
def executing(service: Service, environment: Path, tmp_path: Path) -> Iterator[Service]:
    """The service, which executes pipeline jobs from what it was sent."""
    threads: list[threading.Thread] = []

    def execute(path: str) -> None:
        properties = service.resources[path]["properties"]
        text = pipeline_jobs.from_rest(properties, service.resources)
        pods = pipeline_jobs.execute(text, environment, tmp_path / "outputs")
        with service.lock:
            failed = [pod for pod in pods if pod.status]
            properties["status"] = "Failed" if failed else "Completed"

    def start(path: str) -> None:
        service.resources[path]["properties"]["status"] = "Running"
        threads.append(threading.Thread(target=execute, args=(path,)))
        threads[-1].start()

    service.when_made = start
    yield service
    for thread in threads:
        thread.join()


def test_what_was_sent_is_executed_and_followed_to_its_end(
    executing: Service, run: AzureRun, store: Store, tmp_path: Path
) -> None:
    executing.faults = [
        Fault("GET", f"jobs/{NAME}$", 429, {"Retry-After": "1"}),
        Fault("GET", f"jobs/{NAME}$"),
        Fault("GET", f"jobs/{NAME}$", 503),
    ]
    run.submit()
    executing.revoke_tokens()
    following = follower(run, store, tmp_path)
    following.settle(following.wait())

    states = [end.state for end in following.ends.values()]
    assert states == ["done", "done", "done"]
    assert following.ends["fry"].ran == 4
    dish = following.ends["serve"].outputs["dish"]["reference"]
    assert store.text(dish) == b"EGG HAM LEEK RICE"
    assert all(fault.times == 0 for fault in executing.faults)
    (job,) = executing.jobs.values()
    assert job["properties"]["properties"] == SOURCE
    assert run.link.startswith(f"https://ml.azure.com/runs/{NAME}")


def test_a_step_that_fails_is_told_with_its_log(
    executing: Service, store: Store, stage: Stage, tmp_path: Path
) -> None:
    run = kitchen(store, stage, tmp_path, "egg stone leek rice")
    run.submit()
    following = follower(run, store, tmp_path)
    following.settle(following.wait())

    ends = following.ends
    assert [end.state for end in ends.values()] == ["done", "failed", "skipped"]
    assert b"there is a stone in it" in store.text(str(ends["fry"].log))


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([Fault("PUT", "/jobs/", after=True)], id="cut after"),
        pytest.param([Fault("PUT", "/jobs/", 503, after=True)], id="answer lost"),
        pytest.param(
            [Fault("PUT", "/components/", 429, {"Retry-After": "1"}, times=2)],
            id="too many requests",
        ),
        pytest.param([Fault("PUT", "/components/", times=2)], id="cut before"),
    ],
)
def test_what_is_sent_again_is_there_once(
    faults: list[Fault], service: Service, run: AzureRun
) -> None:
    service.faults = faults

    run.submit()
    run.submit()

    assert list(service.jobs) == [NAME]
    assert all(fault.times == 0 for fault in faults)


def test_a_job_that_the_service_will_not_take_twice_is_there(
    service: Service, run: AzureRun
) -> None:
    said = {"error": {"code": "UserError", "message": "A job of this name exists."}}
    service.faults = [
        Fault("PUT", "/jobs/", 503, after=True),
        Fault("PUT", "/jobs/", 400, body=said),
    ]

    assert not run.submit()
    assert list(service.jobs) == [NAME]


def test_a_job_that_never_came_to_its_steps_is_told_by_the_service(
    service: Service, run: AzureRun, store: Store, tmp_path: Path
) -> None:
    run.submit()
    path = f"{service.workspace_path}/jobs/{NAME}"
    service.resources[path]["properties"]["status"] = "Failed"
    child = {"runId": "1a2b", "displayName": "fry_items_2", "status": "Failed"}
    service.children[NAME] = [child]
    following = follower(run, store, tmp_path)
    following.settle(following.wait())

    states = [end.state for end in following.ends.values()]
    assert states == ["skipped", "failed", "skipped"]
    assert following.ends["fry"].message == "its job 1a2b failed"


def test_a_run_is_stopped(service: Service, run: AzureRun) -> None:
    assert run.state() is None
    run.submit()
    run.stop()

    state = run.state()
    assert state is not None and state.ended == "stopped"


def test_what_the_service_refuses_is_one_line(service: Service, run: AzureRun) -> None:
    said = {"error": {"code": "UserError", "message": "The image is not allowed."}}
    service.faults = [Fault("PUT", "/jobs/", 400, body=said)]

    with pytest.raises(UserError, match=f"^job {NAME}: The image is not allowed.$"):
        run.submit()
    assert service.jobs == {}


def test_a_service_that_stays_away_is_no_end_of_the_run(
    service: Service, run: AzureRun
) -> None:
    run.submit()
    service.faults = [Fault("GET", f"jobs/{NAME}$", 503, times=6)]

    with pytest.raises(RunError, match="Azure answers 503"):
        run.state()
    assert run.state() == RemoteState(None, f"Starting; see {run.link}")
