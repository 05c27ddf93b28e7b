"""Maps on disk: one folder a video, with maps.json and maps.npy.

maps.npy has [channels, height, width] in half precision, as temporal.CHANNELS names
them. A video that could not be read leaves a maps.json that says so, and no maps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.json_files import write_json
from domains.video_quality.bad_pixels.clips import Clip
from domains.video_quality.bad_pixels.described import (
    find_described,
    read_description,
)
from domains.video_quality.bad_pixels.temporal import CHANNELS, Maps, temporal_maps

DESCRIPTION_FILE, MAPS_FILE = "maps.json", "maps.npy"
_FORMAT = "bad_pixels-maps/1"


@dataclass(frozen=True)
class FeatureMaps:
    """What each pixel of one video does over time.

    Attributes:
        video: The video's file name.
        frames: How many frames they are of.
        height: In pixels.
        width: In pixels.
        noise: How large residuals commonly are, as a share of white.
        problem: Why there are no maps; None if there are.
        folder: Where they lie.
    """

    video: str
    frames: int
    height: int
    width: int
    noise: float
    problem: str | None
    folder: Path

    def load(self) -> Maps:
        """Read the maps, [CHANNELS, height, width].

        Raises:
            UserError: They are missing or damaged.
        """
        path = self.folder / MAPS_FILE
        expected = (len(CHANNELS), self.height, self.width)
        try:
            maps = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            maps = None
        if maps is None or maps.shape != expected:
            raise UserError(f"{path} is missing or damaged; run features again")
        return np.asarray(maps, dtype=np.float32)


def write_maps(folder: Path, clip: Clip) -> FeatureMaps:
    """Compute the maps of a clip and write them to an existing folder.

    A clip without frames leaves a description that says why.
    """
    noise = 0.0
    if clip.problem is None:
        maps, noise = temporal_maps(clip)
        np.save(folder / MAPS_FILE, maps.astype(np.float16))
    described = {
        "video": clip.video,
        "frames": clip.frames,
        "height": clip.height,
        "width": clip.width,
        "noise": noise,
        "problem": clip.problem,
    }
    document = {"format": _FORMAT, **described, "channels": CHANNELS}
    write_json(folder / DESCRIPTION_FILE, document)
    return FeatureMaps(**described, folder=folder)  # type: ignore[arg-type]


def read_maps(folder: Path) -> FeatureMaps:
    """Read the description of a video's maps.

    Raises:
        UserError: It is missing or malformed, or of other maps than this code makes.
    """
    where = folder / DESCRIPTION_FILE
    described = read_description(where, _FORMAT, "features")
    try:
        channels = described.pop("channels")
        maps = FeatureMaps(**described, folder=folder)
    except (KeyError, TypeError):
        raise UserError(f"{where} is damaged; run features again") from None
    if channels != list(CHANNELS):
        raise UserError(f"{where} describes other maps; run features again")
    return maps


def find_maps(path: Path, warn: Callable[[str], None]) -> list[FeatureMaps]:
    """Find the maps of all videos in a folder, however deep.

    Args:
        path: The folder of one video's maps or of many.
        warn: Takes a line for each video that has none because it could not be read.

    Returns:
        The others, by the videos' names.

    Raises:
        UserError: There are none, or a description is malformed.
    """
    found = find_described(path, DESCRIPTION_FILE, read_maps, "features")
    for maps in found:
        if maps.problem is not None:
            warn(f"left out: {maps.video} {maps.problem}")
    usable = [maps for maps in found if maps.problem is None]
    if not usable:
        raise UserError(f"none of the {len(found)} videos of {path} could be read")
    return usable
