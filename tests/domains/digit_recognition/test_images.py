"""Pictures of digits of every kind become images like MNIST's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageDraw

from common.errors import UserError
from domains.digit_recognition.images import fit_to_frame, read_digit


def _seven(size: int, width: int) -> Image.Image:
    """Draw a 7, white on black."""
    image = Image.new("L", (size, size * 4 // 3))
    points = [(0.25, 0.2), (0.75, 0.2), (0.4, 1.1)]
    line = [(x * size, y * size) for x, y in points]
    ImageDraw.Draw(image).line(line, fill=255, width=width, joint="curve")
    return image


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> npt.NDArray[np.float32]:
    path = tmp_path_factory.mktemp("seven") / "seven.png"
    _seven(240, 24).save(path)
    return read_digit(path)


def test_a_digit_has_mnists_form(expected: npt.NDArray[np.float32]) -> None:
    assert expected.shape == (28, 28)
    assert expected.dtype == np.float32
    assert (expected.min(), expected.max()) == (0, 1)
    rows, columns = np.nonzero(expected)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    # The centre of mass is within a pixel of the middle, between pixels 13 and 14.
    centre = [
        np.average(np.nonzero(expected)[axis], weights=expected[expected > 0])
        for axis in (0, 1)
    ]
    np.testing.assert_allclose(centre, 13.5, atol=0.51)


def _variants() -> dict[str, Image.Image]:
    grey = _seven(240, 24)
    array = np.asarray(grey)
    blue_on_clear = Image.new("RGBA", grey.size, (10, 30, 120, 0))
    blue_on_clear.putalpha(grey)
    white_on_clear = Image.new("LA", grey.size, (255, 0))
    white_on_clear.putalpha(grey)
    wide = Image.new("L", (900, 400))
    wide.paste(grey, (610, 20))
    paper = 255 - array * 0.7
    return {
        "dark on light": Image.fromarray(255 - array),
        "colour": Image.merge("RGB", [grey, grey, Image.new("L", grey.size)]),
        "blue on transparent": blue_on_clear,
        "white on transparent": white_on_clear,
        "palette": grey.convert("P"),
        "black and white": grey.convert("1"),
        "16 bits": Image.fromarray(array.astype(np.uint16) * 257),
        "16 bits, dark on light": Image.fromarray(
            65535 - array.astype(np.uint16) * 257
        ),
        "in a corner": wide,
        "faint on grey paper": Image.fromarray((paper * 0.8).astype(np.uint8)),
        "small": _seven(48, 5),
        "large": _seven(1200, 120),
    }


@pytest.mark.parametrize("kind", sorted(_variants()))
def test_any_picture_of_a_digit_becomes_the_same_image(
    kind: str, expected: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    _variants()[kind].save(path)
    found = read_digit(path)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95
    assert (found.min(), found.max()) == (0, 1)


def test_what_is_ink_can_be_said(
    expected: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    light, dark = tmp_path / "light.png", tmp_path / "dark.png"
    _seven(240, 24).save(light)
    Image.fromarray(255 - np.asarray(_seven(240, 24))).save(dark)
    np.testing.assert_array_equal(read_digit(light, "no"), expected)
    np.testing.assert_allclose(read_digit(dark, "yes"), expected, atol=0.01)
    # Looked at the wrong way round, there is nothing but paper.
    with pytest.raises(UserError, match=r"light\.png is blank"):
        read_digit(light, "yes")


def test_an_image_of_mnists_form_stays_as_it_is(
    expected: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    path = tmp_path / "mnist.png"
    Image.fromarray((expected * 255).round().astype(np.uint8)).save(path)
    np.testing.assert_allclose(read_digit(path), expected, atol=0.1)


@settings(deadline=None)
@given(
    ink=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=40),
        elements=st.floats(0, 1, width=32),
    ).filter(lambda ink: bool(ink.max() > 0.05))
)
def test_any_ink_fits_the_frame(ink: npt.NDArray[np.float32]) -> None:
    frame = fit_to_frame(ink)
    assert frame.shape == (28, 28)
    assert frame.min() >= 0
    assert frame.max() == 1


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    _seven(60, 6).save(whole)
    content = whole.read_bytes()
    path = tmp_path / "broken.png"
    flipped = content[:-30] + bytes([content[-30] ^ 255]) + content[-29:]
    for damaged in (b"", content[:20], content[:-40], flipped, b"GIF89a" + content):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"broken\.png (is no PNG|cannot be read)"):
            read_digit(path)
    with pytest.raises(UserError, match=r"none\.png does not exist"):
        read_digit(tmp_path / "none.png")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_digit(tmp_path)


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_blank_pictures_are_refused(colour: int, tmp_path: Path) -> None:
    path = tmp_path / "blank.png"
    Image.new("L", (30, 30), colour).save(path)
    with pytest.raises(UserError, match=r"blank\.png is blank: it shows no digit"):
        read_digit(path)


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 10_000)).save(path)
    with pytest.raises(UserError, match=r"bomb\.png is too large"):
        read_digit(path)
