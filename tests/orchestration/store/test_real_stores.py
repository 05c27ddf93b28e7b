"""A folder, S3 and Azure Blob keep the same promises."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common.errors import UserError
from orchestration.file_digests import FileDigests
from orchestration.store import upkeep
from orchestration.store.content import Content, read_content
from orchestration.store.errors import CorruptArtifact, StoreError
from orchestration.store.objects import Blob
from orchestration.store.store import Store

# Above the size at which objects are moved in parts.
LARGE = 40 << 20


def read(path: Path) -> Content:
    return read_content(path, FileDigests(Path("/"), None), "inside")


def record_of(content: Content, finished: str = "2026-01-02T03:04:05") -> Any:
    output = {"reference": content.reference, "size": content.size}
    return {"key": {}, "outputs": {"out": output}, "finished": finished}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all that an artifact may have."""
    folder = tmp_path / "folder"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "nothing in it").mkdir()
    (folder / "empty").touch()
    (folder / "größe & 100 %#?.txt").write_text("ä")
    (folder / "deep/er/script").write_text("#!/bin/sh\n")
    (folder / "deep/er/script").chmod(0o755)
    (folder / "large").write_bytes(random.Random(0).randbytes(LARGE))
    return folder


def test_what_was_stored_comes_back(address: str, folder: Path, tmp_path: Path) -> None:
    store = Store.open(address)
    content = read(folder)
    assert store.missing([content.reference]) == {content.reference}
    told: list[tuple[int, int]] = []

    store.add(folder, content, lambda done, total: told.append((done, total)))

    assert told[-1] == (content.size, content.size)
    assert store.missing([content.reference]) == set()
    assert Store.open(address).content(content.reference) == content
    store.restore(content.reference, tmp_path / "back")
    assert read(tmp_path / "back") == content
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "back").rglob("*.txt")}
    assert modes == {0o644}
    assert (tmp_path / "back/deep/er/script").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "back/nothing in it").is_dir()
    assert upkeep.verify(store).removed == ()


def test_a_file_is_an_artifact_of_its_own(address: str, tmp_path: Path) -> None:
    store = Store.open(address)
    (tmp_path / "file").write_text("one")
    content = read(tmp_path / "file")
    store.add(tmp_path / "file", content)
    reference = store.add_text(b"one")

    assert reference == content.reference
    assert reference == f"file:{hashlib.sha256(b'one').hexdigest()}"
    store.restore(reference.replace("file:", "executable:"), tmp_path / "back")
    assert os.access(tmp_path / "back", os.X_OK)
    assert (tmp_path / "back").read_text() == "one"


def test_records_and_runs_are_kept(address: str) -> None:
    store = Store.open(address)
    content = Content.parse(Content(()).manifest())
    first, second = (record_of(content, f"2026-01-0{day}") for day in (1, 2))

    assert store.add_record("fruit/pears", "train", "b", second)
    assert store.add_record("fruit/pears", "train", "a", first)
    assert not store.add_record("fruit/pears", "train", "a", second)
    assert store.record("fruit/pears", "train", "a") == first
    assert store.record("fruit/pears", "train", "c") is None
    assert store.keys("fruit/pears", "train") == {"a", "b"}
    assert store.keys("fruit", "pears") == set()
    assert store.records("fruit/pears", "train") == [second, first]
    assert store.steps() == {("fruit/pears", "train"): 2}
    assert store.add_record("fruit/pears", "train", "a", second, replace=True)
    assert store.record("fruit/pears", "train", "a") == second

    for day, state in ((1, "done"), (3, "done"), (2, "running"), (2, "stopped")):
        document = {"started": f"2026-01-0{day}T00:00:00+00:00", "state": state}
        store.remember_run("fruit/pears", f"run-{day}", document)
    document = {"started": "2026-02-01T01:00:00+02:00", "state": "done"}
    store.remember_run("fruit", "other", document)
    assert store.runs() == ["other", "run-3", "run-2", "run-1"]
    assert store.runs("fruit/pears") == ["run-3", "run-2", "run-1"]
    assert store.run("run-2")["state"] == "stopped"
    with pytest.raises(UserError, match="no run run-9"):
        store.run("run-9")


def test_what_is_damaged_is_not_given_and_made_again(
    address: str, folder: Path, tmp_path: Path
) -> None:
    store = Store.open(address)
    content = read(folder)
    store.add(folder, content)
    script = next(entry for entry in content.entries if entry.kind == "executable")
    store.objects.put(f"cas/{script.digest}", b"?" * script.size)

    with pytest.raises(CorruptArtifact, match="deep/er/script") as caught:
        store.restore(content.reference, tmp_path / "back")

    assert caught.value.digest == script.digest
    assert not (tmp_path / "back").exists()
    assert store.missing([content.reference]) == {content.reference}
    store.add(folder, content)
    store.restore(content.reference, tmp_path / "back")
    assert read(tmp_path / "back") == content


def test_verify_removes_what_is_damaged_and_what_names_it(
    address: str, folder: Path
) -> None:
    store = Store.open(address)
    content, sound = read(folder), read(folder / "deep")
    store.add(folder, content)
    store.add(folder / "deep", sound)
    store.add_record("fruit", "grow", "damaged", record_of(content))
    store.add_record("fruit", "grow", "sound", record_of(sound))
    store.objects.put("records/fruit/grow/broken.json", b"{")
    empty = next(e for e in content.entries if e.path == "empty")
    store.objects.put(f"cas/{empty.digest}", b"not so")

    removed = upkeep.verify(store).removed

    assert removed == (
        f"cas/{empty.digest}",
        "records/fruit/grow/broken.json",
        "records/fruit/grow/damaged.json",
        f"trees/{content.reference.removeprefix('tree:')}",
    )
    assert upkeep.verify(store).removed == ()
    assert store.keys("fruit", "grow") == {"sound"}


def test_a_copy_has_all_and_is_copied_once(
    address: str, folder: Path, tmp_path: Path
) -> None:
    here, there = Store.open(str(tmp_path / "here")), Store.open(address)
    content = read(folder)
    here.add(folder, content)
    here.add_record("fruit", "grow", "key", record_of(content))
    running = {"started": "2026-01-01T00:00:00", "state": "running"}
    here.remember_run("fruit", "run", running)

    copied = upkeep.copy(here, there)

    assert (copied.records, copied.runs, copied.trees) == (1, 1, 1)
    assert copied.files == len({entry.digest for entry in content.files})
    assert copied.left == ()
    assert there.missing([content.reference]) == set()
    again = upkeep.copy(here, there)
    assert (again.files, again.trees, again.records, again.runs) == (0, 0, 0, 0)
    here.remember_run("fruit", "run", {**running, "state": "done"})
    back = Store.open(str(tmp_path / "back"))
    assert upkeep.copy(here, there).runs == 1
    assert upkeep.copy(there, back).records == 1
    assert back.run("run")["state"] == "done"
    assert upkeep.verify(back).removed == ()


@pytest.mark.parametrize("name", ["large", "deep/er/script"])
def test_a_file_that_changes_while_it_is_stored_is_not(
    address: str, folder: Path, name: str
) -> None:
    store = Store.open(address)
    content = read(folder)
    digest = next(e.digest for e in content.entries if e.path == name)
    with (folder / name).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")

    with pytest.raises(StoreError, match=f"{name} was changed while it was stored"):
        store.add(folder, content)

    assert store.objects.size(f"cas/{digest}") is None
    assert store.missing([content.reference]) == {content.reference}
    assert upkeep.verify(store).removed == ()


def test_garbage_goes_from_every_store_and_what_is_relied_on_stays(
    address: str, folder: Path, tmp_path: Path
) -> None:
    store = Store.open(address)
    content = read(folder / "deep")
    store.add(folder / "deep", content)
    store.add_record("fruit", "grow", "kept", record_of(content))
    store.add_record("fruit", "grow", "gone", record_of(content))
    gone, used = store.add_text(b"gone"), store.add_text(b"used")
    steps = {"grow": {"task": "fruit", "step": "grow", "key": "kept"}}
    run = {"started": "2026-01-01T00:00:00+00:00", "state": "done", "steps": steps}
    store.remember_run("fruit", "run", run)
    assert upkeep.collect(store).records == 0

    # As if it were an hour later.
    later = timedelta(hours=-1)
    assert upkeep.collect(store, grace=later, dry_run=True).files == 2
    if not address.startswith("/"):  # a file in a folder is given another time
        store.objects.rely_on([Blob(f"cas/{used[5:]}", used[5:], 4)])
        assert upkeep.collect(store, grace=later).files == 1
        assert store.missing([gone, used]) == {gone}
    upkeep.collect(store, grace=later)
    assert store.missing([gone, used, content.reference]) == {gone, used}
    assert store.keys("fruit", "grow") == {"kept"}
    assert upkeep.verify(store).removed == ()


WRITER = """
import sys
from orchestration.store.store import Store
address, writer = sys.argv[1:]
store = Store.open(address)
won = 0
for number in range(100):
    reference = store.add_text(b"the same for all " * number)
    output = {"reference": reference, "size": 17 * number}
    document = {"outputs": {"out": output}, "finished": "2026", "writer": writer}
    won += store.add_record("race", "step", f"key{number}", document)
print(won)
"""


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_of_eight_writers_of_a_hundred_keys_one_wins_each(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    address = str(tmp_path / "store")
    if kind == "s3":
        address = request.getfixturevalue("s3")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, address, str(number)],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for number in range(8)
    ]
    won = [int(writer.communicate()[0]) for writer in writers]

    assert sum(won) == 100
    store = Store.open(address)
    records = store.records("race", "step")
    assert len(records) == 100
    wins = [[r["writer"] for r in records].count(str(number)) for number in range(8)]
    assert wins == won
    assert upkeep.disk_usage(store)["files"].count == 100
    assert upkeep.verify(store).removed == ()


def test_azure_has_no_such_container(az: str) -> None:
    with pytest.raises(UserError, match="there is no such bucket"):
        Store.open("az://elsewhere/store").add_text(b"one")
    with pytest.raises(UserError, match="there is no such bucket"):
        Store.open("az://elsewhere/store").runs()


@pytest.mark.parametrize("variable", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_wrong_credentials_are_the_users_and_not_shown(
    s3: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "something-wrong")
    with pytest.raises(UserError) as caught:
        Store.open(s3).add_text(b"one")
    assert "credentials" in str(caught.value)
    assert "something-wrong" not in str(caught.value)
