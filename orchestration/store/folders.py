"""Objects that are files in a folder.

They are written under another name, made durable, and renamed. obstore's local store
renames as well, but neither makes them durable nor checks a file while it copies it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from errno import EMLINK, ENOSYS, ENOTSUP, EOPNOTSUPP, EPERM
from pathlib import Path

from common.errors import UserError
from orchestration.file_digests import FileDigests
from orchestration.store.errors import StoreError
from orchestration.store.objects import Blob, Found, Objects, WrongBytes
from orchestration.store.parallel import in_parallel

# linux/fs.h: share a file's blocks until one of the two is written.
_FICLONE = 0x40049409
_CHUNK = 1 << 20
_UNFINISHED = "tmp"
_LOCK = "lock"
_VERIFIED = "verified"
_DAY_SECONDS = 24 * 3600
# Well within the time for which garbage is kept.
_RECENT_SECONDS = 1200
# To hash so much again is as fast as to remember that it was hashed: writing a file
# takes as long as hashing some, and to open one as long as hashing a piece.
_WORTH_BYTES = 4 << 20
_OPENING_BYTES = 64 << 10
# A file system without hard links says one of these.
_NO_LINKS = (EMLINK, ENOSYS, ENOTSUP, EOPNOTSUPP, EPERM)


class FolderObjects(Objects):
    """Objects in a folder, which is made when something is first written.

    Args:
        root: The folder.
    """

    # Of more, the interpreter's lock makes less. The disk takes several files at once.
    workers = 4

    def __init__(self, root: Path) -> None:
        self.root = root
        self.address = self._path = str(root)
        # What was found sound is known for as long as this object lives.
        self._memories: dict[str, FileDigests] = {}
        self._unsaved = 0
        if root.exists() and not root.is_dir():
            raise UserError(f"{root} is a file; a store is a folder")

    def get(self, name: str) -> bytes | None:
        with self._told():
            try:
                return (self.root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def put(self, name: str, data: bytes) -> None:
        with self._told(), self._unfinished() as new:
            _write(new, data)
            os.replace(new, self._place(name))
            _make_durable((self.root / name).parent)

    def create(self, name: str, data: bytes) -> bool:
        with self._told(), self._unfinished() as new:
            _write(new, data)
            path = self._place(name)
            try:
                os.link(new, path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                if not self._rename_alone(new, path):
                    return False
            _make_durable(path.parent)
        return True

    def size(self, name: str) -> int | None:
        with self._told():
            try:
                status = os.stat(self.root / name)
            except (FileNotFoundError, NotADirectoryError):
                return None
            return status.st_size if stat.S_ISREG(status.st_mode) else None

    def list(self, prefix: str) -> Iterator[Found]:
        folders = [prefix]
        while folders:
            folder = folders.pop()
            with self._told():
                try:
                    with os.scandir(self.root / folder) as scanned:
                        found = list(scanned)
                except (FileNotFoundError, NotADirectoryError):
                    continue
            for entry in found:
                name = f"{folder}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                    continue
                try:
                    status = entry.stat()
                except OSError:
                    continue  # deleted meanwhile
                yield Found(name, status.st_size, status.st_mtime)

    def delete(self, names: Iterable[str]) -> None:
        with self._told():
            for name in names:
                (self.root / name).unlink(missing_ok=True)

    def upload(self, source: Path, blob: Blob, moved: Callable[[int], None]) -> None:
        if not source.exists():
            raise WrongBytes(blob.name)
        with self._told(), self._unfinished() as new:
            if _copy(str(source), str(new), 0o644, moved, durable=True) != (
                blob.digest,
                os.stat(new).st_size if blob.size is None else blob.size,
            ):
                raise WrongBytes(blob.name)
            os.replace(new, self._place(blob.name))

    def download(
        self, blob: Blob, target: Path, mode: int, moved: Callable[[int], None]
    ) -> None:
        source = f"{self._path}/{blob.name}"
        try:
            digest, _ = _copy(source, str(target), mode, moved, durable=False)
        except FileNotFoundError as error:
            # The folder around the target is the caller's.
            if error.filename == source:
                raise WrongBytes(blob.name) from None
            raise
        if digest != blob.digest:
            raise WrongBytes(blob.name)

    def sound(self, blobs: Sequence[Blob]) -> set[str]:
        begun = time.time_ns()
        memories = self._memories
        sound: set[str] = set()
        doubtful: list[tuple[Blob, os.stat_result]] = []
        for blob in blobs:
            digits = blob.digest[:1]
            if digits not in memories:
                memory = self.root / _VERIFIED / f"{digits}.json"
                memories[digits] = FileDigests(self.root, memory)
            try:
                status = os.stat(f"{self._path}/{blob.name}")
            except (FileNotFoundError, NotADirectoryError):
                continue
            known = memories[digits].recall(blob.name, status)
            if known == blob.digest and blob.size in (None, status.st_size):
                sound.add(blob.name)
            else:
                doubtful.append((blob, status))

        def check(doubted: tuple[Blob, os.stat_result]) -> bool:
            blob, status = doubted
            if blob.size in (None, status.st_size):
                try:
                    memory = memories[blob.digest[:1]]
                    if memory.learn(blob.name, status, begun) == blob.digest:
                        return True
                except FileNotFoundError:
                    return False
            self.discard(blob)
            return False

        with self._told():
            checked = in_parallel(check, doubtful, self.workers)
            sound |= {blob.name for (blob, _), good in zip(doubtful, checked) if good}
        hashed = (_OPENING_BYTES + status.st_size for _, status in doubtful)
        self._unsaved += sum(hashed)
        if self._unsaved >= _WORTH_BYTES:
            self._save()
        return sound

    def _save(self) -> None:
        """Keep what was learnt for the next command."""
        self._unsaved = 0
        for learnt in self._memories.values():
            try:
                learnt.save()
            except OSError:
                break  # a store that may only be read, or is full

    def rely_on(self, blobs: Sequence[Blob]) -> set[str]:
        there = set()
        limit = time.time() - _RECENT_SECONDS
        with self._told():
            for blob in blobs:
                path = self.root / blob.name
                try:
                    # A file of another stat will be hashed again: not each time.
                    if not limit < path.stat().st_mtime:
                        os.utime(path)
                except FileNotFoundError:
                    continue
                there.add(blob.name)
        return there

    def digest(self, name: str) -> str | None:
        with self._told():
            try:
                with open(self.root / name, "rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest()
            except FileNotFoundError:
                return None

    def discard(self, blob: Blob) -> None:
        # Moved away before it is looked at: meanwhile another may have written it anew.
        with self._told(), self._unfinished() as aside:
            try:
                os.replace(self.root / blob.name, aside)
            except FileNotFoundError:
                return
            with open(aside, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest == blob.digest:
                os.replace(aside, self.root / blob.name)

    def settle(self) -> None:
        with self._told():
            for folder in ("cas", "trees"):
                if (self.root / folder).is_dir():
                    _make_durable(self.root / folder)

    def path(self, name: str) -> Path | None:
        return self.root / name

    def sweep(self) -> int:
        count = 0
        limit = time.time() - _DAY_SECONDS
        for found in list(self.list(_UNFINISHED)):
            if found.modified < limit and found.name != f"{_UNFINISHED}/{_LOCK}":
                self.delete([found.name])
                count += 1
        return count

    def _place(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def _unfinished(self) -> Iterator[Path]:
        """Give a name for a file that is being written; what is left of it goes."""
        folder = self.root / _UNFINISHED
        new = folder / secrets.token_hex(12)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            yield new
        finally:
            new.unlink(missing_ok=True)

    def _rename_alone(self, new: Path, path: Path) -> bool:
        """Rename a file unless the other is there, where links cannot do it."""
        with open(self.root / _UNFINISHED / _LOCK, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return False
            os.replace(new, path)
        return True

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in a line what the file system says."""
        try:
            yield
        except OSError as error:
            problem = f"{error.filename or self.address}: {error.strerror}"
            if isinstance(error, PermissionError):
                raise UserError(problem) from None
            raise StoreError(problem) from None


