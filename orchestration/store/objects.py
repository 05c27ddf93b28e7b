"""Named bytes: what a store is kept in, be it a folder or a bucket."""

from __future__ import annotations

import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from common.errors import UserError

_SCHEMES = ("az", "file", "gs", "memory", "s3")


@dataclass(frozen=True, slots=True)
class Found:
    """An object in a listing.

    Attributes:
        name: Its name.
        size: Its bytes.
        modified: When it was last written, in seconds since the epoch, by the clock of
            whoever keeps it.
        tag: What the server tells its states apart by; empty where it says nothing.
    """

    name: str
    size: int
    modified: float
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes whose digest is known.

    Attributes:
        name: The object.
        digest: The SHA-256 of its bytes.
        size: How many there are; None if that is not known.
    """

    name: str
    digest: str
    size: int | None


class WrongBytes(Exception):
    """A file or an object has not the bytes that its digest says."""


class Objects(ABC):
    """Objects by name. A name is a path with slashes; what is written appears whole.

    Every method raises StoreError when whoever keeps the objects does not answer or
    fails, and UserError when they do not let us, or there is no such place.

    Attributes:
        address: Where they are, without any secret.
        workers: How many may be asked for at once.
    """

    address: str
    workers: int

    @abstractmethod
    def get(self, name: str) -> bytes | None:
        """Give an object's bytes; None if it is not there."""

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Write an object, in place of one that is there."""

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless it is there; of many who do so at once one does.

        Returns:
            Whether it is ours.
        """

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Give an object's size in bytes; None if it is not there."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[Found]:
        """List the objects below a folder, in any order.

        Args:
            prefix: The folder's name, without a slash at the end.
        """

    @abstractmethod
    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are not there are passed over."""

    @abstractmethod
    def upload(self, source: Path, blob: Blob, moved: Callable[[int], None]) -> None:
        """Write a file as an object, in place of one that is there.

        Args:
            source: The file.
            blob: The object, and what its bytes have to be.
            moved: Is called with the bytes that were moved since the last call.

        Raises:
            WrongBytes: The file is not there, or has not these bytes; there is no new
                object then.
        """

    @abstractmethod
    def download(
        self, blob: Blob, target: Path, mode: int, moved: Callable[[int], None]
    ) -> None:
        """Write an object as a new file.

        Args:
            blob: The object, and what its bytes have to be.
            target: The file, which must not exist. It is left as far as it came when
                this fails.
            mode: Its permissions.
            moved: Is called with the bytes that were moved since the last call.

        Raises:
            WrongBytes: The object is not there, or has not these bytes.
        """

    @abstractmethod
    def sound(self, blobs: Sequence[Blob]) -> set[str]:
        """Give the names of those that are there with their size.

        Where that is cheap, their bytes are compared with their digests, too, and what
        is damaged is removed.
        """

    @abstractmethod
    def rely_on(self, blobs: Sequence[Blob]) -> set[str]:
        """Keep objects from being collected as garbage while they are about to be used.

        Returns:
            The names of those that are there still.
        """

    @abstractmethod
    def digest(self, name: str) -> str | None:
        """Read an object and give the SHA-256 of its bytes; None if it is not there."""

    @abstractmethod
    def discard(self, blob: Blob) -> None:
        """Remove an object if its bytes are not what its digest says."""

    @abstractmethod
    def settle(self) -> None:
        """Have what was written outlast a power failure."""

    def path(self, name: str) -> Path | None:
        """Give the file that an object is, if it is one."""
        return None

    def sweep(self) -> int:
        """Remove what killed writers left more than a day ago, and count it."""
        return 0


def pass_on(
    source: Objects,
    blob: Blob,
    target: Objects,
    name: str,
    scratch: Path,
    moved: Callable[[int], None],
) -> None:
    """Write an object of one place as an object of another.

    Args:
        source: Has it.
        blob: The object, and what its bytes have to be.
        target: Takes it.
        name: What it is called there.
        scratch: A folder that it may pass through.
        moved: Is called with the bytes that were moved since the last call.

    Raises:
        WrongBytes: The object is not there, or has not these bytes.
    """
    passing = scratch / secrets.token_hex(12)
    file = source.path(blob.name)
    try:
        if file is None:
            source.download(blob, passing, 0o600, lambda count: None)
        target.upload(file or passing, replace(blob, name=name), moved)
    finally:
        passing.unlink(missing_ok=True)


def open_objects(address: str) -> Objects:
    """Open the objects at an address.

    Args:
        address: A folder's path, or ``file:///path``, ``s3://bucket/path``,
            ``az://container/path``, ``gs://bucket/path``, or ``memory:`` for objects
            that end with the process. Credentials come from the environment alone.

    Raises:
        UserError: It is none of these.
    """
    shown = shown_address(address)
    scheme = address.partition(":")[0]
    if not address or "\0" in address:
        raise UserError("the store's address is empty; name a folder, or s3://bucket")
    if "://" not in address and address != "memory:":
        return _folder(Path(address))
    if scheme not in _SCHEMES:
        raise UserError(
            f"{shown}: there are no stores of the kind {scheme}:; a folder, s3://, "
            "az:// and gs:// are"
        )
    parts = urlsplit(address)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UserError(
            f"{shown}: the address must not hold credentials or settings; they come "
            "from the environment (docs/store.md)"
        )
    if scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise UserError(f"{shown}: a folder is file:///and/its/path")
        return _folder(Path(parts.path))
    if scheme != "memory" and not parts.netloc:
        raise UserError(f"{shown}: the name of the bucket is missing")
    # Imported where it is needed: a folder needs none of it.
    from orchestration.store.buckets import open_bucket

    return open_bucket(scheme, parts.netloc, parts.path.strip("/"), shown)


def shown_address(address: str) -> str:
    """Give an address as it may be shown: without user, password and query."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    place = rest.partition("?")[0].partition("#")[0]
    host, slash, path = place.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _folder(path: Path) -> Objects:
    from orchestration.store.folders import FolderObjects

    return FolderObjects(Path(os.path.abspath(path.expanduser())))
