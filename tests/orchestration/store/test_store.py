"""A store in a folder: what it writes, what it refuses, what it finds damaged."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import UserError
from orchestration.file_digests import FileDigests
from orchestration.store import upkeep
from orchestration.store.content import Content, read_content
from orchestration.store.errors import CorruptArtifact, StoreError
from orchestration.store.objects import shown_address
from orchestration.store.store import Store
from tests.orchestration.store.crashes import killed_at


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_bytes(b"one")
    (folder / "b").write_bytes(b"two")
    return folder


def read(path: Path) -> Content:
    return read_content(path, FileDigests(Path("/"), None), "inside")


def blob_of(store: Store, data: bytes) -> Path:
    return Path(store.address, "cas", hashlib.sha256(data).hexdigest())


def test_the_layout_is_what_other_tools_can_read(store: Store, folder: Path) -> None:
    content = read(folder)
    store.add(folder, content)
    document = {"outputs": {}, "finished": "2026"}
    store.add_record("fruit/pears", "grow", "key", document)
    started = {"started": "2026-01-02T03:04:05.678901+00:00"}
    store.remember_run("fruit", "id", started)

    root = Path(store.address)
    files = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
    manifest = hashlib.sha256(content.manifest()).hexdigest()
    assert files == {
        f"cas/{hashlib.sha256(b'one').hexdigest()}",
        f"cas/{hashlib.sha256(b'two').hexdigest()}",
        f"trees/{manifest}",
        "records/fruit/pears/grow/key.json",
        "runs/fruit/2026/01/02/030405.678901-id.json",
    }


def test_what_is_restored_is_a_copy(store: Store, folder: Path, tmp_path: Path) -> None:
    content = read(folder)
    store.add(folder, content)
    store.restore(content.reference, tmp_path / "back")

    with (tmp_path / "back/a").open("ab") as file:
        file.write(b"more")

    for path in (folder / "a", tmp_path / "back/a", blob_of(store, b"one")):
        assert path.stat().st_nlink == 1
    assert (folder / "a").read_bytes() == b"one"
    store.restore(content.reference, tmp_path / "again")
    assert read(tmp_path / "again") == content


def test_nothing_is_restored_over_something(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    content = read(folder)
    store.add(folder, content)
    (tmp_path / "link").symlink_to("nowhere")
    for path in (folder, folder / "a", tmp_path / "link"):
        with pytest.raises(UserError, match="is there already"):
            store.restore(content.reference, path)
    assert read(folder) == content
    assert sorted(os.listdir(tmp_path)) == ["folder", "link", "store"]


@pytest.mark.parametrize("change", ["longer", "other", "removed"])
def test_a_file_that_changes_while_it_is_stored_is_not(
    store: Store, folder: Path, change: str
) -> None:
    content = read(folder)
    if change == "removed":
        (folder / "b").unlink()
    else:
        (folder / "b").write_bytes(b"two!" if change == "longer" else b"owt")

    with pytest.raises(StoreError, match="folder/b was changed while it was stored"):
        store.add(folder, content)

    assert store.missing([content.reference]) == {content.reference}
    assert not blob_of(store, b"two").exists()
    assert os.listdir(Path(store.address, "tmp")) == []


def test_a_writer_that_is_killed_anywhere_leaves_all_or_nothing(
    folder: Path, tmp_path: Path
) -> None:
    content = read(folder)
    output = {"reference": content.reference, "size": content.size}
    killed, count = True, 0
    while killed:
        store = Store.open(str(tmp_path / f"store-{count}"))

        def keep(store: Store = store) -> None:
            store.add(folder, content)
            document = {"outputs": {"out": output}, "finished": "2026"}
            store.add_record("fruit", "grow", "key", document)

        killed = killed_at(count, keep)
        record = store.record("fruit", "grow", "key")
        assert record is None or store.missing([content.reference]) == set()
        assert upkeep.verify(store).removed == ()
        keep()
        assert store.record("fruit", "grow", "key") is not None
        store.restore(content.reference, tmp_path / f"back-{count}")
        count += 1
    assert count > 15


@pytest.mark.parametrize("damage", [b"eno", b"on", b"", b"one!"])
def test_a_damaged_file_is_missed_and_stored_again(
    store: Store, folder: Path, tmp_path: Path, damage: bytes
) -> None:
    content = read(folder)
    store.add(folder, content)
    assert store.missing([content.reference]) == set()
    blob_of(store, b"one").write_bytes(damage)

    assert store.missing([content.reference]) == {content.reference}
    assert not blob_of(store, b"one").exists()
    store.add(folder, content)
    assert store.missing([content.reference]) == set()
    blob_of(store, b"one").write_bytes(damage)
    store.add(folder, content)  # what is there is looked at here as well
    store.restore(content.reference, tmp_path / "back")


def test_a_file_is_not_hashed_again_while_its_stat_is_the_same(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = read(folder)
    store.add(folder, content)
    blob = blob_of(store, b"one")
    now = time.time_ns() + 10**10
    monkeypatch.setattr("time.time_ns", lambda: now)
    # However little was hashed.
    monkeypatch.setattr("orchestration.store.folders._WORTH_BYTES", 0)
    assert Store.open(store.address).missing([content.reference]) == set()
    memory = Path(store.address, "verified", f"{blob.name[0]}.json")
    memory.write_text(memory.read_text().replace(f'"{blob.name}"]', f'"{"0" * 64}"]'))

    # What is remembered is used; what it says otherwise is looked at once more.
    store = Store.open(store.address)
    assert store.missing([content.reference]) == set()
    assert blob.read_bytes() == b"one"


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b"[]"])
def test_a_damaged_manifest_is_missed(
    store: Store, folder: Path, tmp_path: Path, damage: bytes
) -> None:
    content = read(folder)
    store.add(folder, content)
    digest = content.reference.removeprefix("tree:")
    Path(store.address, "trees", digest).write_bytes(damage)

    assert store.missing([content.reference]) == {content.reference}
    with pytest.raises(CorruptArtifact, match="is not in the store"):
        store.restore(content.reference, tmp_path / "back")
    store.add(folder, content)
    store.restore(content.reference, tmp_path / "back")


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"outputs": {"out": {"reference": "x"}}}']
)
def test_a_damaged_record_is_none_and_written_again(
    store: Store, damage: bytes
) -> None:
    document = {"outputs": {}, "finished": "2026"}
    store.add_record("fruit", "grow", "key", document)
    Path(store.address, "records/fruit/grow/key.json").write_bytes(damage)

    assert store.record("fruit", "grow", "key") is None
    assert store.records("fruit", "grow") == []
    assert store.add_record("fruit", "grow", "key", document)
    assert store.record("fruit", "grow", "key") == document


@pytest.mark.parametrize("name", ["", "..", "a/../b", ".hidden", "a b", "ä", "/a"])
def test_a_name_that_would_lead_elsewhere_is_refused(store: Store, name: str) -> None:
    with pytest.raises(UserError, match="is no name in a store"):
        store.record(name, "step", "key")
    with pytest.raises(UserError, match="is no name in a store"):
        store.record("task", "step", f"{name}/x")


@pytest.mark.parametrize("reference", ["", "tree:", "tree:../x", "link:" + "0" * 64])
def test_what_is_no_reference_is_refused(store: Store, reference: str) -> None:
    with pytest.raises(UserError, match="names no artifact"):
        store.missing([reference])


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("", "empty"),
        ("s4://bucket", "no stores of the kind s4:"),
        ("s3:///key", "bucket is missing"),
        ("file://host/path", "a folder is file:///"),
        ("s3://name:SECRET@bucket/x", "must not hold credentials"),
        ("az://container/x?sig=SECRET", "must not hold credentials"),
    ],
)
def test_a_wrong_address_is_told_without_its_secret(address: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        Store.open(address)
    assert "SECRET" not in str(caught.value)
    assert "SECRET" not in shown_address(address)


def test_a_folder_may_be_given_as_an_address(tmp_path: Path) -> None:
    assert Store.open(f"file://{tmp_path}").address == str(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="a store is a folder"):
        Store.open(str(tmp_path / "file"))


def test_a_store_in_a_folder_is_there_at_once() -> None:
    # A launcher opens one in every container.
    heavy = ["obstore", "rich", "pydantic", "requests", "docker", "asyncio"]
    script = (
        "import sys; from orchestration.store.store import Store; Store.open('x'); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr
