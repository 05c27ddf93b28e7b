"""Objects in a bucket or container, or in memory, through obstore.

obstore is young and may change: nothing else knows it. It retries what failed for a
moment itself; what it does not retry (a body that breaks off) is tried again here.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, MemoryStore, S3Store

from common.errors import UserError
from orchestration.store.errors import StoreError
from orchestration.store.objects import Blob, Found, Objects, WrongBytes
from orchestration.store.parallel import in_parallel

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Result = TypeVar("Result")

# In one piece up to here; above, in parts that are tried again one by one.
_PART = 16 << 20
_PARTS_AT_ONCE = 4
_ATTEMPTS = 3
_BACKOFF_SECONDS = 0.5
_RETRIES: Any = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=2),
        "base": 2,
    },
}
_READ_SECONDS = 30
_STATUS = re.compile(r"(?:status: |status code: |non-2xx status code: )(\d{3})")
# What obstore asks for credentials when the environment has none.
_METADATA_SERVICES = ("169.254.169.254", "metadata.google.internal", "169.254.170.2")
_HINTS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    "gs": "GOOGLE_SERVICE_ACCOUNT",
}


def open_bucket(scheme: str, bucket: str, prefix: str, shown: str) -> BucketObjects:
    """Open the objects below a prefix of a bucket.

    Args:
        scheme: s3, az, gs or memory.
        bucket: The bucket, or container.
        prefix: The part of the objects' names that is not told; may be empty.
        shown: The address as messages have it.

    Raises:
        UserError: The environment's settings cannot be right.
    """
    seconds = _read_seconds()
    client: Any = {
        # For a whole transfer, however long it is, as long as something moves.
        "timeout": "1d",
        "read_timeout": f"{seconds}s",
        "connect_timeout": f"{min(seconds, 5)}s",
        "allow_http": True,
    }
    options: Any = {
        "prefix": prefix or None,
        "client_options": client,
        "retry_config": _RETRIES,
    }
    store: ObjectStore
    try:
        if scheme == "memory":
            store = MemoryStore()
        elif scheme == "s3":
            store = S3Store(bucket, **options)
        elif scheme == "az":
            store = AzureStore(bucket, **options)
        else:
            store = GCSStore(bucket, **options)
    except (BaseError, ValueError):
        raise UserError(
            f"{shown}: the settings in the environment are not complete; set "
            f"{_HINTS[scheme]} (docs/store.md)"
        ) from None
    return BucketObjects(store, scheme, shown)


class BucketObjects(Objects):
    """Objects that obstore reaches.

    Args:
        store: obstore's own.
        scheme: s3, az, gs or memory.
        shown: The address as messages have it.
    """

    workers = 32

    def __init__(self, store: ObjectStore, scheme: str, shown: str) -> None:
        self._store = store
        self._scheme = scheme
        self.address = shown

    def get(self, name: str) -> bytes | None:
        try:
            return self._call(lambda: bytes(obstore.get(self._store, name).bytes()))
        except FileNotFoundError:
            return None

    def put(self, name: str, data: bytes) -> None:
        self._write(lambda: obstore.put(self._store, name, data, use_multipart=False))

    def create(self, name: str, data: bytes) -> bool:
        try:
            self._write(lambda: obstore.put(self._store, name, data, mode="create"))
        except AlreadyExistsError:
            # By us, if the answer to an earlier attempt was lost on its way.
            return self.get(name) == data
        return True

    def size(self, name: str) -> int | None:
        try:
            return self._call(lambda: int(obstore.head(self._store, name)["size"]))
        except FileNotFoundError:
            return None

    def list(self, prefix: str) -> Iterator[Found]:
        def listed() -> list[Found]:
            return [
                _found(meta)
                for batch in obstore.list(self._store, prefix)
                for meta in batch
            ]

        try:
            yield from self._call(listed)
        except FileNotFoundError:
            raise self._no_bucket() from None

    def look(self, name: str) -> Found | None:
        """Give one object as a listing has it; None if it is not there."""
        try:
            return _found(self._call(lambda: obstore.head(self._store, name)))
        except FileNotFoundError:
            return None

    def fetch(self, name: str, target: Path) -> None:
        """Write an object of an unknown digest as a file.

        Raises:
            FileNotFoundError: It is not there any more.
        """

        def fetch() -> None:
            with target.open("wb") as file:
                for part in obstore.get(self._store, name).stream():
                    file.write(part)

        self._call(fetch)

    def delete(self, names: Iterable[str]) -> None:
        def delete(name: str) -> None:
            try:
                self._call(lambda: obstore.delete(self._store, name))
            except FileNotFoundError:
                pass

        in_parallel(delete, names, self.workers)

    def upload(self, source: Path, blob: Blob, moved: Callable[[int], None]) -> None:
        # Of a file that is at work, no attempt may take what another has seen.
        if not source.exists():
            raise WrongBytes(blob.name)
        self._write(lambda: self._upload(source, blob))
        moved(os.stat(source).st_size if blob.size is None else blob.size)

    def download(
        self, blob: Blob, target: Path, mode: int, moved: Callable[[int], None]
    ) -> None:
        hashed = hashlib.sha256()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(target, flags, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            for chunk in self._chunks(blob.name, blob.size):
                hashed.update(chunk)
                file.write(chunk)
                moved(len(chunk))
        if hashed.hexdigest() != blob.digest:
            raise WrongBytes(blob.name)

    def sound(self, blobs: Sequence[Blob]) -> set[str]:
        sizes = in_parallel(lambda blob: self.size(blob.name), blobs, self.workers)
        return {
            blob.name
            for blob, size in zip(blobs, sizes)
            if size is not None and blob.size in (None, size)
        }

    def rely_on(self, blobs: Sequence[Blob]) -> set[str]:
        if not blobs:
            return set()
        # Objects cannot be given another time without being written again.
        document = {"names": sorted(blob.name for blob in blobs)}
        self.put(f"uses/{secrets.token_hex(12)}", json.dumps(document).encode())
        return self.sound(blobs)

    def digest(self, name: str) -> str | None:
        hashed = hashlib.sha256()
        try:
            for chunk in self._chunks(name, None):
                hashed.update(chunk)
        except WrongBytes:
            return None
        return hashed.hexdigest()

    def discard(self, blob: Blob) -> None:
        # Once more: what was read before may have been damaged on its way.
        if self.digest(blob.name) not in (None, blob.digest):
            self.delete([blob.name])

    def settle(self) -> None:
        """Do nothing: what a bucket says it has, it has."""

    def _upload(self, source: Path, blob: Blob) -> None:
        with open(source, "rb") as file:
            if os.fstat(file.fileno()).st_size <= _PART:
                data = file.read(_PART + 1)
                _compare(hashlib.sha256(data), len(data), blob)
                obstore.put(self._store, blob.name, data, use_multipart=False)
                return

            def parts() -> Iterator[bytes]:
                hashed, size = hashlib.sha256(), 0
                ahead = file.read(_PART)
                while part := ahead:
                    ahead = file.read(_PART)
                    hashed.update(part)
                    size += len(part)
                    if not ahead:
                        # Before the last part is given away: nothing is made of them.
                        _compare(hashed, size, blob)
                    yield part

            obstore.put(
                self._store,
                blob.name,
                parts(),
                chunk_size=_PART,
                max_concurrency=_PARTS_AT_ONCE,
            )

    def _chunks(self, name: str, size: int | None) -> Iterator[bytes]:
        """Read an object in parts, some of them ahead, each tried again by itself.

        Raises:
            WrongBytes: It is not there, or ends early.
        """
        size = self.size(name) if size is None else size
        if size is None:
            raise WrongBytes(name)

        def part(start: int) -> bytes:
            end = min(start + _PART, size)
            return self._call(
                lambda: bytes(
                    obstore.get_range(self._store, name, start=start, end=end)
                )
            )

        try:
            if size == 0:
                yield from filter(None, [self._call(lambda: self.get(name))])
                return
            if size <= _PART:
                yield part(0)
                return
            with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
                ahead: list[Future[bytes]] = []
                for start in range(0, size, _PART):
                    ahead.append(pool.submit(part, start))
                    if len(ahead) == _PARTS_AT_ONCE:
                        yield ahead.pop(0).result()
                for future in ahead:
                    yield future.result()
        except FileNotFoundError:
            raise WrongBytes(name) from None

    def _write(self, work: Callable[[], object]) -> None:
        try:
            self._call(work)
        except FileNotFoundError as error:
            if error.errno is not None:
                raise  # the file that is read, and not the bucket
            raise self._no_bucket() from None

    def _call(self, work: Callable[[], Result]) -> Result:
        """Do something, again if it failed for a moment, and say in a line what failed.

        Raises:
            FileNotFoundError: There is no such object or bucket.
            AlreadyExistsError: There is such an object.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return work()
            except (AlreadyExistsError, FileNotFoundError):
                raise
            except (PermissionDeniedError, UnauthenticatedError):
                raise UserError(
                    f"{self.address}: the credentials in the environment do not allow "
                    f"this; check {_HINTS.get(self._scheme, 'them')} (docs/store.md)"
                ) from None
            except BaseError as error:
                problem, passes = self._explained(error)
                if not passes or attempt == _ATTEMPTS:
                    raise problem from None
            time.sleep(_BACKOFF_SECONDS * attempt * random.uniform(0.5, 1.5))
        raise AssertionError("the loop returns or raises")

    def _explained(self, error: BaseError) -> tuple[Exception, bool]:
        """Say what an error means, and whether it may pass.

        Nothing of its own text is shown: it can hold signed addresses.
        """
        text = str(error)
        if any(service in text for service in _METADATA_SERVICES):
            hint = _HINTS.get(self._scheme, "the credentials")
            return (
                UserError(
                    f"{self.address}: there are no credentials in the environment; set "
                    f"{hint} (docs/store.md)"
                ),
                False,
            )
        if "NoSuchBucket" in text or "ContainerNotFound" in text:
            return self._no_bucket(), False
        status = _STATUS.search(text)
        if status and status[1] in ("401", "403"):
            return UserError(f"{self.address}: refused, status {status[1]}"), False
        if "kind: Connect" in text:
            return StoreError(f"{self.address}: cannot be reached"), False
        if "kind: Timeout" in text:
            return StoreError(f"{self.address}: does not answer in time"), False
        if isinstance(error, NotSupportedError):
            return StoreError(f"{self.address}: cannot do what a store needs"), False
        if status:
            passes = status[1].startswith("5") or status[1] in ("408", "409", "429")
            return StoreError(f"{self.address}: failed, status {status[1]}"), passes
        return StoreError(f"{self.address}: the connection breaks off"), True

    def _no_bucket(self) -> UserError:
        return UserError(f"{self.address}: there is no such bucket; make it first")


def _found(meta: Any) -> Found:
    modified = meta["last_modified"].timestamp()
    return Found(meta["path"], meta["size"], modified, meta["e_tag"] or "")


def _compare(hashed: Any, size: int, blob: Blob) -> None:
    if hashed.hexdigest() != blob.digest or blob.size not in (None, size):
        raise WrongBytes(blob.name)


def _read_seconds() -> int:
    text = os.environ.get("STRATA_STORE_TIMEOUT") or str(_READ_SECONDS)
    if not text.isdecimal() or not int(text):
        raise UserError(
            f"STRATA_STORE_TIMEOUT is {text!r}; give it the whole seconds that an "
            "answer may take"
        )
    return int(text)
