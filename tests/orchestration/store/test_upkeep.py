"""Garbage goes, and nothing that a run needs; the command says so."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.errors import RunError, UserError
from orchestration.commands import store as command
from orchestration.file_digests import FileDigests
from orchestration.pipelines.planning import items_of
from orchestration.store import upkeep
from orchestration.store.content import read_content
from orchestration.store.errors import StoreError
from orchestration.store.store import Store
from tests.orchestration.store.crashes import killed_at

DAY = 24 * 3600.0


class Garden:
    """A store, and steps that have run at some time before now."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self._folder = folder

    def grow(self, key: str, age: float, step: str = "grow", **more: Any) -> str:
        """Store an artifact of two files and its record; give its reference."""
        before = self._files()
        folder = self._folder / key
        folder.mkdir()
        (folder / "own").write_text(key)
        (folder / "shared").write_text("shared")
        content = read_content(folder, FileDigests(Path("/"), None), "inside")
        self.store.add(folder, content)
        output = {"reference": content.reference, "size": content.size}
        document = {"outputs": {"out": output}, "finished": "2026", **more}
        self.store.add_record("fruit", step, key, document)
        self._age(self._files() - before, age)
        return content.reference

    def run(self, name: str, begun: float, age: float, *keys: str, **more: Any) -> None:
        """Remember a run that began and was written down at some time before now."""
        before = self._files()
        started = datetime.now(timezone.utc) - timedelta(seconds=begun)
        steps = {k: {"task": "fruit", "step": "grow", "key": k} for k in keys}
        document = {"started": started.isoformat(), "state": "done", "steps": steps}
        self.store.remember_run("fruit", name, {**document, **more})
        self._age(self._files() - before, age)

    def note(self, run: str, age: float) -> None:
        """Say at some time before now that a step of a run is at work."""
        before = self._files()
        self.store.note(run, "grow", {"state": "running"})
        self._age(self._files() - before, age)

    def keys(self) -> set[str]:
        steps = ("grow", items_of("grow"))
        return {key for step in steps for key in self.store.keys("fruit", step)}

    def _files(self) -> set[Path]:
        return {p for p in Path(self.store.address).rglob("*") if p.is_file()}

    def _age(self, paths: set[Path], age: float) -> None:
        then = time.time() - age
        for path in paths:
            os.utime(path, (then, then))


@pytest.fixture
def garden(store: Store, tmp_path: Path) -> Garden:
    return Garden(store, tmp_path)


def test_what_no_run_reaches_goes(garden: Garden) -> None:
    kept = garden.grow("kept", 2 * DAY)
    # As the planner names the records of a step's items.
    item = garden.grow("item", 2 * DAY, items_of("grow"))
    gone = garden.grow("gone", 2 * DAY)
    young = garden.grow("young", 60)
    mapped = {"task": "fruit", "step": "grow", "key": "none", "items": {"x": "item"}}
    garden.run(
        "run", DAY, DAY, "kept", steps={"a": mapped, "b": {**mapped, "key": "kept"}}
    )

    told = upkeep.collect(garden.store, dry_run=True)

    assert (told.runs, told.records, told.trees, told.files) == (0, 1, 1, 1)
    assert garden.keys() == {"kept", "item", "gone", "young"}
    assert upkeep.collect(garden.store) == told
    assert garden.keys() == {"kept", "item", "young"}
    assert garden.store.missing([kept, item, gone, young]) == {gone}
    assert upkeep.verify(garden.store).removed == ()
    assert upkeep.collect(garden.store, grace=timedelta(0)).records == 1


def test_what_was_said_of_steps_goes_when_nobody_follows_them(garden: Garden) -> None:
    store = garden.store
    garden.note("dead", 40 * DAY)
    garden.note("working", 3 * DAY)
    garden.note("young", 60)

    upkeep.collect(store, dry_run=True)
    assert store.notes("dead") == {"grow": {"state": "running"}}
    garden.run("working", 4 * DAY, 60, state="running")
    upkeep.collect(store)

    assert store.notes("dead") == {}
    assert store.notes("working") == store.notes("young") != {}
    assert store.notes("young", without=["grow"]) == {}


def test_what_a_record_was_made_from_stays(garden: Garden) -> None:
    seed = garden.grow("seed", 2 * DAY)
    garden.grow("tree", 2 * DAY, inputs={"seed": {"content": [seed]}})
    garden.run("run", DAY, DAY, "tree")

    upkeep.collect(garden.store)

    assert garden.keys() == {"tree"}
    assert garden.store.missing([seed]) == set()


def test_old_runs_are_forgotten_but_not_those_at_work(garden: Garden) -> None:
    for key in ("old", "recent", "working", "dead"):
        garden.grow(key, 40 * DAY)
    garden.run("old", 35 * DAY, 35 * DAY, "old")
    garden.run("recent", DAY, DAY, "recent")
    garden.run("working", 33 * DAY, 60, "working", state="running")
    garden.run("dead", 39 * DAY, 38 * DAY, "dead", state="running")

    told = upkeep.collect(garden.store, timedelta(days=30))

    assert told.runs == 2
    assert garden.store.runs() == ["recent", "working"]
    assert garden.keys() == {"recent", "working"}


