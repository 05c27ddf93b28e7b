"""What the network learns from: every defect, and the healthy pixels most like one.

Defects are one pixel in ten thousand. Of the healthy ones a few hundred a video are
enough: those that stand out most (edges and details that move slowly), those beside
defects, and some at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from domains.video_quality.bad_pixels.defects import CLASSES, HEALTHY, read_truth
from domains.video_quality.bad_pixels.feature_maps import FeatureMaps
from domains.video_quality.bad_pixels.network import SIDE, to_inputs
from domains.video_quality.bad_pixels.temporal import CHANNELS, Maps

_HARDEST, _RANDOM = 100, 200
# By which healthy pixels are hard: each names channels whose sizes add up.
_HARDNESS = (
    ("residual_median",),
    ("brighter", "darker"),
    ("residual_deviation",),
    ("residual_low", "residual_high"),
)


@dataclass(frozen=True)
class Samples:
    """Patches with the classes of their middle pixels.

    Attributes:
        patches: [samples, channels, SIDE, SIDE].
        labels: [samples], places in CLASSES.
    """

    patches: Maps
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.labels)


def truth_map(truth: Path, maps: FeatureMaps) -> npt.NDArray[np.int64]:
    """Give the class of each pixel of a video, [height, width], by its table.

    Raises:
        UserError: The table is missing or malformed.
    """
    classes = np.full((maps.height, maps.width), HEALTHY, dtype=np.int64)
    for defect in read_truth(truth, maps.video, maps.height, maps.width):
        classes[defect.row, defect.column] = CLASSES.index(defect.kind)
    return classes


def collect(
    videos: Sequence[FeatureMaps], truth: Path, seed: int, *, turned: bool
) -> Samples:
    """Take samples from videos.

    Args:
        videos: Maps that are there.
        truth: The folder of the tables.
        seed: Decides which healthy pixels are taken at random.
        turned: Show each defect in all eight ways to turn and mirror its patch.

    Returns:
        The samples, video by video.

    Raises:
        UserError: A table or a map is missing or malformed.
    """
    patches, labels = [], []
    for number, video in enumerate(videos):
        maps, classes = video.load(), truth_map(truth, video)
        healthy = _healthy(maps, classes, np.random.default_rng([seed, number]))
        defective = np.flatnonzero(classes != HEALTHY)
        windows = np.lib.stride_tricks.sliding_window_view(
            to_inputs(maps, video.noise), (SIDE, SIDE), axis=(1, 2)
        )
        for places, ways in ((healthy, 1), (defective, 8 if turned else 1)):
            rows, columns = np.divmod(places, video.width)
            of_places = windows[:, rows, columns].swapaxes(0, 1)
            for way in range(ways):
                patches.append(_turn(of_places, way))
                labels.append(classes.ravel()[places])
    return Samples(np.concatenate(patches), np.concatenate(labels))


def class_weights(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Give weights by which rare classes count for more, half way to counting the same.

    They fall with the root of a class's number of samples. All the way, confidences
    crowd at 1, where the threshold has to lie.

    Args:
        labels: [samples].

    Returns:
        [CLASSES], 1 on the average of the samples.
    """
    counts = np.bincount(labels, minlength=len(CLASSES))
    weights = 1 / np.sqrt(np.maximum(counts, 1))
    scaled: npt.NDArray[np.float64] = weights * len(labels) / weights[labels].sum()
    return scaled.astype(np.float32)


def _healthy(
    maps: Maps, classes: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Choose healthy pixels, as places in the flattened frame, sorted."""
    is_defect = classes != HEALTHY
    chosen = _beside(is_defect) | (rng.random(classes.shape) < _RANDOM / classes.size)
    for names in _HARDNESS:
        size = sum(np.abs(maps[CHANNELS.index(name)]) for name in names)
        size = np.where(is_defect, -np.inf, size)
        # Sorted, so that equal ones are chosen in the same order everywhere.
        hardest = np.argsort(-size, axis=None, kind="stable")[:_HARDEST]
        chosen.ravel()[hardest] = True
    return np.flatnonzero(chosen & ~is_defect)


def _beside(is_defect: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    beside = np.zeros_like(is_defect)
    for row, column in np.argwhere(is_defect):
        beside[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
    return beside


def _turn(patches: Maps, way: int) -> Maps:
    """Turn by quarters, and from the fourth way on mirror as well."""
    turned = np.rot90(patches, way % 4, axes=(2, 3))
    return np.ascontiguousarray(turned if way < 4 else turned[..., ::-1])
