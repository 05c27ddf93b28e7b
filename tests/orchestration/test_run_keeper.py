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


def test_a_store_that_fails_meanwhile_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(str(tmp_path))
    with pytest.raises(RunError, match="the disk is gone"):
        with RunKeeper(store, "tides", begun()) as keeper:

            def fail(*_: object) -> None:
                raise RunError("the disk is gone")

            monkeypatch.setattr(store, "remember_run", fail)
            keeper.add_step("flood", {"state": "done"})
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                keeper.add_step("ebb", {"state": "done"})
                time.sleep(0.05)