def test_what_was_written_since_a_run_began_stays_while_it_works(
    garden: Garden,
) -> None:
    before = garden.grow("before", 5 * DAY)
    since = garden.grow("since", 2 * DAY)
    garden.run("run", 3 * DAY, 60, state="running")

    upkeep.collect(garden.store)
    assert garden.keys() == {"since"}
    assert garden.store.missing([before, since]) == {before}
    garden.store.objects.delete([f.name for f in garden.store.objects.list("runs")])
    upkeep.collect(garden.store)
    assert garden.keys() == set()


def test_a_clock_that_was_set_back_takes_nothing(garden: Garden) -> None:
    garden.grow("made", 5 * DAY)
    # By what its document says it begins tomorrow.
    garden.run("run", -DAY, 60, state="running")
    assert upkeep.collect(garden.store).records == 0

    # What was written by a clock that was ahead is no garbage, either.
    garden.grow("ahead", -2 * DAY)
    upkeep.collect(garden.store)
    assert garden.keys() == {"made", "ahead"}


def test_garbage_that_is_used_again_stays(garden: Garden, tmp_path: Path) -> None:
    garden.grow("old", 2 * DAY)
    garden.grow("other", 2 * DAY)
    content = read_content(tmp_path / "old", FileDigests(Path("/"), None), "inside")

    # A record is about to follow.
    garden.store.add(tmp_path / "old", content)
    own = garden.store.add_text(b"other")

    told = upkeep.collect(garden.store)
    assert (told.records, told.trees, told.files) == (2, 1, 0)
    assert garden.store.missing([content.reference, own]) == set()


def test_a_collector_that_is_killed_anywhere_leaves_a_sound_store(
    tmp_path: Path,
) -> None:
    killed, count = True, 0
    while killed:
        folder = tmp_path / str(count)
        folder.mkdir()
        garden = Garden(Store.open(str(folder / "store")), folder)
        garden.grow("kept", 2 * DAY)
        garden.grow("gone", 2 * DAY)
        garden.run("run", DAY, DAY, "kept")
        garden.run("old", 9 * DAY, 9 * DAY, "gone")
        collect = partial(upkeep.collect, garden.store, timedelta(days=8))
        killed = killed_at(count, collect)
        assert upkeep.verify(garden.store).removed == ()
        assert "kept" in garden.keys()
        count += 1
    assert garden.keys() == {"kept"}
    assert count > 5


def test_a_run_that_cannot_be_read_stops_the_collector(garden: Garden) -> None:
    garden.grow("old", 2 * DAY)
    garden.run("run", DAY, DAY, "old")
    name = next(garden.store.objects.list("runs")).name
    garden.store.objects.put(name, b"{")

    with pytest.raises(StoreError, match="is damaged"):
        upkeep.collect(garden.store)
    assert garden.keys() == {"old"}
    assert upkeep.verify(garden.store).removed == (name,)
    upkeep.collect(garden.store)
    assert garden.keys() == set()


def test_the_command_shows_what_there_is(
    garden: Garden, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = garden.grow("0123456789abcdef", 2 * DAY)
    garden.run("the-run", DAY, DAY, "0123456789abcdef")
    place = ["--store", garden.store.address]

    def said(*words: str) -> str:
        command.main([*words, *place])
        return capsys.readouterr().out

    assert "fruit  grow  1 record" in said("ls")
    assert json.loads(said("ls", "--json"))["runs"] == ["the-run"]
    assert reference in said("ls", "fruit")
    assert reference in said("show", "01234567")
    assert json.loads(said("show", "the-run"))["state"] == "done"
    assert "own  file  16 bytes" in said("show", reference)
    assert json.loads(said("du", "--json"))["files"]["count"] == 2
    assert "2 files" in said("verify")
    assert "would remove 1 runs, 1 records" in said(
        "gc", "--dry-run", "--older-than", "1h"
    )
    assert garden.keys() == {"0123456789abcdef"}
    assert json.loads(said("gc", "--older-than", "1h", "--json"))["files"] == 2
    assert "nothing is stored" in said("ls")


def test_the_command_copies_between_stores(
    garden: Garden, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    garden.grow("key", DAY)
    place = ["--store", garden.store.address]
    command.main(["push", str(tmp_path / "other"), *place])
    command.main(["pull", str(tmp_path / "other"), "--store", str(tmp_path / "third")])
    assert Store.open(str(tmp_path / "third")).keys("fruit", "grow") == {"key"}
    with pytest.raises(UserError, match="both stores"):
        command.main(["push", garden.store.address, *place])
    with pytest.raises(UserError, match="no store to copy from"):
        command.main(["pull", str(tmp_path / "gone"), *place])

    blob = next((tmp_path / "other/cas").iterdir())
    blob.write_text("damaged")
    capsys.readouterr()
    command.main(["pull", str(tmp_path / "other"), "--store", str(tmp_path / "fourth")])
    assert "3 objects are damaged or not complete" in capsys.readouterr().err
    with pytest.raises(RunError, match="removed"):
        command.main(["verify", "--store", str(tmp_path / "other")])


@pytest.mark.parametrize(
    "words",
    [
        ["lss"],
        ["gc", "--older-than", "3x"],
        ["gc", "--older-than", "-3d"],
        ["show"],
        ["show", "nothing"],
        ["ls", "nothing"],
        ["ls", "--sotre", "x"],
    ],
)
def test_a_wrong_request_is_told(store: Store, words: list[str]) -> None:
    with pytest.raises(UserError):
        command.main([*words, "--store", store.address])
