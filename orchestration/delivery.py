"""Deliver results: what steps have given is put at addresses, for others to take.

``.strata.json`` at an address says what was put there last; it is written after
everything that it names. While files are being written it names none of them by
content, so that whatever is killed meanwhile, the next delivery writes them again, and
removes those that do not belong there any more. Nothing else at the address is touched.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from common.errors import RunError, UserError
from orchestration.atomic_files import write_atomically
from orchestration.store.content import Content, Entry, is_safe_path
from orchestration.store.objects import Objects, open_objects
from orchestration.store.parallel import in_parallel

if TYPE_CHECKING:
    from orchestration.pipelines.planning import Outputs
    from orchestration.pipelines.spec import Pipeline
    from orchestration.store.store import Store

MANIFEST = ".strata.json"
_FORMAT = "delivery/1"
# Stands for the content of a file that is being written: no file has it.
_UNSETTLED = "0" * 64


def deliver(
    pipeline: Pipeline,
    outputs: Mapping[str, Outputs],
    store: Store,
    root: Path,
    tell: Callable[[str], None],
) -> None:
    """Put what steps have given where the pipeline says.

    Args:
        pipeline: Says what is delivered, and where to.
        outputs: What the steps that are done have given; others deliver nothing.
        store: Has it.
        root: What a folder's address is relative to.
        tell: Is told, in a line, what became of each address.

    Raises:
        UserError: An address cannot be written to, or what lies there was not left by
            a delivery.
        RunError: The store or an address fails; the next delivery goes on from there.
    """
    for address, source in sorted(pipeline.deliver.items()):
        if source.step not in outputs:
            continue
        reference = outputs[source.step][source.output]["reference"]
        path = pipeline.steps[source.step].outputs[source.output]
        done = put_artifact(store, reference, PurePosixPath(path).name, address, root)
        tell(f"{source.step}/{source.output} -> {address}: {done}")


def folders(pipeline: Pipeline) -> list[str]:
    """Name the addresses that are folders of one machine."""
    return sorted(address for address in pipeline.deliver if "://" not in address)


@dataclass(frozen=True)
class Delivered:
    """What a delivery did.

    Attributes:
        written: How many files it wrote.
        removed: How many of an earlier one it removed.
        kept: How many were there already.
    """

    written: int
    removed: int
    kept: int

    def __str__(self) -> str:
        """Say it in a few words."""
        if not self.written and not self.removed:
            return f"nothing has changed ({self.kept:,} files)"
        removed = f", {self.removed:,} removed" if self.removed else ""
        kept = f", {self.kept:,} as they were" if self.kept else ""
        return f"{self.written:,} files written{removed}{kept}"


def put_artifact(
    store: Store, reference: str, name: str, address: str, root: Path
) -> Delivered:
    """Put an artifact at an address, in place of what was last put there.

    Args:
        store: Has the artifact.
        reference: The artifact. Empty folders of it are left out.
        name: What it is called there, if it is a file.
        address: A folder, or ``s3://``, ``az://`` or ``gs://`` with a folder.
        root: What a folder's address is relative to.

    Raises:
        UserError: As :func:`deliver`.
        RunError: As :func:`deliver`.
    """
    content = store.content(reference)
    if content.is_file:
        content = Content.joined({name: content})
    wanted = {entry.path: entry for entry in content.files}
    if any(path.partition("/")[0] == MANIFEST for path in wanted):
        raise RunError(
            f"{address}: the result has a file {MANIFEST}, which is what a delivery "
            "leaves; have the step call it otherwise"
        )
    place = _place(address, root, store)
    before = place.get(MANIFEST)
    earlier = {} if before is None else _parse(before, address)
    sizes = place.sizes() if earlier else {}
    kept = {
        path
        for path, entry in wanted.items()
        if earlier.get(path) == entry and sizes.get(path) == entry.size
    }
    new = [entry for path, entry in sorted(wanted.items()) if path not in kept]
    stale = sorted(set(earlier) - set(wanted))
    after = _manifest(reference, wanted.values())
    if new or stale:
        unsettled = {path: _unsettled(path) for path in {*earlier, *wanted} - kept}
        settled = {path: wanted[path] for path in kept}
        place.put(MANIFEST, _manifest(None, {**settled, **unsettled}.values()))
    # Where a folder is now a file, or a file a folder, one makes room for the other.
    blocking = _blocking(stale, wanted)
    place.delete(blocking)
    in_parallel(place.write, new, place.workers)
    place.delete(set(stale) - set(blocking))
    if after != before:
        place.put(MANIFEST, after)
    return Delivered(len(new), len(stale), len(kept))


def _blocking(stale: Iterable[str], wanted: Iterable[str]) -> list[str]:
    paths = set(wanted)
    folders = {str(above) for path in paths for above in PurePosixPath(path).parents}
    return [
        path
        for path in stale
        if path in folders
        or any(str(above) in paths for above in PurePosixPath(path).parents)
    ]


def _manifest(reference: str | None, entries: Iterable[Entry]) -> bytes:
    document = {"format": _FORMAT, "reference": reference, "files": sorted(entries)}
    return (json.dumps(document, sort_keys=True) + "\n").encode()


def _parse(data: bytes, address: str) -> dict[str, Entry]:
    """Read a manifest: the files that are ours, by path."""
    try:
        document = json.loads(data)
        if document["format"] != _FORMAT:
            raise ValueError(document["format"])
        entries = [Entry(*entry) for entry in document["files"]]
        if not all(is_safe_path(entry.path) for entry in entries):
            raise ValueError("a path that leads elsewhere")
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(
            f"{address}/{MANIFEST} was not left by a delivery; move it away, and what "
            "it stands for"
        ) from None
    return {entry.path: entry for entry in entries}


def _unsettled(path: str) -> Entry:
    return Entry(path, "file", _UNSETTLED, 0)


class _Place(ABC):
    """Where files are put by name."""

    workers: int

    @abstractmethod
    def get(self, name: str) -> bytes | None:
        """Give a small file's bytes; None if it is not there."""

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Write a small file."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Give the size of each file that is there, in bytes."""

    @abstractmethod
    def write(self, entry: Entry) -> None:
        """Write a file of the store; it appears whole."""

    @abstractmethod
    def delete(self, names: Iterable[str]) -> None:
        """Remove files, and the folders that are empty without them."""


