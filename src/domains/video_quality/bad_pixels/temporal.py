"""What each pixel does over time, compared with its neighbours: a stack of maps.

A sensor's defect stays where it is while the scene moves past it. So each pixel of each
frame is compared with the median of the eight pixels around it, which a single defect
does not move, and the difference (the residual) is described over time by ranks, which
the short passage of an edge does not move either. How far the neighbours lie apart, and
whether the pixel follows them when they change, tells a defect from a detail.

Frames are read in bands of rows, so memory does not grow with a video's length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from domains.video_quality.bad_pixels.clips import Clip, read_rows

# In the order of the maps. Levels are shares of white, from 0 to 1.
LEVELS = (
    "residual_median",
    "residual_low",  # the tenth that is lowest begins here
    "residual_high",
    "residual_lowest",
    "residual_highest",
    "residual_deviation",
    "residual_step",  # mean change from one frame to the next
    "pixel_deviation",
    "neighbour_deviation",
    "neighbour_range",  # mean over time
)
SHARES = (
    "brighter",  # of the frames, by more than noise, than all around it
    "darker",
    "pixel_level",  # median over time
    "correlation",  # of the pixel with the median around it, -1 to 1
)
CHANNELS = (*LEVELS, *SHARES)

_VALUES_IN_BAND = 500_000
_FRAMES_FOR_NOISE = 16
_NOISES = 4
# A sorting network for eight values, 19 comparisons in an order that fits (Knuth, The
# Art of Computer Programming, vol. 3, 5.3.4; Batcher's merge exchange).
_COMPARISONS = (
    (0, 4), (1, 5), (2, 6), (3, 7), (0, 2), (1, 3), (4, 6), (5, 7), (2, 4), (3, 5),
    (0, 1), (2, 3), (4, 5), (6, 7), (1, 4), (3, 6), (1, 2), (3, 4), (5, 6),
)  # fmt: skip
_AROUND = [(dy, dx) for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)]

Maps = npt.NDArray[np.float32]
_Values = npt.NDArray[np.int32]


@dataclass(frozen=True)
class _Band:
    """Rows of all frames, in halves of a grey level so that medians are whole.

    Attributes:
        pixels: [frames, rows, width].
        medians: Of the eight around each.
        lowest: Of the eight around each.
        highest: Of the eight around each.
    """

    pixels: _Values
    medians: _Values
    lowest: _Values
    highest: _Values


def temporal_maps(clip: Clip) -> tuple[Maps, float]:
    """Describe each pixel of a clip.

    Args:
        clip: Of a video that could be read.

    Returns:
        The maps, [CHANNELS, height, width], rounded to half precision; and the clip's
        noise as a share of white: the median size of residuals, as a standard
        deviation.
    """
    white = 2 * (2**clip.bits - 1)
    noise = _noise(clip)
    maps = np.empty((len(CHANNELS), clip.height, clip.width), dtype=np.float32)
    rows_in_band = max(1, _VALUES_IN_BAND // (clip.frames * clip.width))
    for first in range(0, clip.height, rows_in_band):
        rows = slice(first, min(first + rows_in_band, clip.height))
        band = _read_band(clip, rows)
        for channel, values in enumerate(_describe(band, _NOISES * noise)):
            scale = white if channel < len(LEVELS) else 1
            maps[channel, rows] = values / scale
    maps[CHANNELS.index("pixel_level")] /= white
    # To what is kept of it, so that who does not keep it computes the same.
    return maps.astype(np.float16).astype(np.float32), noise / white


def _noise(clip: Clip) -> float:
    """Measure how large residuals commonly are, in half levels, on some frames."""
    step = max(1, clip.frames // _FRAMES_FOR_NOISE)
    medians = []
    for frame in range(0, clip.frames, step):
        band = _read_band(clip, slice(0, clip.height), range(frame, frame + 1))
        medians.append(np.median(np.abs(band.pixels - band.medians)))
    # 1.4826 makes it the deviation of a normal distribution. A clip without any noise
    # counts as one that is exact to a level.
    return max(1.4826 * float(np.median(medians)), 2.0)


def _read_band(clip: Clip, rows: slice, frames: range | None = None) -> _Band:
    # At a border what lies on the other side counts twice, and never the pixel itself.
    wanted = np.abs(np.arange(rows.start - 1, rows.stop + 1))
    wanted = clip.height - 1 - np.abs(clip.height - 1 - wanted)
    first = int(wanted.min())
    grey = read_rows(clip, slice(first, int(wanted.max()) + 1), frames)
    padded = np.pad(grey[:, wanted - first], ((0, 0), (0, 0), (1, 1)), mode="reflect")
    height, width = rows.stop - rows.start, clip.width
    around = [padded[:, y : y + height, x : x + width] for y, x in _AROUND]
    for low, high in _COMPARISONS:
        around[low], around[high] = (
            np.minimum(around[low], around[high]),
            np.maximum(around[low], around[high]),
        )
    return _Band(
        pixels=2 * padded[:, 1:-1, 1:-1].astype(np.int32),
        medians=np.add(around[3], around[4], dtype=np.int32),
        lowest=2 * around[0].astype(np.int32),
        highest=2 * around[7].astype(np.int32),
    )


def _describe(band: _Band, beyond: float) -> Iterator[npt.NDArray[Any]]:
    """Give the values of each map, [rows, width], in half levels or as shares.

    Args:
        band: Rows of all frames.
        beyond: How far a pixel has to leave the range of those around it to count as
            brighter or darker, in half levels.
    """
    frames, rows, width = band.pixels.shape
    residuals = band.pixels - band.medians
    # Time last: values that are sorted together lie together.
    ranked = np.sort(residuals.reshape(frames, -1).T.copy(), axis=1)
    ranked = ranked.T.reshape(frames, rows, width)
    tenth = frames // 10
    yield (ranked[(frames - 1) // 2] + ranked[frames // 2]) / 2
    yield ranked[tenth]
    yield ranked[frames - 1 - tenth]
    yield ranked[0]
    yield ranked[-1]
    yield residuals.std(axis=0)
    yield np.abs(np.diff(residuals, axis=0)).mean(axis=0)
    pixels, medians = (
        values - values.mean(axis=0, dtype=np.float32)
        for values in (band.pixels, band.medians)
    )
    variances = [np.square(values).mean(axis=0) for values in (pixels, medians)]
    yield from (np.sqrt(variance) for variance in variances)
    yield (band.highest - band.lowest).mean(axis=0)
    yield (band.pixels > band.highest + beyond).mean(axis=0)
    yield (band.pixels < band.lowest - beyond).mean(axis=0)
    yield np.median(band.pixels, axis=0)
    # Where neither moves beyond the noise they count as unrelated.
    moved = np.sqrt((variances[0] + beyond**2) * (variances[1] + beyond**2))
    yield (pixels * medians).mean(axis=0) / moved