def _write(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _make_durable(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(
    source: str, target: str, mode: int, moved: Callable[[int], None], durable: bool
) -> tuple[str, int]:
    """Copy a file's bytes to a new file.

    Returns:
        The SHA-256 and the number of the new file's bytes.
    """
    hashed, size = hashlib.sha256(), 0
    reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        writer = os.open(target, flags, mode)
        try:
            os.fchmod(writer, mode)
            shared = _share_blocks(reader, writer)
            # One more than there is: a read of less ends the file.
            room = min(os.fstat(reader).st_size + 1, _CHUNK)
            chunk = b""
            while not size or len(chunk) == room:
                # What is hashed is what was written, even if the source is at work.
                chunk = os.read(writer if shared else reader, room)
                if not chunk:
                    break
                hashed.update(chunk)
                written = len(chunk) if shared else os.write(writer, chunk)
                while written < len(chunk):
                    written += os.write(writer, chunk[written:])
                size += len(chunk)
                moved(len(chunk))
            if durable:
                os.fsync(writer)
        finally:
            os.close(writer)
    finally:
        os.close(reader)
    return hashed.hexdigest(), size


def _share_blocks(reader: int, writer: int) -> bool:
    try:
        fcntl.ioctl(writer, _FICLONE, reader)
    except OSError:
        return False  # most file systems cannot
    return True
