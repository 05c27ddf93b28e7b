"""What a rendered workflow does when it is executed, from the store alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.pipelines.spec import Pipeline
from orchestration.platforms.argo import render_workflow
from orchestration.platforms.nodes import nodes_of
from orchestration.platforms.sealed_plan import SealedPlan
from orchestration.store.store import Store
from tests.orchestration.platforms.kitchen import PIPELINE, plan, settings
from tests.orchestration.platforms.workflows import Pod, execute, named

FOOD = "egg ham leek rice"


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment without packages."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


def cook(store: Store, folder: Path, environment: Path, food: str) -> list[Pod]:
    """Seal, render and execute."""
    folder.mkdir(exist_ok=True)
    reference = plan(store, folder, food)
    sealed = SealedPlan.from_json(store.text(reference))
    text = render_workflow(
        "kitchen", nodes_of(sealed.pipeline), settings(store, reference)
    )
    return execute(text, environment, folder)


def dish(store: Store) -> str:
    """Read the last step's newest result."""
    record = store.records("kitchen", "serve")[0]
    return store.text(record["outputs"]["dish"]["reference"]).decode()


def test_its_containers_run_in_order_and_once(
    store: Store, environment: Path, tmp_path: Path
) -> None:
    pods = cook(store, tmp_path / "one", environment, FOOD)

    assert [(pod.task, pod.shard, pod.status) for pod in pods] == [
        ("chop", None, 0),
        ("fry-items", "1/2", 0),
        ("fry-items", "2/2", 0),
        ("fry", None, 0),
        ("serve", None, 0),
    ], pods
    assert dish(store) == "EGG HAM LEEK RICE"
    # The shards have shared the items evenly, and the step itself has only joined them.
    for pod in named(pods, "fry-items"):
        assert "fry: shared, 2 items" in pod.output
    (joined,) = named(pods, "fry")
    assert "fry: done, 0 items" in joined.output

    again = cook(store, tmp_path / "two", environment, FOOD)
    assert {pod.output.rpartition("(")[0].strip() for pod in again} == {
        "chop: cached",
        "fry: cached",
        "serve: cached",
    }

    more = cook(store, tmp_path / "three", environment, f"{FOOD} salt")
    assert dish(store) == "EGG HAM LEEK RICE SALT"
    counts = sorted(pod.output.splitlines()[-1] for pod in named(more, "fry-items"))
    assert [line.partition(" (")[0] for line in counts] == [
        "fry: shared, 0 items",
        "fry: shared, 1 items",
    ]


def test_a_failed_item_fails_its_step_and_keeps_the_others(
    store: Store, environment: Path, tmp_path: Path
) -> None:
    pods = cook(store, tmp_path / "one", environment, "egg stone leek rice")

    assert [(pod.task, pod.status) for pod in pods] == [
        ("chop", 0),
        ("fry-items", 0),
        ("fry-items", 1),
    ]
    assert "there is a stone in it" in pods[2].output
    assert "fry: error" not in pods[2].output and "Traceback" not in pods[2].output

    mended = cook(store, tmp_path / "two", environment, "egg lime leek rice")
    assert [pod.status for pod in mended] == [0] * 5
    ran = [pod.output for pod in named(mended, "fry-items")]
    assert "shared, 0 items" in ran[0] and "shared, 1 items" in ran[1]


@pytest.mark.parametrize(
    ("flags", "status", "problem"),
    [
        (["--step", "serve"], 1, "chop has no result in the store: it has never run"),
        (["--step", "serv"], 2, "the plan has no step serv (did you mean serve?)"),
        (["--step", "chop", "--shard", "1/2"], 2, "chop has no items to share"),
        (["--step", "fry", "--shard", "3/2"], 2, "'3/2' is not I/N, such as 1/4"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(
    flags: list[str], status: int, problem: str, store: Store, tmp_path: Path
) -> None:
    reference = plan(store, tmp_path, FOOD)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "orchestration.platforms"]
        + ["--store", store.address, "--plan", reference, *flags],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert problem in done.stderr and done.stderr.count("\n") == 1


def test_a_plan_is_written_in_one_way(store: Store, tmp_path: Path) -> None:
    reference = plan(store, tmp_path, FOOD)
    written = store.text(reference)
    sealed = SealedPlan.from_json(written)

    assert sealed.to_json() == written
    assert sealed.pipeline == Pipeline.model_validate_json(json.dumps(PIPELINE))
