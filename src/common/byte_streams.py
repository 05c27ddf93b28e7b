"""Read the bytes of a file as a stream, wherever it lies and however it is packed.

A source is a path, or the address of an object: http(s)://, s3://, az://, gs://.
Nothing is held but the piece in hand, so a file may be larger than the memory.
Credentials are those that obstore finds in the environment (AWS_ACCESS_KEY_ID,
AZURE_STORAGE_ACCOUNT_KEY and so on); they are in no message.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from common.errors import RunError, UserError

SCHEMES = ("http", "https", "s3", "az", "gs")

_PIECE = 1 << 20
# A small piece of zstd can stand for a lot of data.
_PACKED_PIECE = 1 << 15
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# Half the time of the default, a tenth larger.
_GZIP_LEVEL = 5
_RETRIES, _RETRY_SECONDS = 3, 30


@dataclass(frozen=True)
class ByteStream:
    """Bytes that arrive piece by piece.

    Attributes:
        name: The source as it may be shown: an address without its query.
        size: How many bytes there are in all, packed as they are; None if unknown.
        pieces: The bytes. Iterating raises UserError where they are damaged, RunError
            where they stop arriving.
    """

    name: str
    size: int | None
    pieces: Iterator[bytes]


def is_address(source: str) -> bool:
    """Tell an address from a path."""
    return "://" in source


def shown_name(source: str) -> str:
    """Give a source as it may be shown and kept.

    The query of an address is left out, and who logs in: both may hold a secret, such
    as a signature.
    """
    if not is_address(source):
        return source
    parts = urlsplit(source)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


@contextmanager
def open_stream(source: str) -> Iterator[ByteStream]:
    """Open a file or an object and read it from its begin, packed as it is.

    Args:
        source: A path, or an address of one of SCHEMES.

    Yields:
        The stream; it ends with the block.

    Raises:
        UserError: There is no such thing, or it may not be read.
        RunError: The service does not answer.
    """
    if is_address(source):
        yield _open_object(source)
        return
    path = Path(source)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    with file:
        size = path.stat().st_size if path.is_file() else None
        yield ByteStream(source, size, _file_pieces(path, file))


def compression_of(head: bytes) -> str:
    """Tell by a file's first bytes how it is packed: "gzip", "zstd" or "none"."""
    if head.startswith(_GZIP):
        return "gzip"
    return "zstd" if head.startswith(_ZSTD) else "none"


def unpacked(
    stream: ByteStream, on_piece: Callable[[int], object] = lambda size: None
) -> tuple[str, Iterator[bytes]]:
    """Unpack a stream by what it begins with, not by its name.

    Several gzip members or zstd frames in a row are one file, as gzip and zstd say.

    Args:
        stream: What :func:`open_stream` gave.
        on_piece: Is told how many packed bytes have been read, piece by piece.

    Returns:
        How it is packed ("gzip", "zstd" or "none"), and the bytes; iterating over them
        raises UserError where the file is cut short or damaged.
    """
    pieces = _told(stream.pieces, on_piece)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= len(_ZSTD):
            break
    compression = compression_of(head)
    whole = _rejoined(head, pieces)
    if compression == "gzip":
        return compression, _gunzip(stream.name, whole)
    if compression == "zstd":
        return compression, _unzstd(stream.name, whole)
    return compression, whole


@contextmanager
def open_packed(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that its name's end says how to pack: .gz, .zst, or not at all.

    The same bytes written are the same file: neither name nor time are in it.

    Args:
        path: The file to write.

    Yields:
        What to write to.
    """
    with ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(path.open("wb"))
        if path.suffix == ".gz":
            packed = gzip.GzipFile(
                "", "wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0
            )
            yield stack.enter_context(io.BufferedWriter(packed, _PIECE))
        elif path.suffix == ".zst":
            import zstandard

            compressor = zstandard.ZstdCompressor(write_checksum=True)
            yield stack.enter_context(compressor.stream_writer(file, closefd=False))
        else:
            yield file


def _open_object(source: str) -> ByteStream:
    # Only now: it is of no use to whoever reads a file.
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    name = shown_name(source)
    scheme = urlsplit(source).scheme
    if scheme not in SCHEMES:
        raise UserError(
            f"{name}: {scheme}:// is none of {', '.join(SCHEMES)}, and no path"
        )
    root, key = source, ""
    if not scheme.startswith("http"):
        root, _, key = source.partition("://")[2].partition("/")
        if not root or not key:
            raise UserError(f"{name} names no object; say {scheme}://bucket/key")
        root = f"{scheme}://{root}"
    try:
        store = from_url(
            root,
            client_options={"allow_http": True} if scheme == "http" else None,
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=_RETRY_SECONDS),
            },
        )
        found = obstore.get(store, key)
    except (BaseError, OSError, ValueError) as error:
        raise _open_failure(name, error) from None
    return ByteStream(name, found.meta["size"], _object_pieces(name, found.stream()))


def _open_failure(name: str, error: Exception) -> Exception:
    # Imported by whoever got the error.
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    if isinstance(error, FileNotFoundError):
        return UserError(f"{name} does not exist")
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        return UserError(
            f"{name} may not be read; credentials are taken from the environment"
        )
    return RunError(f"{name} cannot be opened: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    """Give the part of obstore's message that is for people, without any query."""
    line = str(error).strip().partition("\n")[0]
    return re.sub(r"(://)[^/\s]*@", r"\1", re.sub(r"\?\S*", "", line))


def _file_pieces(path: Path, file: io.BufferedReader) -> Iterator[bytes]:
    try:
        while piece := file.read(_PIECE):
            yield piece
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _object_pieces(name: str, arriving: Iterable[object]) -> Iterator[bytes]:
    from obstore.exceptions import BaseError

    try:
        for piece in arriving:
            yield bytes(piece)  # type: ignore[call-overload]
    except (BaseError, OSError) as error:
        raise RunError(
            f"{name} stopped on the way: {_first_line(error)}; start again"
        ) from None


def _told(
    pieces: Iterable[bytes], on_piece: Callable[[int], object]
) -> Iterator[bytes]:
    for piece in pieces:
        on_piece(len(piece))
        yield piece


def _rejoined(head: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from pieces


class _Raw(io.RawIOBase):
    """Pieces of bytes as a file to read from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _gunzip(name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    raw: io.RawIOBase = _Raw(pieces)
    file = gzip.GzipFile(fileobj=io.BufferedReader(raw, _PIECE))
    try:
        while piece := file.read(_PIECE):
            yield piece
    except EOFError:
        raise _cut_short(name, "gzip") from None
    except (zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(name, "gzip", error) from None


def _unzstd(name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard

    frame = zstandard.ZstdDecompressor().decompressobj()
    is_within_frame = False
    try:
        for piece in pieces:
            for start in range(0, len(piece), _PACKED_PIECE):
                packed = piece[start : start + _PACKED_PIECE]
                while packed:
                    is_within_frame = True
                    if plain := frame.decompress(packed):
                        yield plain
                    packed = b""
                    if frame.eof:
                        packed = frame.unused_data
                        frame = zstandard.ZstdDecompressor().decompressobj()
                        is_within_frame = False
    except zstandard.ZstdError as error:
        raise _damaged(name, "zstd", error) from None
    if is_within_frame:
        raise _cut_short(name, "zstd")


def _cut_short(name: str, kind: str) -> UserError:
    return UserError(f"{name} is cut short: its {kind} data ends early; get it again")


def _damaged(name: str, kind: str, error: Exception) -> UserError:
    return UserError(f"{name} is damaged: its {kind} data does not unpack ({error})")
