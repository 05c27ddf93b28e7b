"""The domains' pipelines as they are, on each engine and from each kind of store."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from orchestration.store.objects import open_objects
from tests.end_to_end.conftest import names
from tests.end_to_end.domains import (
    BAD_PIXELS,
    ITEM2VEC,
    TASKS,
    Domains,
    outputs_of,
)
from tests.orchestration.store.conftest import Server, s3_store, seaweedfs

__all__ = ["seaweedfs"]  # a fixture


@pytest.fixture(scope="module")
def first_runs(
    domains: Domains, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, dict[str, Any]]]:
    """A store with a toy run of each pipeline, and what the run left."""
    found = {}
    for task in TASKS:
        store = tmp_path_factory.mktemp("store") / "store"
        found[task] = store, domains.run(task, store, "--profile", "toy")
    return found


@pytest.fixture
def own_images(connected: docker.DockerClient) -> Iterator[None]:
    """Images of the tasks that the test makes go at its end."""
    before = names(connected)
    yield
    for made in names(connected) - before:
        if any(f"strata/{task}:" in made for task in TASKS):
            connected.images.remove(made)


@pytest.mark.parametrize("task", TASKS)
def test_a_second_run_finds_everything_in_its_store(
    task: str, domains: Domains, first_runs: dict[str, tuple[Path, dict[str, Any]]]
) -> None:
    store, first = first_runs[task]
    assert {step["state"] for step in first["steps"].values()} == {"done"}

    assert domains.ran(task, store, "--profile", "toy") == set()


@pytest.mark.parametrize("task", TASKS)
def test_a_bucket_gives_what_a_folder_gives(
    task: str,
    domains: Domains,
    first_runs: dict[str, tuple[Path, dict[str, Any]]],
    seaweedfs: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = s3_store(seaweedfs.port, monkeypatch)
    open_objects(bucket).put("tmp/first", b"")
    run = domains.run(task, bucket, "--profile", "toy")
    assert outputs_of(run) == outputs_of(first_runs[task][1])
    assert domains.ran(task, bucket, "--profile", "toy") == set()


@pytest.mark.usefixtures("own_images")
@pytest.mark.parametrize("task", TASKS)
def test_the_image_gives_what_the_host_gives(
    task: str,
    domains: Domains,
    first_runs: dict[str, tuple[Path, dict[str, Any]]],
    seaweedfs: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags = ("--profile", "toy", "--engine", "docker")
    store = tmp_path / "store"
    run = domains.run(task, store, *flags)
    expected = outputs_of(first_runs[task][1])
    assert outputs_of(run)["evaluate"]["metrics"] == expected["evaluate"]["metrics"]
    assert domains.ran(task, store, *flags) == set()

    bucket = s3_store(seaweedfs.port, monkeypatch)
    open_objects(bucket).put("tmp/first", b"")
    assert outputs_of(domains.run(task, bucket, *flags)) == outputs_of(run)
    assert domains.ran(task, bucket, *flags) == set()


def test_a_changed_rating_goes_as_far_as_it_matters(
    domains: Domains,
    first_runs: dict[str, tuple[Path, dict[str, Any]]],
    tmp_path: Path,
) -> None:
    made, _ = first_runs[ITEM2VEC]
    folder = domains.tree.root / "data/reviews"
    folder.mkdir(parents=True)
    for name in ("ratings", "products"):
        domains.get(made, f"generate/{name}", tmp_path / name)
    shutil.copy(tmp_path / "products", folder / "products.jsonl.gz")
    lines = gzip.decompress((tmp_path / "ratings").read_bytes()).splitlines()
    reviews = folder / "reviews.jsonl.gz"
    store = tmp_path / "store"
    flags = ("--profile", "full", "--set", "epochs=2")

    reviews.write_bytes(gzip.compress(b"\n".join(lines), mtime=0))
    first = domains.run(ITEM2VEC, store, *flags)
    assert "generate" not in first["steps"]

    # The same once more: cleaning takes it away.
    liked, other = [i for i, line in enumerate(lines) if b'"overall":5.0' in line][:2]
    lines.append(lines[liked])
    reviews.write_bytes(gzip.compress(b"\n".join(lines), mtime=0))
    assert domains.ran(ITEM2VEC, store, *flags) == {"load", "clean"}

    lines[other] = lines[other].replace(b'"overall":5.0', b'"overall":1.0')
    reviews.write_bytes(gzip.compress(b"\n".join(lines), mtime=0))
    why = domains.strata("why", ITEM2VEC, "load", *flags, "--store", str(store))
    assert "input ratings: file:" in why.output
    assert domains.ran(ITEM2VEC, store, *flags) == set(first["steps"])


def test_one_video_more_costs_one(
    domains: Domains, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    root, store = domains.tree.root, tmp_path / "store"
    flags = ["--videos", "101", "--width", "32", "--height", "32", "--frames", "16"]
    domains.strata("exec", BAD_PIXELS, "generate", "--", *flags)
    made = root / "outputs/video_quality/bad_pixels/generate"
    footage = root / "data/bad_pixels"
    shutil.copytree(made / "truth", footage / "truth")
    shutil.copytree(made / "videos", footage / "videos")
    request.addfinalizer(lambda: shutil.rmtree(footage))
    last = sorted((footage / "videos").iterdir())[-1]
    last.rename(tmp_path / last.name)
    part = ("--profile", "full", "--until", "features")

    first = domains.run(BAD_PIXELS, store, *part)["steps"]
    assert {name: step["ran"] for name, step in first.items()} == {
        "extract": 100,
        "features": 100,
    }

    (tmp_path / last.name).rename(last)
    plan = domains.strata(
        *("plan", BAD_PIXELS, "--profile", "full", "--store", str(store))
    )
    (line,) = [
        line for line in plan.output.splitlines() if line[2:].startswith("extract ")
    ]
    assert "1 of 101 items" in line
    why = domains.strata(
        *("why", BAD_PIXELS, "extract", "--profile", "full", "--store", str(store))
    )
    assert f"of 101 items 1 run: {last.name}\n" in why.output
    second = domains.run(BAD_PIXELS, store, *part)["steps"]
    assert {name: step["ran"] for name, step in second.items()} == {
        "extract": 1,
        "features": 1,
    }


@pytest.mark.parametrize("task", TASKS)
def test_its_notebook_shows_what_a_run_gave(
    task: str,
    domains: Domains,
    first_runs: dict[str, tuple[Path, dict[str, Any]]],
    tmp_path: Path,
) -> None:
    store, _ = first_runs[task]
    name = task.rpartition("/")[2]
    results = domains.tree.root / "outputs/results" / name
    results.parent.mkdir(parents=True, exist_ok=True)
    domains.strata("get", "last", str(results), "--store", str(store))
    page = tmp_path / "page.html"

    domains.strata(
        *("notebook", task, "--execute", f"notebooks/{name}.py", "--page", str(page))
    )

    shown = page.read_text()
    assert "data:image/png" in shown or "<table" in shown
