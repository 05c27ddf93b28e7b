"""Read and write idx files, the format that MNIST comes in.

The format is described where MNIST was first published (LeCun, Cortes and Burges, "The
MNIST database of handwritten digits"): two zero bytes, a byte for the element type (8
is unsigned byte, the only one MNIST uses), a byte for the number of dimensions, each
dimension's size as a big-endian 32-bit integer, then the elements, last dimension
fastest.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.errors import UserError

_UNSIGNED_BYTE = 8


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Read an idx file of unsigned bytes.

    Args:
        path: The file; one whose name ends in .gz is decompressed.
        dimensions: How many dimensions it must have: 1 for labels, 3 for images.

    Returns:
        The elements, as many dimensions as asked for.

    Raises:
        UserError: The file cannot be read, is cut short or too long, or is no idx file
            of that kind.
    """
    content = _content(path)
    magic = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    if content[:4] != magic[: len(content)]:
        raise UserError(
            f"{path} is no idx file of bytes in {dimensions} dimensions: "
            f"it begins with {content[:4].hex(' ')}"
        )
    header = len(magic) + 4 * dimensions
    if len(content) < header:
        raise UserError(f"{path} is cut short: {len(content)} bytes hold no idx header")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", dimensions, offset=4))
    found, expected = len(content) - header, math.prod(shape)
    if found != expected:
        state = "cut short" if found < expected else "too long"
        sizes = " x ".join(map(str, shape))
        raise UserError(
            f"{path} is {state}: {found:,} bytes of data, {sizes} announced"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def write_idx(path: Path, elements: npt.NDArray[np.uint8]) -> None:
    """Write an idx file of unsigned bytes, not compressed."""
    magic = bytes([0, 0, _UNSIGNED_BYTE, elements.ndim])
    sizes = np.array(elements.shape, ">u4").tobytes()
    path.write_bytes(magic + sizes + elements.tobytes())


def _content(path: Path) -> bytes:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                return file.read()
        return path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UserError(f"{path} is cut short or damaged: it does not unpack") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
