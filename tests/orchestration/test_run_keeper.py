"""A run's document in the store, while the run goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from common.errors import RunError
from orchestration.run_keeper import RunKeeper
from orchestration.store.store import Store

SECONDS = 10.0


def begun() -> dict[str, Any]:
    started = "2026-11-21T12:00:00+00:00"
    return {"id": "one", "started": started, "state": "running", "steps": {}}


def test_a_step_that_has_ended_is_written_down_while_the_run_goes_on(
    tmp_path: Path,
) -> None:
    store = Store.open(str(tmp_path))
    with RunKeeper(store, "tides", begun()) as keeper:
        assert store.run("one")["state"] == "running"
        for number in range(100):
            keeper.add_step(f"s{number}", {"state": "done"})
        deadline = time.monotonic() + SECONDS
        while len(store.run("one")["steps"]) < 100:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        keeper.end(state="done")
    assert store.run("one")["state"] == "done"


def test_what_has_ended_is_there_when_the_run_breaks_off(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        with RunKeeper(store, "tides", begun()) as keeper:
            keeper.add_step("flood", {"state": "cached"})
            keeper.end(state="stopped")
            raise KeyboardInterrupt
    assert store.run("one")["steps"] == {"flood": {"state": "cached"}}
    assert store.run("one")["state"] == "stopped"


def test_a_store_that_fails_for_a_while_loses_nothing(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    with RunKeeper(store, "tides", begun()) as keeper:
        put_aside(tmp_path)
        keeper.add_step("flood", {"state": "done"})
        keeper.add_step("ebb", {"state": "done"})
        put_back(tmp_path)
        deadline = time.monotonic() + SECONDS
        while len(store.run("one")["steps"]) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        keeper.end(state="done")


def test_a_store_that_fails_at_the_end_is_reported(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    with pytest.raises(RunError):
        with RunKeeper(store, "tides", begun()) as keeper:
            keeper.add_step("flood", {"state": "done"})
            keeper.end(state="done")
            put_aside(tmp_path)


def put_aside(folder: Path) -> None:
    """Have nothing be written where documents of runs are."""
    (folder / "store/runs").rename(folder / "aside")
    (folder / "store/runs").write_text("")


def put_back(folder: Path) -> None:
    """Undo it."""
    (folder / "store/runs").unlink()
    (folder / "aside").rename(folder / "store/runs")


def test_of_two_who_keep_a_run_the_one_who_saw_its_end_is_right(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    with RunKeeper(store, "tides", begun(), is_shared=True):
        with RunKeeper(store, "tides", begun(), is_shared=True) as other:
            other.end(state="done")
    assert store.run("one")["state"] == "done"

    with RunKeeper(store, "tides", begun(), is_shared=True):
        assert store.run("one")["state"] == "done"
