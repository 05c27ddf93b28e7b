"""Pictures: that they are drawn, in what size, from what, and always the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.figures import (
    Panel,
    save_confusion_matrix,
    save_image_grid,
    save_learning_curves,
)

_IMAGES = np.random.default_rng(0).random((7, 28, 28), dtype=np.float32)


def _curves(path: Path) -> None:
    losses = {"training": [2.0, 1.0, 0.5], "validation": [2.5, 1.5, 1.0]}
    panels = [
        Panel("Loss", losses, logarithmic=True),
        Panel("Accuracy", {"validation": [0.5, 0.75, 1.0]}, percent=True),
    ]
    save_learning_curves(path, panels, best_epoch=2)


def _matrix(path: Path) -> None:
    save_confusion_matrix(path, [[90, 10], [0, 1234]], "Two classes")


def _grid(path: Path) -> None:
    save_image_grid(path, _IMAGES, [f"image {n}" for n in range(7)], "Noise")


@pytest.mark.parametrize("draw", [_curves, _matrix, _grid])
def test_pictures_are_readable_and_always_the_same(
    draw: Callable[[Path], None], tmp_path: Path
) -> None:
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    draw(first)
    draw(second)
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as image:
        image.load()
        assert image.format == "PNG"
        assert 300 < image.width < 2000
        assert 300 < image.height < 2000
        # Something is drawn: neither one colour nor mostly ink.
        pixels = np.asarray(image.convert("L"))
    assert np.unique(pixels).size > 20
    assert np.median(pixels) > 50


def test_a_curve_of_one_epoch_or_of_zeros_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    save_learning_curves(path, [Panel("Loss", {"zero": [0.0]}, logarithmic=True)])
    assert path.stat().st_size > 1000


def test_a_grid_grows_by_rows_and_may_be_empty(tmp_path: Path) -> None:
    heights = []
    for count in (0, 1, 6, 7):
        path = tmp_path / f"{count}.png"
        save_image_grid(path, _IMAGES[:count], ["caption"] * count, f"{count} images")
        with Image.open(path) as image:
            heights.append(image.height)
    assert heights[0] < heights[1] == heights[2] < heights[3]


def test_the_diagonal_of_a_confusion_matrix_stands_out(tmp_path: Path) -> None:
    def brightness(matrix: list[list[int]]) -> float:
        path = tmp_path / "matrix.png"
        save_confusion_matrix(path, matrix, "")
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"), dtype=float)
        # The upper left cell, between the axis and the middle of the picture.
        return float(np.median(pixels[90:200, 110:190]))

    assert brightness([[100, 0], [0, 100]]) > brightness([[0, 100], [100, 0]]) + 100
