"""What artifacts are made of: files under names, with their digests.

Owner, group, times and all of the mode but the owner's executable bit are no part of
it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from common.errors import UserError
from orchestration.file_digests import FileDigests
from orchestration.store.parallel import in_parallel

Kind = Literal["file", "executable", "folder"]
Links = Literal["followed", "inside"]

# The folders around one, by device and inode; one to read, with its path and place.
_Folders = frozenset[tuple[int, int]]
_Folder = tuple[str, str, _Folders]

_FORMAT = "tree/1"
_DIGEST = re.compile(r"[0-9a-f]{64}")
# SHA-256 is the processors' work; more threads than these only wait.
_HASHERS = 4


# Tuples, as there are many of them: they are made four times as fast.
class Entry(NamedTuple):
    """A file, or a folder that is empty.

    Attributes:
        path: Where it is, relative, with slashes; empty for an artifact that is a file.
        kind: What it is. A folder that is not empty is named by what is in it.
        digest: The SHA-256 of its bytes; empty for a folder.
        size: Its bytes.
    """

    path: str
    kind: Kind
    digest: str
    size: int


@dataclass(frozen=True)
class Content:
    """What an artifact is made of.

    Attributes:
        entries: By path, sorted; a single one without a path for a file.
    """

    entries: tuple[Entry, ...]

    @cached_property
    def reference(self) -> str:
        """The artifact's name in the store: its kind, and the digest of its content."""
        if self.is_file:
            return f"{self.entries[0].kind}:{self.entries[0].digest}"
        return f"tree:{hashlib.sha256(self.manifest()).hexdigest()}"

    @property
    def is_file(self) -> bool:
        """Whether it is a single file, and no folder."""
        return len(self.entries) == 1 and not self.entries[0].path

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(entry.size for entry in self.entries)

    @property
    def files(self) -> tuple[Entry, ...]:
        """The entries that have bytes."""
        return tuple(entry for entry in self.entries if entry.kind != "folder")

    def manifest(self) -> bytes:
        """Give what a folder is stored as: canonical JSON."""
        document = {"format": _FORMAT, "entries": self.entries}
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    def items(self) -> dict[str, Content]:
        """Give what lies directly in a folder, by name, each as its own content."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            name, _, rest = entry.path.partition("/")
            inside = found.setdefault(name, [])
            if rest or entry.kind != "folder":
                inside.append(Entry(rest, entry.kind, entry.digest, entry.size))
        return {name: _sorted(found[name]) for name in sorted(found) if name}

    @classmethod
    def joined(cls, parts: Mapping[str, Content]) -> Content:
        """Give the folder that has these under these names.

        Raises:
            ValueError: A name is none that a file in a folder can have.
        """
        entries: list[Entry] = []
        for name, part in parts.items():
            if "/" in name or not is_safe_path(name):
                raise ValueError(f"{name!r} is no name of a file")
            if not part.entries:
                entries.append(Entry(name, "folder", "", 0))
            for entry in part.entries:
                path = f"{name}/{entry.path}" if entry.path else name
                entries.append(Entry(path, entry.kind, entry.digest, entry.size))
        return _sorted(entries)

    @classmethod
    def parse(cls, manifest: bytes) -> Content:
        """Read what :meth:`manifest` wrote.

        Raises:
            ValueError: It is damaged, or has a path that would lead out of the folder.
        """
        try:
            document = json.loads(manifest)
            if document["format"] != _FORMAT:
                raise ValueError(f"a manifest of the format {document['format']!r}")
            entries = tuple(map(Entry._make, document["entries"]))
            folders = {""}
            for entry in entries:
                _check(entry)
                parent = entry.path.rpartition("/")[0]
                while parent not in folders:
                    folders.add(parent)
                    parent = parent.rpartition("/")[0]
            paths = {entry.path for entry in entries}
            content = cls(entries)
            # The same bytes as ours, too: one folder has one name.
            if paths & folders or content.manifest() != manifest:
                raise ValueError("a manifest that is not canonical")
            if list(entries) != sorted(entries):
                raise ValueError("a manifest that is not sorted")
            if len(paths) != len(entries):
                raise ValueError("a manifest with a path twice")
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"a damaged manifest: {error!r}") from None
        return content


def read_content(path: Path, digests: FileDigests, links: Links) -> Content:
    """Read what a file or folder is made of.

    Args:
        path: The file or folder.
        digests: Spares the hashing of files that have not changed. Their names are the
            absolute paths.
        links: What becomes of symbolic links. ``followed``, for what a step reads:
            what they lead to counts. ``inside``, for what it wrote: one that leads to
            something in the folder is stored as that, any other is refused.

    Raises:
        UserError: There is something that cannot be stored: a link that leads nowhere,
            around or (inside) elsewhere, a socket, a device, a FIFO, a name that is
            not UTF-8.
    """
    reader = _Reader(path, links)
    reader.read()
    known: list[Entry] = []
    unknown: list[_File] = []
    for file in reader.files:
        path_inside, source, status = file
        digest = digests.recall(source, status)
        if digest is None:
            unknown.append(file)
        else:
            known.append(Entry(path_inside, _kind(status), digest, status.st_size))

    def read(file: _File) -> Entry:
        try:
            digest = digests.learn(file.source, file.status, reader.begun)
        except FileNotFoundError:
            raise UserError(f"{file.source} was removed while it was read") from None
        return Entry(file.path, _kind(file.status), digest, file.status.st_size)

    # Large ones first, so that no thread is left with one at the end.
    unknown.sort(key=lambda file: -file.status.st_size)
    known += in_parallel(read, unknown, _HASHERS)
    known += [Entry(path, "folder", "", 0) for path in reader.empty]
    return _sorted(known)


class _File(NamedTuple):
    """A file to read: its path in the artifact, where it is, and what stat said."""

    path: str
    source: str
    status: os.stat_result


class _Reader:
    """Lists a folder's files."""

    def __init__(self, path: Path, links: Links) -> None:
        self.files: list[_File] = []
        self.empty: list[str] = []
        # Before any stat: what is written later has a later time.
        self.begun = time.time_ns()
        self._top = os.path.abspath(path)
        self._real = os.path.realpath(self._top)
        self._inside = links == "inside"

    def read(self) -> None:
        try:
            if self._inside and os.path.islink(self._top):
                raise UserError(f"{self._top} is a link; write a file or a folder")
            status = os.stat(self._top)
        except OSError as error:
            raise UserError(f"{self._top}: {error.strerror}") from None
        if not stat.S_ISDIR(status.st_mode):
            self._add_file("", self._top, status)
            return
        folders = [("", self._top, frozenset({(status.st_dev, status.st_ino)}))]
        while folders:
            folders += self._read_folder(*folders.pop())

    def _read_folder(self, path: str, source: str, above: _Folders) -> list[_Folder]:
        """List a folder's files, and give the folders in it."""
        try:
            with os.scandir(source) as scanned:
                found = list(scanned)
        except FileNotFoundError:
            raise UserError(f"{source} was removed while it was read") from None
        if path and not found:
            self.empty.append(path)
        prefix = f"{path}/" if path else ""
        folders = []
        for entry in found:
            name, where = entry.name, entry.path
            if not name.isascii():
                _check_name(where)
            if self._inside and entry.is_symlink():
                where = self._target(where)
            status = self._stat(entry, where)
            if stat.S_ISREG(status.st_mode):
                self.files.append(_File(prefix + name, where, status))
            elif stat.S_ISDIR(status.st_mode):
                identity = (status.st_dev, status.st_ino)
                if identity in above:
                    raise UserError(f"{entry.path} is a link to a folder around it")
                folders.append((prefix + name, where, above | {identity}))
            else:
                self._add_file(prefix + name, where, status)
        return folders

    def _stat(self, entry: os.DirEntry[str], where: str) -> os.stat_result:
        try:
            return entry.stat() if where == entry.path else os.stat(where)
        except OSError as error:
            if entry.is_symlink():
                raise UserError(
                    f"{entry.path} is a link that leads nowhere: {error.strerror}"
                ) from None
            raise UserError(f"{entry.path}: {error.strerror}") from None

    def _target(self, link: str) -> str:
        try:
            target = os.path.realpath(link, strict=True)
        except OSError as error:
            raise UserError(
                f"{link} is a link that leads nowhere: {error.strerror}"
            ) from None
        if not f"{target}/".startswith(f"{self._real}/"):
            raise UserError(
                f"{link} is a link to {target}, which is not in the folder; write the "
                "file itself"
            )
        return target

    def _add_file(self, path: str, source: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            kinds = {stat.S_IFSOCK: "a socket", stat.S_IFIFO: "a FIFO"}
            kind = kinds.get(stat.S_IFMT(status.st_mode), "a device")
            raise UserError(f"{source} is {kind}; only files can be stored")
        self.files.append(_File(path, source, status))


def _kind(status: os.stat_result) -> Kind:
    return "executable" if status.st_mode & stat.S_IXUSR else "file"


def _sorted(entries: list[Entry]) -> Content:
    return Content(tuple(sorted(entries)))


def _check_name(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise UserError(f"{shown}: the name is not UTF-8; give it another") from None


def _check(entry: Entry) -> None:
    if not is_safe_path(entry.path):
        raise ValueError(f"the path {entry.path!r} in a manifest")
    if type(entry.size) is not int or entry.size < 0:
        raise ValueError(f"{entry.path}: the size {entry.size!r} in a manifest")
    if entry.kind == "folder":
        if entry.digest or entry.size:
            raise ValueError(f"{entry.path}: a folder with bytes in a manifest")
    elif entry.kind not in ("file", "executable"):
        raise ValueError(f"{entry.path}: the kind {entry.kind!r} in a manifest")
    elif not _DIGEST.fullmatch(entry.digest):
        raise ValueError(f"{entry.path}: the digest {entry.digest!r} in a manifest")


def is_safe_path(path: str) -> bool:
    """Whether a path leads to somewhere below the folder that it is relative to."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in path and not {"", ".", ".."} & set(path.split("/"))
