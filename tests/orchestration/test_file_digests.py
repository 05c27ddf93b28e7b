"""Digests that are remembered are those that hashing would give."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from orchestration.file_digests import FileDigests

LONG_AGO = 1_000_000_000


def digest(root: Path, name: str = "file") -> str:
    """Ask as a command does: read what is remembered, and remember what was learnt."""
    digests = FileDigests(root, root / "memory.json")
    found = digests.digest(name)
    digests.save()
    return found


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def remembered(root: Path) -> list[str]:
    try:
        return list(json.loads((root / "memory.json").read_text())["files"])
    except FileNotFoundError:
        return []


def test_a_file_that_was_just_written_is_hashed_each_time(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content in (b"one", b"two", b"six"):
        # The same length, and where clocks tick coarsely the same times.
        file.write_bytes(content)
        assert digest(tmp_path) == sha256(content)
    assert remembered(tmp_path) == []


def test_only_a_file_of_another_stat_is_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"one")
    # As if what follows happened long after the file was written.
    now = file.stat().st_ctime_ns + 10 * LONG_AGO
    monkeypatch.setattr("time.time_ns", lambda: now)
    assert digest(tmp_path) == sha256(b"one")
    assert remembered(tmp_path) == ["file"]

    # What is remembered is used, even if it were wrong.
    memory = tmp_path / "memory.json"
    memory.write_text(memory.read_text().replace(sha256(b"one"), "0" * 64))
    assert digest(tmp_path) == "0" * 64

    # Another time of modification, size or file is seen.
    os.utime(file, ns=(LONG_AGO, LONG_AGO))
    assert digest(tmp_path) == sha256(b"one")
    file.write_bytes(b"three")
    assert digest(tmp_path) == sha256(b"three")
    other = tmp_path / "other"
    other.write_bytes(b"seven")
    other.replace(file)
    assert digest(tmp_path) == sha256(b"seven")


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": "other", "files": {}}'])
def test_a_damaged_memory_counts_as_empty(tmp_path: Path, damage: str) -> None:
    (tmp_path / "file").write_bytes(b"one")
    (tmp_path / "memory.json").write_text(damage)
    assert digest(tmp_path) == sha256(b"one")


def test_a_link_is_what_it_points_to_and_not_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").symlink_to("elsewhere")
    assert digest(tmp_path) == sha256(b"elsewhere")


def test_the_tree_has_files_and_their_executable_bit(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"one")
    (tmp_path / "script").write_bytes(b"two")
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "folder").mkdir()
    digests = FileDigests(tmp_path, tmp_path / "memory.json")

    found = digests.tree(["plain", "script", "folder", "gone", "plain/inside"])

    assert found == {"plain": (sha256(b"one"), False), "script": (sha256(b"two"), True)}


def test_what_another_has_remembered_meanwhile_is_kept(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    memory = tmp_path / "memory.json"
    first, second = FileDigests(tmp_path, memory), FileDigests(tmp_path, memory)
    # Long after they were written.
    now = time.time_ns() + 10**10
    for digests, name in ((first, "one"), (second, "two")):
        digests.learn(name, (tmp_path / name).stat(), now)
        digests.save()

    assert sorted(remembered(tmp_path)) == ["one", "two"]
