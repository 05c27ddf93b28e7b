"""Datasets in buckets come here once for each state of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import RunError, UserError
from orchestration.pipelines.datasets import fetch_dataset
from orchestration.store.objects import open_objects


@pytest.fixture(params=["s3", "az"])
def bucket(request: pytest.FixtureRequest) -> str:
    """An address in a bucket where nothing is yet."""
    return str(request.getfixturevalue(request.param))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_folder_comes_once_for_each_state(bucket: str, tmp_path: Path) -> None:
    objects = open_objects(bucket)
    objects.put("a.txt", b"one")
    objects.put("deep/b.txt", b"two")

    first = fetch_dataset(bucket, tmp_path)

    assert contents(first) == {"a.txt": b"one", "deep/b.txt": b"two"}
    (first / "a.txt").write_bytes(b"mark")
    assert contents(fetch_dataset(bucket, tmp_path))["a.txt"] == b"mark"
    objects.put("a.txt", b"new")
    assert contents(fetch_dataset(bucket, tmp_path))["a.txt"] == b"new"


def test_a_file_keeps_its_name(bucket: str, tmp_path: Path) -> None:
    open_objects(bucket).put("table.csv", b"a,b")

    path = fetch_dataset(f"{bucket}/table.csv", tmp_path)

    assert (path.name, path.read_bytes()) == ("table.csv", b"a,b")


def test_nothing_is_said_to_be_nothing(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is nothing"):
        fetch_dataset(f"{bucket}/nowhere", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="^https://127.0.0.1:1/data.csv cannot be read"):
        fetch_dataset("https://127.0.0.1:1/data.csv?signature=secret", tmp_path)
