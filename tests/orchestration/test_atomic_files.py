"""Files and folders of the cache appear whole or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from orchestration.atomic_files import make_folder_once, write_atomically


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "folder/file"
    for content in (b"one", b"two"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["file"]


def test_a_folder_that_fails_to_fill_is_no_folder(tmp_path: Path) -> None:
    def fail(new: Path) -> None:
        (new / "half").write_text("")
        raise ValueError

    with pytest.raises(ValueError):
        make_folder_once(tmp_path / "folder", fail)
    assert not (tmp_path / "folder").exists()

    make_folder_once(tmp_path / "folder", lambda new: (new / "whole").touch())
    assert os.listdir(tmp_path / "folder") == ["whole"]


def test_of_many_processes_one_fills_the_folder(tmp_path: Path) -> None:
    def fill(new: Path) -> None:
        with (tmp_path / "filled").open("a") as file:
            file.write("once\n")
        time.sleep(0.2)  # so that the others arrive meanwhile
        (new / "whole").touch()

    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            made = make_folder_once(tmp_path / "folder", fill)
            os._exit(0 if (made / "whole").exists() else 1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert (tmp_path / "filled").read_text() == "once\n"
