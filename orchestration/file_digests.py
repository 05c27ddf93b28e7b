"""SHA-256 of files, hashed again only when a file may have changed.

What stat says of a file spares the hashing and never replaces it. A file that was
written shortly before it was hashed may be written once more without a visible
difference, as clocks and file systems tick coarsely; git's index has the same problem
("racy git", its technical documentation) and the same remedy: such an entry is not
relied on.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from orchestration.atomic_files import write_atomically

_FORMAT = "file-digests/1"
# The coarsest clock of a file system in use: FAT's, of two seconds.
_TICK_NS = 2_000_000_000

# So many files beyond those that were asked for are remembered.
_OTHERS = 100_000

# device, inode, size, mtime, ctime
_Stat = tuple[int, int, int, int, int]


class FileDigests:
    """Digests of a tree's files.

    Args:
        root: The folder that names are relative to.
        memory: The JSON file that keeps the digests from one command to the next. One
            that is missing, damaged or of another format counts as empty. None
            remembers nothing beyond the process.
    """

    def __init__(self, root: Path, memory: Path | None) -> None:
        self._root = root
        self._memory = memory
        self._loaded = self._state()
        self._known = self._read()
        self._asked: set[str] = set()
        self._changed = False

    def digest(self, name: str) -> str:
        """Give the SHA-256 of a file's bytes, or of the target's path for a link.

        Args:
            name: The file's path, relative to the root.

        Raises:
            OSError: It cannot be read.
        """
        path = self._root / name
        now = time.time_ns()
        status = path.lstat()
        known = self.recall(name, status)
        if known is not None:
            return known
        if stat.S_ISLNK(status.st_mode):
            digest = hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest()
            self._remember(name, status, now, digest)
            return digest
        return self.learn(name, status, now)

    def recall(self, name: str, status: os.stat_result) -> str | None:
        """Give the digest that is remembered of a file, if its stat is what it was.

        Args:
            name: The file's path, relative to the root.
            status: What stat says of it.
        """
        self._asked.add(name)
        known = self._known.get(name)
        return known[1] if known is not None and known[0] == _summary(status) else None

    def learn(self, name: str, status: os.stat_result, now: int) -> str:
        """Hash a file's bytes, those of its target for a link, and remember the digest.

        Args:
            name: The file's path, relative to the root.
            status: What stat said of it, and of the target for a link.
            now: A time in ns since the epoch that is not after this stat.

        Raises:
            OSError: It cannot be read.
        """
        with open(os.path.join(self._root, name), "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._remember(name, status, now, digest)
        return digest

    def _remember(
        self, name: str, status: os.stat_result, now: int, digest: str
    ) -> None:
        # Only an entry that any later write is sure to differ from is kept.
        if max(status.st_mtime_ns, status.st_ctime_ns) < now - _TICK_NS:
            self._known[name] = (_summary(status), digest)
            self._changed = True
        else:
            self._changed |= self._known.pop(name, None) is not None

    def tree(self, names: Iterable[str]) -> dict[str, tuple[str, bool]]:
        """Give digest and executable bit of every file that exists, by name."""
        found = {}
        for name in names:
            try:
                mode = (self._root / name).lstat().st_mode
                if not stat.S_ISDIR(mode):  # a submodule
                    found[name] = (self.digest(name), bool(mode & stat.S_IXUSR))
            except (FileNotFoundError, NotADirectoryError):
                continue
        return found

    def save(self) -> None:
        """Keep what was learnt. Of two commands that do so at once, one stays."""
        if self._changed and self._memory is not None:
            if self._state() != self._loaded:
                self._known = {**self._read(), **self._known}
            others = [name for name in self._known if name not in self._asked]
            for name in others[:-_OTHERS]:
                del self._known[name]
            document = {
                "format": _FORMAT,
                "files": {name: [*s, d] for name, (s, d) in self._known.items()},
            }
            write_atomically(self._memory, json.dumps(document).encode())
            self._changed = False
            self._loaded = self._state()

    def _state(self) -> tuple[int, int] | None:
        """Say whether somebody else has written the memory meanwhile."""
        try:
            status = self._memory.stat() if self._memory is not None else None
        except OSError:
            return None
        return None if status is None else (status.st_ino, status.st_mtime_ns)

    def _read(self) -> dict[str, tuple[_Stat, str]]:
        if self._memory is None:
            return {}
        try:
            document = json.loads(self._memory.read_bytes())
            if document["format"] != _FORMAT:
                return {}
            return {
                name: ((device, inode, size, modified, changed), digest)
                for name, (device, inode, size, modified, changed, digest) in document[
                    "files"
                ].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}


def _summary(status: os.stat_result) -> _Stat:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
