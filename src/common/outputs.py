"""Output folders that appear whole or not at all.

A run writes into a hidden folder beside its destination, which takes the destination's
place when the run has ended well. Beside the results it leaves ``run.json``: which
program wrote the folder, with which arguments and versions, how long it took, and the
files. By it a later run knows that the folder may be replaced.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.json_files import read_json, write_json

RUN_FILE = "run.json"
_FORMAT = "run/1"
_NEW, _OLD = ".new", ".old"
# File browsers leave these; they are nobody's work.
_CLUTTER = frozenset({".DS_Store", "Thumbs.db"})


@dataclass(frozen=True)
class Run:
    """Who writes an output folder.

    Attributes:
        program: The command's name. Only the same program replaces the folder.
        arguments: Its arguments, as JSON values.
        packages: Distributions whose versions are worth knowing, where installed.
    """

    program: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    packages: Sequence[str] = ()


def check_output_folder(path: Path, program: str) -> None:
    """Check that a run of a program could write its output folder, writing nothing.

    Args:
        path: The output folder of the run.
        program: The program's name.

    Raises:
        UserError: The path is a file, a folder that holds something else than an
            earlier run of the program, or lies where nothing can be written.
    """
    _check_replaceable(path, program)
    if os.path.ismount(path):
        raise UserError(
            f"output path {path} is a mount point, which cannot be replaced; "
            "choose a folder below it"
        )
    parent = _resolved(path).parent
    while not os.path.lexists(parent):  # also where a parent of it is a file
        parent = parent.parent
    if not parent.is_dir():
        raise UserError(f"output path {path} cannot be written: {parent} is a file")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"output path {path} cannot be written: no access to {parent}")


@contextmanager
def output_folder(path: Path, run: Run) -> Iterator[Path]:
    """Collect a run's outputs in a hidden folder, and put it in place at the end.

    When the block raises, whatever it raises, the hidden folder is removed and the
    destination stays as it was. What a killed run left is put right by the next run to
    the same path: its unfinished folder is removed, and a finished one that it had
    moved aside is moved back. Folders of runs that are still alive are left alone. When
    two runs write to one path, the one that ends last stays.

    Args:
        path: Where the outputs are to appear. Missing parents are made.
        run: Who writes them.

    Yields:
        An empty folder to write to.

    Raises:
        UserError: As :func:`check_output_folder`; before the block runs, or after it if
            something else has appeared at the destination meanwhile. Then the outputs
            are kept in a folder beside it, which the message names.
    """
    check_output_folder(path, run.program)
    destination = _resolved(path)
    start = time.monotonic()
    with ExitStack() as stack:
        try:
            stack.enter_context(_parents(destination.parent))
            _clean(destination)
            folder, handle = _claim_folder(destination)
        except OSError as error:
            problem = error.strerror
            raise UserError(
                f"output path {path} cannot be written: {problem}"
            ) from None
        stack.callback(os.close, handle)
        try:
            yield folder
            _write_run_file(folder, run, time.monotonic() - start)
            _synchronise(folder)
            try:
                _check_replaceable(path, run.program)
                _put_in_place(folder, destination)
            except (UserError, OSError) as error:
                kept = _keep_aside(folder, destination)
                raise UserError(f"{error}; this run's output is in {kept}") from None
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _resolved(path: Path) -> Path:
    # A link to a folder elsewhere: that folder is replaced, not the link.
    return Path(os.path.realpath(path))


def _check_replaceable(path: Path, program: str) -> None:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UserError(
            f"output path {path} cannot be written: {error.strerror}"
        ) from None
    if not stat.S_ISDIR(mode):
        raise UserError(f"output path {path} is a file; choose another --output_path")
    try:
        names = set(os.listdir(path))
    except OSError as error:
        raise UserError(
            f"output path {path} cannot be read: {error.strerror}"
        ) from None
    if names <= _CLUTTER:
        return
    try:
        earlier = read_json(path / RUN_FILE)
    except UserError:
        earlier = {}
    if earlier.get("format") != _FORMAT:
        raise UserError(
            f"output path {path} holds files that no run wrote; "
            "choose another --output_path, or move them away"
        )
    if earlier.get("program") != program:
        raise UserError(
            f"output path {path} holds the output of {earlier.get('program')}; "
            "choose another --output_path"
        )
    written = {RUN_FILE, *map(str, earlier.get("files", []))}
    added = sorted(_files(path) - _CLUTTER - written)
    if added:
        raise UserError(
            f"output path {path} holds {added[0]}, which no run wrote; "
            "move it away, or choose another --output_path"
        )


def _files(folder: Path) -> set[str]:
    """Name everything below a folder that is not a folder, relative to it."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


