"""Runs on an Argo server: what is submitted, what is retried, what is said."""

from __future__ import annotations

import itertools
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.errors import RunError, UserError
from orchestration.pipelines.planning import Planner
from orchestration.platforms.argo_server import ArgoRun
from orchestration.platforms.following import Follower
from orchestration.platforms.remote import RemoteState
from orchestration.platforms.sealed_plan import SealedPlan
from orchestration.stages import Stage, load_stage
from orchestration.step_end import StepEnd
from orchestration.store.store import Store
from tests.orchestration.faults import Fault
from tests.orchestration.platforms import workflows
from tests.orchestration.platforms.argo_service import (
    NAMESPACE,
    TOKEN,
    ArgoService,
    serve_argo,
)
from tests.orchestration.platforms.kitchen import nodes, plan, workflow
from tests.orchestration.platforms.test_workflows import environment
from tests.orchestration.platforms.workflows import Pod

__all__ = ["environment"]  # a fixture

RUN, NAME = "20260102T030405-a1b2c3", "kitchen-20260102t030405-a1b2c3"


class Told:
    """Remembers what it is told of steps."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, step: str, reason: str, items: int | None) -> None:
        self.lines.append(f"{step} started")

    def advanced(self, step: str, done: int, items: int | None) -> None:
        self.lines.append(f"{step} {done} of {items}")

    def ended(self, step: str, end: StepEnd) -> None:
        self.lines.append(f"{step} {end.state}")


@pytest.fixture
def argo(monkeypatch: pytest.MonkeyPatch) -> Iterator[ArgoService]:
    monkeypatch.setenv("ARGO_TOKEN", f"Bearer {TOKEN}")
    with serve_argo() as service:
        yield service


@pytest.fixture
def stage(argo: ArgoService, tmp_path: Path) -> Stage:
    (tmp_path / "config").mkdir()
    values = f"argo: {{server: '{argo.url}', namespace: {NAMESPACE}}}\n"
    (tmp_path / "config/dev.yaml").write_text(values)
    return load_stage(tmp_path, "dev")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


@pytest.fixture
def reference(store: Store, tmp_path: Path) -> str:
    """The plan for four pieces, sealed."""
    (tmp_path / "plan").mkdir()
    return plan(store, tmp_path / "plan", "egg ham leek rice")


@pytest.fixture
def run(stage: Stage, store: Store, reference: str) -> ArgoRun:
    return ArgoRun(stage, NAME, RUN, nodes(), workflow(store, reference, RUN))


def follower(
    run: ArgoRun, store: Store, reference: str, told: Told | None = None
) -> Follower:
    """Make a follower of a run of the kitchen."""
    made = SealedPlan.from_json(store.text(reference))
    planner = Planner(
        made.task, made.pipeline, made, made.reader(store), store, made.platform
    )
    return Follower(run, planner, store, RUN, nodes(), told or Told(), {})


def after_looks(number: int, act: Callable[[], object]) -> Callable[[], None]:
    """Make what acts whenever it is called, but for the first times."""
    looks = itertools.count()

    def look() -> None:
        if next(looks) >= number:
            act()

    return look


# ---- what is submitted


def test_a_run_is_submitted_under_its_own_name(run: ArgoRun, argo: ArgoService) -> None:
    assert run.submit()

    assert list(argo.workflows) == [NAME]
    assert argo.workflows[NAME]["metadata"]["labels"]["strata/run"] == RUN
    assert run.link == f"{argo.url}/workflows/{NAMESPACE}/{NAME}"
    assert run.state() == RemoteState(None)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([Fault("POST", "", 503, times=2)], id="busy, twice"),
        pytest.param(
            [Fault("POST", "", 429, {"Retry-After": "1"})], id="too many requests"
        ),
        pytest.param([Fault("POST", "")], id="cut before"),
        pytest.param([Fault("POST", "", after=True)], id="cut after"),
        pytest.param([Fault("POST", "", 502, after=True)], id="answer lost on the way"),
        pytest.param([Fault("GET", "", 500, times=2)], id="busy when asked"),
    ],
)
def test_what_is_sent_again_is_there_once(
    faults: list[Fault], run: ArgoRun, argo: ArgoService
) -> None:
    argo.faults = faults
    came_twice = any(fault.after for fault in faults)

    assert run.submit() != came_twice

    assert run.state() == RemoteState(None)
    assert all(fault.times == 0 for fault in faults)
    assert list(argo.workflows) == [NAME]


def test_a_workflow_of_another_run_is_not_taken_for_it(
    run: ArgoRun, argo: ArgoService
) -> None:
    run.submit()
    argo.workflows[NAME]["metadata"]["labels"] = {}

    with pytest.raises(UserError, match="there is another workflow of this name"):
        run.submit()


def test_a_run_that_nobody_submitted_is_not_there(run: ArgoRun) -> None:
    assert run.state() is None


def test_a_run_is_stopped(run: ArgoRun, argo: ArgoService) -> None:
    run.submit()
    run.stop()

    assert run.state() == RemoteState("stopped", "Stopped with strategy 'Terminate'")


# ---- what is said


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (
            Fault("POST", "", 400, body={"message": "spec.entrypoint is required"}),
            UserError,
            "spec.entrypoint is required",
        ),
        (
            Fault("POST", "", 403, body={"message": "workflows is forbidden"}),
            UserError,
            "whoever the token is of may not do that: workflows is forbidden",
        ),
        (
            Fault("POST", "", 503, body={"message": "overloaded"}, times=9),
            RunError,
            "Argo answers 503: overloaded",
        ),
        (
            Fault("POST", "", 200, body=b"<html>sign in</html>"),
            RunError,
            "what answers there does not speak Argo's API",
        ),
        (Fault("POST", "", times=9), RunError, "Argo cannot be reached"),
    ],
)
def test_a_refusal_is_one_line_with_its_cause(
    fault: Fault,
    kind: type[Exception],
    said: str,
    run: ArgoRun,
    argo: ArgoService,
    request: pytest.FixtureRequest,
) -> None:
    if fault.times > 1:
        request.getfixturevalue("environment")  # it waits for retries
    argo.faults = [fault]

    with pytest.raises(kind) as raised:
        run.submit()

    line = str(raised.value)
    assert line.startswith(f"workflow {NAME} at {argo.url}: ")
    assert said in line and "\n" not in line
    assert argo.workflows == {}


def test_a_proxy_that_has_lost_its_server_is_no_end_of_a_run(
    run: ArgoRun, argo: ArgoService
) -> None:
    run.submit()
    argo.faults = [Fault("GET", "", 404, body=b"<html>not here</html>")]

    with pytest.raises(RunError, match="does not speak Argo's API"):
        run.state()
    argo.faults = [Fault("GET", "", 403, body={"error": "forbidden by a proxy"})]
    with pytest.raises(UserError, match="may not do that: .*forbidden by a proxy"):
        run.state()
    assert run.state() == RemoteState(None)


def test_a_token_that_is_no_good_is_said_and_not_shown(
    run: ArgoRun, argo: ArgoService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGO_TOKEN", "b2xkLXRva2Vu")

    with pytest.raises(UserError) as raised:
        run.submit()

    assert "Argo refuses the token; give one in ARGO_TOKEN" in str(raised.value)
    assert "b2xk" not in str(raised.value)
    assert len(argo.requests) == 1


def test_a_token_in_a_file_may_change_at_any_time(
    run: ArgoRun, argo: ArgoService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    monkeypatch.setenv("ARGO_TOKEN_FILE", str(file))
    file.write_text(f"{TOKEN}\n")
    run.submit()
    argo.token = "bmV3LXRva2Vu"
    with pytest.raises(UserError, match="refuses the token"):
        run.state()

    file.write_text(argo.token)
    assert run.state() == RemoteState(None)

    file.unlink()
    with pytest.raises(UserError, match="ARGO_TOKEN_FILE: .*token: No such file"):
        run.state()


def test_a_stage_without_a_server_says_where_it_is_missing(
    stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / "config/test.yaml").write_text("argo: {namespace: models}\n")

    with pytest.raises(UserError, match="config/test.yaml:1: argo.server is not set"):
        ArgoRun(load_stage(tmp_path, "test"), NAME, RUN, nodes())


# ---- how it goes


@pytest.fixture
def cooking(
    run: ArgoRun, argo: ArgoService, environment: Path, tmp_path: Path
) -> ArgoRun:
    """A run whose workflow is executed as soon as it is submitted."""
    scratch = Path(tempfile.mkdtemp(dir=tmp_path))
    argo.execute = lambda text: workflows.execute(text, environment, scratch)
    return run


def test_a_run_is_followed_to_its_end(
    cooking: ArgoRun, store: Store, reference: str, argo: ArgoService
) -> None:
    # As if the way were bad: one question in three has no answer at first.
    argo.faults = [Fault("GET", NAME, 503, times=2), Fault("GET", NAME, times=2)]
    told = Told()
    cooking.submit()
    following = follower(cooking, store, reference, told)

    following.settle(following.wait())

    ends = following.ends
    assert {name: end.state for name, end in ends.items()} == {
        "chop": "done",
        "fry": "done",
        "serve": "done",
    }
    assert ends["fry"].ran == 4 and len(ends["fry"].items or ()) == 4
    assert ends["fry"].reason.startswith("4 of 4 items: ")
    assert ends["chop"].seconds > 0
    (dish,) = store.records("kitchen", "serve")
    assert ends["serve"].outputs == dish["outputs"]
    assert store.text(dish["outputs"]["dish"]["reference"]) == b"EGG HAM LEEK RICE"
    events = [line for line in told.lines if re.search("started|done$", line)]
    assert events == [
        f"{step} {event}"
        for step in ("chop", "fry", "serve")
        for event in ("started", "done")
    ]


def test_a_step_that_fails_is_told_with_its_log(
    cooking: ArgoRun, store: Store, stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / "stony").mkdir()
    stony = plan(store, tmp_path / "stony", "egg stone leek rice")
    run = ArgoRun(stage, NAME, RUN, nodes(), workflow(store, stony, RUN))
    run.submit()
    following = follower(run, store, stony)
    state = following.wait()
    following.settle(state)

    assert state.ended == "failed"
    ends = following.ends
    assert [end.state for end in ends.values()] == ["done", "failed", "skipped"]
    assert "there is a stone in it" in ends["fry"].message
    assert b"there is a stone in it" in store.text(str(ends["fry"].log))
    # One container has fried its two pieces, the other one.
    assert ends["fry"].ran == 3


def test_a_container_that_never_came_to_its_step_is_told_by_the_platform(
    run: ArgoRun, store: Store, reference: str, argo: ArgoService
) -> None:
    run.submit()
    lost = Pod("chop", None, 137, f"no store: Bearer {TOKEN}\nlast line\n")
    argo.end(NAME, [lost], "Failed", "child 'chop' failed")
    following = follower(run, store, reference)
    following.settle(following.wait())

    ends = following.ends
    assert [end.state for end in ends.values()] == ["failed", "skipped", "skipped"]
    assert ends["chop"].message == (
        "Error (exit code 137)\nno store: Bearer ***\nlast line"
    )


def test_an_end_without_results_is_not_believed(
    run: ArgoRun, store: Store, reference: str, argo: ArgoService
) -> None:
    run.submit()
    argo.end(NAME, [], "Succeeded")
    following = follower(run, store, reference)
    following.settle(following.wait())

    ends = following.ends
    assert [end.state for end in ends.values()] == ["failed", "skipped", "skipped"]
    assert ends["chop"].message == (
        f"{NAME} is done, and there is no result of it in the store: it has never run"
    )


def test_results_count_whatever_was_said_of_them(
    cooking: ArgoRun, store: Store, reference: str, argo: ArgoService
) -> None:
    """A container is stopped with its node and started again; another says nothing."""
    cooking.submit()
    argo.join()
    store.note(RUN, "chop", StepEnd("kitchen", "stopped").to_document("chop"))
    store.objects.delete([f"notes/{RUN}/serve.json"])
    following = follower(cooking, store, reference)
    following.settle(following.wait())

    ends = following.ends
    assert [end.state for end in ends.values()] == ["done", "done", "done"]
    assert all(end.outputs and end.key for end in ends.values())


def test_what_is_there_counts_where_the_rest_failed(
    cooking: ArgoRun, store: Store, reference: str, argo: ArgoService
) -> None:
    cooking.submit()
    argo.join()
    store.objects.delete([f"notes/{RUN}/{name}.json" for name in ("chop", "serve")])
    (record,) = store.objects.list("records/kitchen/serve")
    store.objects.delete([record.name])
    following = follower(cooking, store, reference)
    following.settle(RemoteState("failed", failures={"serve": "OOMKilled"}))

    states = {name: end.state for name, end in following.ends.items()}
    assert states == {"chop": "done", "fry": "done", "serve": "failed"}
    assert following.ends["serve"].message == "OOMKilled"


def test_a_container_that_is_at_work_again_is_waited_for(
    cooking: ArgoRun, store: Store, reference: str, argo: ArgoService
) -> None:
    execute, argo.execute = argo.execute, None
    cooking.submit()
    store.note(RUN, "chop", StepEnd("kitchen", "stopped").to_document("chop"))
    argo.execute = execute
    argo.when_looked_at = after_looks(2, lambda: argo.resume_once(NAME))
    told = Told()
    following = follower(cooking, store, reference, told)
    following.settle(following.wait())

    assert "chop stopped" not in told.lines
    assert [end.state for end in following.ends.values()] == ["done", "done", "done"]


def test_what_a_container_waits_for_is_said_once(
    run: ArgoRun,
    store: Store,
    reference: str,
    argo: ArgoService,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run.submit()
    argo.add_node(NAME, "chop", "Pod", "Pending", "ErrImagePull: no such image")
    argo.add_node(NAME, "fry-items", "Pod", "Pending", "ContainerCreating")
    argo.when_looked_at = after_looks(2, lambda: argo.end(NAME, [], "Failed"))
    following = follower(run, store, reference)
    following.wait()

    said = capsys.readouterr().err
    assert said == f"{NAME}: chop: ErrImagePull: no such image\n"


def test_of_attempts_the_last_one_counts(run: ArgoRun, argo: ArgoService) -> None:
    run.submit()
    argo.add_node(NAME, "chop", "Pod", "Error", "pod deleted", attempt=0)
    argo.add_node(NAME, "chop", "Pod", "Failed", f"no Bearer {TOKEN}", attempt=1)
    argo.add_node(NAME, "chop", "Retry", "Failed")
    argo.add_node(NAME, "serve", "Pod", "Error", "pod deleted", attempt=0)
    argo.add_node(NAME, "serve", "Pod", "Succeeded", attempt=1)
    argo.add_node(NAME, "serve", "Retry", "Succeeded")
    argo.end(NAME, [], "Failed", f"who is Bearer {TOKEN}")

    assert run.state() == RemoteState(
        "failed", "who is Bearer ***", failures={"chop": "no Bearer ***"}
    )


def test_a_run_that_was_removed_is_missed(
    run: ArgoRun, store: Store, reference: str, argo: ArgoService
) -> None:
    run.submit()
    following = follower(run, store, reference)
    argo.workflows.clear()

    with pytest.raises(RunError, match=f"{NAME} is not there any more"):
        following.wait()
