"""What rendered pipelines do when they are executed, from the store alone."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.pipelines.spec import Pipeline
from orchestration.platforms.sealed_plan import SealedPlan
from orchestration.store.store import Store
from tests.orchestration.platforms import pipeline_jobs, workflows
from tests.orchestration.platforms.kitchen import (
    PIPELINE,
    pipeline_job,
    plan,
    workflow,
)
from tests.orchestration.platforms.workflows import Pod

FOOD = "egg ham leek rice"


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment without packages."""
    if not os.environ.get("CI"):
        pytest.skip("starts a program for each container; CI=true runs it")
    folder = tmp_path_factory.mktemp("environment") / "venv"
    command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


Cook = Callable[[str], list[Pod]]


@pytest.fixture(params=["argo", "azureml"])
def cook(
    request: pytest.FixtureRequest, store: Store, environment: Path, tmp_path: Path
) -> Cook:
    """Seals the plan for some food, renders it for a platform, and executes that."""

    def cooked(food: str) -> list[Pod]:
        folder = tmp_path / hashlib.sha256(food.encode()).hexdigest()[:8]
        scratch = Path(tempfile.mkdtemp(dir=tmp_path))
        folder.mkdir(exist_ok=True)
        reference = plan(store, folder, food)
        if request.param == "argo":
            text = workflow(store, reference)
            return workflows.execute(text, environment, scratch)
        text = pipeline_job(store, reference)
        return pipeline_jobs.execute(text, environment, scratch)

    return cooked


def dish(store: Store) -> str:
    """Read the last step's newest result."""
    record = store.records("kitchen", "serve")[0]
    return store.text(record["outputs"]["dish"]["reference"]).decode()


def ended(pods: list[Pod]) -> list[tuple[str | None, str]]:
    """Say how each container's step ended, without the time that it took."""
    lines = [(pod.shard, pod.output.splitlines()[-1]) for pod in pods]
    return [(shard, line.rpartition(" (")[0]) for shard, line in lines]


def test_its_containers_run_in_order_and_once(cook: Cook, store: Store) -> None:
    # The shards share the items evenly, and the step itself only joins them.
    assert ended(cook(FOOD)) == [
        (None, "chop: done"),
        ("1/2", "fry: shared, 2 items"),
        ("2/2", "fry: shared, 2 items"),
        (None, "fry: done, 0 items"),
        (None, "serve: done"),
    ]
    assert dish(store) == "EGG HAM LEEK RICE"

    assert ended(cook(FOOD)) == [
        (None, "chop: cached"),
        ("1/2", "fry: cached"),
        ("2/2", "fry: cached"),
        (None, "fry: cached"),
        (None, "serve: cached"),
    ]

    assert ended(cook(f"{FOOD} salt"))[1:4] == [
        ("1/2", "fry: shared, 1 items"),
        ("2/2", "fry: shared, 0 items"),
        (None, "fry: done, 0 items"),
    ]
    assert dish(store) == "EGG HAM LEEK RICE SALT"


def test_a_failed_item_fails_its_step_and_keeps_the_others(
    cook: Cook, store: Store
) -> None:
    pods = cook("egg stone leek rice")

    assert [pod.status for pod in pods] == [0, 0, 1]
    assert "there is a stone in it" in pods[2].output
    assert "Traceback" not in pods[2].output

    mended = cook("egg lime leek rice")
    assert ended(mended)[1:3] == [
        ("1/2", "fry: shared, 0 items"),
        ("2/2", "fry: shared, 1 items"),
    ]
    assert dish(store) == "EGG LIME LEEK RICE"


def test_a_container_delivers_what_its_step_gives(
    store: Store, environment: Path, tmp_path: Path
) -> None:
    place = tmp_path / "delivered"
    to = {str(place / "fried"): "fry/fried", str(place / "dish"): "serve/dish"}
    for food, fried, served in (
        (FOOD, "4 files written", "1 files written"),
        (FOOD, "nothing has changed (4 files)", "nothing has changed (1 files)"),
        ("ham", "1 files written, 3 removed", "1 files written"),
    ):
        scratch = Path(tempfile.mkdtemp(dir=tmp_path))
        reference = plan(store, tmp_path, food, to)
        pods = workflows.execute(workflow(store, reference), environment, scratch)
        lines = [pod.output.splitlines() for pod in pods]
        assert [line for pod in lines for line in pod if str(place) in line] == [
            f"fry/fried -> {place}/fried: {fried}",
            f"serve/dish -> {place}/dish: {served}",
        ]
        assert (place / "dish/dish.txt").read_text() == food.upper()
        items = [path for path in (place / "fried").iterdir() if path.suffix == ".txt"]
        assert len(items) == len(food.split())


def test_a_delivery_that_fails_fails_its_container(
    store: Store, environment: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("mine")
    reference = plan(store, tmp_path, FOOD, {str(tmp_path / "taken"): "chop/pieces"})

    pods = workflows.execute(workflow(store, reference), environment, tmp_path)

    assert [(pod.task, pod.status) for pod in pods] == [("chop", 2)]
    assert "taken" in pods[0].output and "Traceback" not in pods[0].output


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