@contextmanager
def _parents(parent: Path) -> Iterator[None]:
    """Make missing parent folders; remove them again if the block fails."""
    missing = [p for p in (parent, *parent.parents) if not os.path.lexists(p)]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in missing:
            with suppress(OSError):  # missing still, or in use by another run
                folder.rmdir()
        raise


def _claim_folder(destination: Path) -> tuple[Path, int]:
    """Make a folder beside the destination and lock it.

    The lock is what tells a folder in use from one that a killed run left: the kernel
    drops it with the process.

    Returns:
        The folder, and the handle that holds the lock until it is closed.
    """
    while True:
        folder = _sibling(destination, _NEW)
        folder.mkdir()
        # From here until it is locked, another run may take the folder for a leftover.
        with suppress(FileNotFoundError):
            handle = os.open(folder, os.O_RDONLY)
            with suppress(FileNotFoundError):
                if _lock(handle) is not False and os.path.samestat(
                    os.fstat(handle), folder.stat()
                ):
                    return folder, handle
            os.close(handle)


def _clean(destination: Path) -> None:
    """Put right what killed runs left beside the destination."""
    for old in _siblings(destination, _OLD):
        if not os.path.lexists(destination):
            # Killed between moving the old folder aside and the new one in.
            with suppress(OSError):
                old.rename(destination)
        else:
            shutil.rmtree(old, ignore_errors=True)
    for folder in _siblings(destination, _NEW):
        with suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                if _lock(handle):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def _put_in_place(folder: Path, destination: Path) -> None:
    while True:
        old = _sibling(destination, _OLD)
        try:
            with suppress(FileNotFoundError):
                destination.rename(old)
            folder.rename(destination)
        except BaseException as error:
            if old.exists() and not os.path.lexists(destination):
                old.rename(destination)
            if getattr(error, "errno", None) in (errno.ENOTEMPTY, errno.EEXIST):
                continue  # another run put its folder there between the two renames
            raise
        _synchronise_folder(destination.parent)
        shutil.rmtree(old, ignore_errors=True)
        return


def _keep_aside(folder: Path, destination: Path) -> Path:
    """Give a finished folder that cannot take its place a name of its own."""
    kept = destination.with_name(f"{destination.name}-{secrets.token_hex(4)}")
    folder.rename(kept)
    return kept


def _sibling(destination: Path, suffix: str) -> Path:
    return destination.with_name(f".{destination.name}.{secrets.token_hex(8)}{suffix}")


def _siblings(destination: Path, suffix: str) -> list[Path]:
    ours = re.compile(rf"\.{re.escape(destination.name)}\.[0-9a-f]{{16}}{suffix}")
    return sorted(
        path for path in destination.parent.iterdir() if ours.fullmatch(path.name)
    )


def _lock(handle: int) -> bool | None:
    """Lock a folder: True if done, False if another has it, None without locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _write_run_file(folder: Path, run: Run, seconds: float) -> None:
    versions = {}
    for name in sorted(run.packages):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    write_json(
        folder / RUN_FILE,
        {
            "format": _FORMAT,
            "program": run.program,
            "arguments": dict(run.arguments),
            "versions": {"python": platform.python_version(), **versions},
            "seconds": round(seconds, 3),
            "files": sorted(_files(folder)),
        },
    )


def _synchronise(folder: Path) -> None:
    """Have the bytes on disk before the rename, lest a power cut leave empty files."""
    for name in sorted(_files(folder)):
        with suppress(OSError), (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    _synchronise_folder(folder)


def _synchronise_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot
            os.fsync(handle)
    finally:
        os.close(handle)