def _place(address: str, root: Path, store: Store) -> _Place:
    if "://" in address:
        return _Bucket(open_objects(address), store)
    return _Folder(root / address, store)


class _Bucket(_Place):
    """A place in a bucket."""

    def __init__(self, objects: Objects, store: Store) -> None:
        self._objects = objects
        self._store = store
        self.workers = min(objects.workers, store.objects.workers)

    def get(self, name: str) -> bytes | None:
        return self._objects.get(name)

    def put(self, name: str, data: bytes) -> None:
        self._objects.put(name, data)

    def sizes(self) -> dict[str, int]:
        return {found.name: found.size for found in self._objects.list("")}

    def write(self, entry: Entry) -> None:
        with tempfile.TemporaryDirectory(prefix="strata-deliver-") as scratch:
            self._store.send(entry, self._objects, entry.path, Path(scratch))

    def delete(self, names: Iterable[str]) -> None:
        self._objects.delete(sorted(names))


class _Folder(_Place):
    """A folder of this machine."""

    def __init__(self, root: Path, store: Store) -> None:
        self._root = root
        self._store = store
        self.workers = store.objects.workers

    def get(self, name: str) -> bytes | None:
        with self._told():
            try:
                return (self._root / name).read_bytes()
            except FileNotFoundError:
                return None

    def put(self, name: str, data: bytes) -> None:
        with self._told():
            write_atomically(self._root / name, data)

    def sizes(self) -> dict[str, int]:
        with self._told():
            return {
                str(path.relative_to(self._root)): path.stat().st_size
                for path in self._root.rglob("*")
                if path.is_file()
            }

    def write(self, entry: Entry) -> None:
        target = self._root / entry.path
        new = target.with_name(f".strata-{secrets.token_hex(8)}")
        with self._told():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._store.write_file(entry, new)
                os.replace(new, target)
            finally:
                new.unlink(missing_ok=True)

    def delete(self, names: Iterable[str]) -> None:
        with self._told():
            for name in sorted(names):
                path = self._root / name
                try:
                    path.unlink()
                except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                    continue  # one that broke off has removed it
                for above in path.relative_to(self._root).parents[:-1]:
                    try:
                        (self._root / above).rmdir()
                    except OSError:
                        break  # it holds something else

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in a line what the file system says."""
        try:
            yield
        except OSError as error:
            problem = f"{error.filename or self._root}: {error.strerror}"
            if isinstance(
                error,
                (
                    FileExistsError,
                    IsADirectoryError,
                    NotADirectoryError,
                    PermissionError,
                ),
            ):
                raise UserError(f"{problem}; nothing can be delivered there") from None
            raise RunError(problem) from None
