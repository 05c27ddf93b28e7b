"""What an artifact is made of is read, named and taken apart as it is."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from orchestration.file_digests import FileDigests
from orchestration.store.content import Content, Entry, Links, read_content

DIGEST = hashlib.sha256(b"one").hexdigest()


def read(path: Path, links: Links = "followed") -> Content:
    return read_content(path, FileDigests(Path("/"), None), links)


def paths(content: Content) -> list[str]:
    return [entry.path for entry in content.entries]


def test_a_folder_is_its_files_and_what_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/none/in it").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(b"one")
    (tmp_path / "a-").write_bytes(b"one")
    (tmp_path / "script").write_bytes(b"one")
    (tmp_path / "script").chmod(0o700)

    content = read(tmp_path)

    assert content.entries == (
        Entry("a-", "file", DIGEST, 3),
        Entry("a/b/file", "file", DIGEST, 3),
        Entry("a/none/in it", "folder", "", 0),
        Entry("script", "executable", DIGEST, 3),
    )
    assert (content.size, len(content.files)) == (9, 3)
    assert Content.parse(content.manifest()) == content
    assert read(tmp_path / "a-").reference == f"file:{DIGEST}"
    assert read(tmp_path / "script").reference == f"executable:{DIGEST}"


def test_a_folder_has_the_name_of_its_canonical_manifest(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"one")
    manifest = (
        f'{{"entries":[["file","file","{DIGEST}",3]],"format":"tree/1"}}'.encode()
    )

    assert read(tmp_path).manifest() == manifest
    digest = hashlib.sha256(manifest).hexdigest()
    assert read(tmp_path).reference == f"tree:{digest}"


def test_an_empty_folder_is_one(tmp_path: Path) -> None:
    content = read(tmp_path)

    assert content.entries == ()
    assert content.reference.startswith("tree:")
    assert Content.parse(content.manifest()) == content


def test_items_are_what_they_are_by_themselves(tmp_path: Path) -> None:
    (tmp_path / "folder/deep").mkdir(parents=True)
    (tmp_path / "folder/deep/file").write_bytes(b"one")
    (tmp_path / "folder/empty").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"one")

    content = read(tmp_path)

    alone = {path.name: read(path) for path in sorted(tmp_path.iterdir())}
    assert content.items() == alone
    assert Content.joined(alone) == content
    with pytest.raises(ValueError):
        Content.joined({"a/b": content})
    with pytest.raises(ValueError):
        Content.joined({"..": content})


names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1
).filter(lambda name: name not in (".", ".."))
files = st.builds(
    lambda kind, size, data: Content(
        (Entry("", kind, hashlib.sha256(data).hexdigest(), size),)
    ),
    st.sampled_from(["file", "executable"]),
    st.integers(0, 2**60),
    st.binary(max_size=2),
)
folders = st.recursive(
    files,
    lambda parts: st.dictionaries(names, parts, max_size=4).map(Content.joined),
    max_leaves=12,
)


@given(st.dictionaries(names, folders, max_size=5))
def test_joining_parsing_and_taking_apart_undo_each_other(
    parts: dict[str, Content],
) -> None:
    content = Content.joined(parts)

    assert content.items() == parts
    assert Content.parse(content.manifest()) == content
    assert list(content.entries) == sorted(content.entries)


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/", "./a", "a\0b", "\ud800"],
)
def test_a_path_that_leads_elsewhere_is_damage(path: str) -> None:
    manifest = Content((Entry(path, "file", DIGEST, 1),)).manifest()
    with pytest.raises(ValueError):
        Content.parse(manifest)


@pytest.mark.parametrize(
    "entries",
    [
        [["a", "file", DIGEST]],
        [["a", "file", DIGEST[1:], 1]],
        [["a", "link", DIGEST, 1]],
        [["a", "file", DIGEST, -1]],
        [["a", "file", DIGEST, True]],
        [["a", "file", DIGEST, "1"]],
        [["a", "folder", DIGEST, 0]],
        [["a", "file", DIGEST, 1], ["a", "file", DIGEST, 2]],
        [["b", "file", DIGEST, 1], ["a", "file", DIGEST, 1]],
        [["a", "file", DIGEST, 1], ["a/b", "file", DIGEST, 1]],
        [["a", "folder", "", 0], ["a/b", "file", DIGEST, 1]],
        [[["a"], "file", DIGEST, 1]],
        7,
    ],
)
def test_a_damaged_manifest_is_told(entries: object) -> None:
    document = {"format": "tree/1", "entries": entries}
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(ValueError):
        Content.parse(canonical)


@given(st.binary(max_size=60))
def test_any_other_bytes_are_no_manifest(data: bytes) -> None:
    with pytest.raises(ValueError):
        Content.parse(data)


def test_a_manifest_that_is_not_canonical_is_told() -> None:
    with pytest.raises(ValueError):
        Content.parse(b'{"entries": [], "format": "tree/1"}')
    with pytest.raises(ValueError):
        Content.parse(b'{"entries":[],"format":"tree/2"}')


def test_what_is_read_follows_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep/file").write_bytes(b"one")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").symlink_to(outside / "deep/file")
    (folder / "deep").symlink_to(outside / "deep")
    (tmp_path / "link").symlink_to(folder)

    assert paths(read(folder)) == ["deep/file", "file"]
    assert read(tmp_path / "link") == read(folder)
    (outside / "deep/file").write_bytes(b"two")
    assert {e.digest for e in read(folder).entries} == {
        hashlib.sha256(b"two").hexdigest()
    }


def test_what_was_written_may_link_to_what_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "epoch-1").mkdir(parents=True)
    (folder / "epoch-1/weights").write_bytes(b"one")
    (folder / "latest").symlink_to("epoch-1")
    (folder / "weights").symlink_to("latest/weights")

    content = read(folder, "inside")

    assert paths(content) == ["epoch-1/weights", "latest/weights", "weights"]
    assert {entry.digest for entry in content.entries} == {DIGEST}


@pytest.mark.parametrize("target", ["../elsewhere", "/etc/hostname", "../folder-2"])
def test_what_was_written_must_not_link_elsewhere(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "elsewhere").touch()
    (tmp_path / "folder-2").touch()
    (folder / "link").symlink_to(target)

    with pytest.raises(UserError, match="folder/link is a link"):
        read(folder, "inside")
    with pytest.raises(UserError, match="folder/link is a link"):
        read(folder / "link", "inside")


@pytest.mark.parametrize("links", ["followed", "inside"])
@pytest.mark.parametrize("target", ["gone", "link", ".", "../deep"])
def test_a_link_that_leads_nowhere_or_around_is_told(
    tmp_path: Path, links: Links, target: str
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/link").symlink_to(target)

    with pytest.raises(UserError, match="deep/link is a link"):
        read(tmp_path, links)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe is a FIFO"):
        read(tmp_path)
    with pytest.raises(UserError, match="pipe is a FIFO"):
        read(tmp_path / "pipe")
    (tmp_path / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(UserError, match="socket is a socket"):
            read(tmp_path)
    with pytest.raises(UserError, match="/dev/null is a device"):
        read(Path("/dev/null"))
    with pytest.raises(UserError, match="gone: No such file"):
        read(tmp_path / "gone")


def test_a_name_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).touch()
    with pytest.raises(UserError, match=r"caf\\xe9: the name is not UTF-8"):
        read(tmp_path)


def test_only_what_may_have_changed_is_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, memory = tmp_path / "folder", tmp_path / "memory.json"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(b"one")
    (folder / "link").symlink_to("a")
    # As if what follows happened long after the files were written.
    now = (folder / "b").stat().st_ctime_ns + 10**10
    monkeypatch.setattr("time.time_ns", lambda: now)

    def again() -> dict[str, str]:
        digests = FileDigests(Path("/"), memory)
        content = read_content(folder, digests, "followed")
        digests.save()
        return {entry.path: entry.digest for entry in content.entries}

    assert set(again().values()) == {DIGEST}
    memory.write_text(memory.read_text().replace(DIGEST, "0" * 64))
    assert set(again().values()) == {"0" * 64}
    (folder / "a").write_bytes(b"two")
    two = hashlib.sha256(b"two").hexdigest()
    assert again() == {"a": two, "b": "0" * 64, "link": two}
