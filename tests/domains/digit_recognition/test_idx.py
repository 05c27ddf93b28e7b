"""Reading MNIST's files, whole and damaged."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from common.errors import UserError
from domains.digit_recognition.idx import read_idx
from domains.digit_recognition.mnist import FILES, load_mnist


def _idx(array: npt.NDArray[np.uint8]) -> bytes:
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


_ARRAYS = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5)
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("idx")


@settings(deadline=None)
@given(array=_ARRAYS, compressed=st.booleans())
def test_whole_files_are_read(
    array: npt.NDArray[np.uint8], compressed: bool, scratch: Path
) -> None:
    path = scratch / ("file.gz" if compressed else "file")
    path.write_bytes(gzip.compress(_idx(array)) if compressed else _idx(array))
    found = read_idx(path, array.ndim)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, array)


@settings(deadline=None)
@given(array=_ARRAYS, compressed=st.booleans(), data=st.data())
def test_cut_files_are_refused_by_name(
    array: npt.NDArray[np.uint8],
    compressed: bool,
    data: st.DataObject,
    scratch: Path,
) -> None:
    path = scratch / ("cut.gz" if compressed else "cut")
    content = gzip.compress(_idx(array)) if compressed else _idx(array)
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(UserError, match=f"{path} is cut short"):
        read_idx(path, array.ndim)


@settings(deadline=None)
@given(content=st.binary(max_size=60))
def test_no_bytes_crash_the_reader(content: bytes, scratch: Path) -> None:
    for name in ("any", "any.gz"):
        path = scratch / name
        path.write_bytes(content)
        try:
            read_idx(path, 1)
        except UserError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            _idx(np.zeros(3, np.uint8)) + b"x",
            "is too long: 4 bytes of data, 3 announced",
        ),
        (_idx(np.zeros((3, 1), np.uint8)), "begins with 00 00 08 02"),
        (b"\0\0\x0d\1" + bytes(8), "begins with 00 00 0d 01"),
        (b"<html>not found</html>", "begins with 3c 68 74 6d"),
    ],
)
def test_other_files_are_refused(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_idx(path, 1)
    assert problem in str(error.value)


_IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
_LABELS = np.array([3, 1, 4, 1, 5], np.uint8)


def _write_mnist(folder: Path, compressed: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for images, labels in FILES.values():
        for name, array in ((images, _IMAGES), (labels, _LABELS)):
            if compressed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(_idx(array)))
            else:
                (folder / name).write_bytes(_idx(array))


@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize("compressed", [False, True])
def test_mnist_is_found_where_people_put_it(
    below: str, compressed: bool, tmp_path: Path
) -> None:
    _write_mnist(tmp_path / below, compressed)
    for part in FILES:
        images, labels = load_mnist(tmp_path, part)
        np.testing.assert_array_equal(images, _IMAGES)
        np.testing.assert_array_equal(labels, _LABELS)


def test_one_part_does_not_need_the_other(tmp_path: Path) -> None:
    _write_mnist(tmp_path)
    for name in FILES["train"]:
        (tmp_path / name).unlink()
    assert len(load_mnist(tmp_path, "test")[1]) == 5
    with pytest.raises(UserError, match=f"{tmp_path} lacks train-images-idx3-ubyte"):
        load_mnist(tmp_path, "train")


def _replace(name: str, array: npt.NDArray[np.uint8]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(_idx(array))

    return damage


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (
            _replace("t10k-labels-idx1-ubyte", _LABELS[:4]),
            "holds 5 images, but t10k-labels-idx1-ubyte 4 labels",
        ),
        (
            _replace("t10k-labels-idx1-ubyte", np.full(5, 10, np.uint8)),
            "holds the label 10, which is no digit",
        ),
        (
            _replace("t10k-images-idx3-ubyte", np.zeros((5, 8, 8), np.uint8)),
            "holds images of 8 x 8 pixels, not 28 x 28",
        ),
        (
            _replace("t10k-images-idx3-ubyte", np.zeros((0, 28, 28), np.uint8)),
            "holds 0 images, but",
        ),
        (_replace("t10k-images-idx3-ubyte", _LABELS), "no idx file of bytes in 3 dim"),
        (lambda folder: (folder / "t10k-labels-idx1-ubyte").unlink(), "lacks t10k-lab"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    damage: Callable[[Path], object], problem: str, tmp_path: Path
) -> None:
    _write_mnist(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError) as error:
        load_mnist(tmp_path, "test")
    assert str(tmp_path) in str(error.value)
    assert problem in str(error.value)
