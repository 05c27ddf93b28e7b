"""Files and folders of the cache that appear whole or not at all."""

from __future__ import annotations

import fcntl
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under another name, then give it its own.

    Args:
        path: The file. Missing parents are made; a file that is there is replaced.
        content: Its bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        # Not by tempfile, whose files nobody else may read.
        with new.open("xb") as file:
            file.write(content)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def make_folder_once(path: Path, fill: Callable[[Path], None]) -> Path:
    """Make a folder unless it is there; a second process waits for the first.

    Args:
        path: The folder. Missing parents are made.
        fill: Fills an empty folder, which then takes the path's name. What it leaves
            when it fails or is killed is removed.

    Returns:
        The path.
    """
    if path.is_dir():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_name(f".{path.name}.lock")):
        if path.is_dir():
            return path
        new = path.with_name(f".{path.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        try:
            fill(new)
            new.rename(path)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel drops with the process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
