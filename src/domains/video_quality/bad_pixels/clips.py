"""Sampled frames on disk: one folder a video, with clip.json and frames.npy.

frames.npy has [frames, height, width] in NumPy's format, frame after frame, so that it
can be written as frames come, and read row by row, without having all in memory. A
video that could not be read leaves a clip.json that says so, and no frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from common.errors import UserError
from common.json_files import write_json
from domains.video_quality.bad_pixels.described import (
    find_described,
    read_description,
)
from domains.video_quality.bad_pixels.footage import (
    DamagedVideo,
    Grey,
    read_frames,
)

CLIP_FILE, FRAMES_FILE = "clip.json", "frames.npy"
_FORMAT = "bad_pixels-clip/1"
# Statistics over time say nothing about fewer, nor does a neighbourhood at the border.
_LEAST_FRAMES, _LEAST_SIDE = 8, 8


@dataclass(frozen=True)
class Clip:
    """Frames of one video.

    Attributes:
        video: The video's file name.
        frames: How many were kept.
        every: One of so many was kept.
        frames_read: How many the video has, or how many of a damaged one were read.
        height: In pixels.
        width: In pixels.
        bits: Of a value; white is 2**bits - 1.
        problem: Why there are no frames; None if there are.
        folder: Where it lies.
    """

    video: str
    frames: int
    every: int
    frames_read: int
    height: int
    width: int
    bits: int
    problem: str | None
    folder: Path


def write_clip(
    folder: Path, video: Path, frames: Iterable[tuple[Grey, int]], limit: int
) -> Clip:
    """Keep frames of a video, spread evenly over all of it.

    How long a video is shows at its end only. So all frames are kept up to the limit;
    then every other one is dropped, and from there on every other one is kept, and so
    on: in the end there are between half the limit and the limit.

    Args:
        folder: An existing folder, for clip.json and frames.npy.
        video: Where the frames come from.
        frames: Frames and their bits, as footage.read_frames gives them.
        limit: The most frames to keep; an even number is used up best.

    Returns:
        What was kept.

    Raises:
        DamagedVideo: From the frames, or because they are too few or too small. No
            frames are left.
    """
    path = folder / FRAMES_FILE
    kept, every, count, bits = 0, 1, 0, 8
    grey: Grey | None = None
    try:
        with path.open("w+b") as file:
            for frame in frames:
                grey, bits = frame
                if not count:
                    start = _write_header(file, grey, 0)
                if count % every == 0:
                    if kept == limit:
                        _drop_every_other(file, start, grey.nbytes, kept)
                        kept, every = (kept + 1) // 2, 2 * every
                        file.seek(start + kept * grey.nbytes)
                    if count % every == 0:
                        file.write(grey.tobytes())
                        kept += 1
                count += 1
            assert grey is not None
            _check_size(video, kept, grey.shape)
            file.truncate(start + kept * grey.nbytes)
            _write_header(file, grey, kept)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    height, width = grey.shape
    clip = Clip(video.name, kept, every, count, height, width, bits, None, folder)
    _write_description(clip)
    return clip


def extract_clip(
    video: Path, folder: Path, limit: int, on_error: str, warn: Callable[[str], None]
) -> Clip:
    """Keep frames of a video file, or say why there are none.

    Args:
        video: The file.
        folder: An existing folder, for clip.json and frames.npy.
        limit: The most frames to keep.
        on_error: What to do about a damaged file: "fail", or "skip", which leaves a
            clip.json with the problem.
        warn: Takes a line about a file that is skipped.

    Raises:
        UserError: The file is damaged, and that is to fail.
    """
    try:
        return write_clip(folder, video, read_frames(video), limit)
    except DamagedVideo as error:
        if on_error == "fail":
            raise UserError(f"{error} (--on_error skip leaves it out)") from None
        warn(f"left out: {error}")
        read, problem = error.frames_read, error.problem
        clip = Clip(video.name, 0, 1, read, 0, 0, 0, problem, folder)
        _write_description(clip)
        return clip


def find_clips(path: Path) -> list[Clip]:
    """Read the descriptions of all clips in a folder, however deep.

    Args:
        path: The folder of one clip or of many.

    Returns:
        Them, by the videos' names.

    Raises:
        UserError: There are none, two are of videos with the same name, or a
            description is malformed.
    """
    return find_described(path, CLIP_FILE, read_clip, "extract")


def read_clip(folder: Path) -> Clip:
    """Read the description of a clip.

    Raises:
        UserError: It is missing or malformed, or the frames are not all there.
    """
    where = folder / CLIP_FILE
    described = read_description(where, _FORMAT, "extract")
    try:
        clip = Clip(**described, folder=folder)
    except TypeError:
        raise UserError(f"{where} is damaged; extract the video again") from None
    if clip.problem is None:
        frames = folder / FRAMES_FILE
        try:
            there = np.load(frames, mmap_mode="r", allow_pickle=False).shape
        except (OSError, ValueError):
            there = ()
        if there != (clip.frames, clip.height, clip.width):
            raise UserError(f"{frames} is damaged; extract the video again")
    return clip


def read_rows(clip: Clip, rows: slice, frames: range | None = None) -> Grey:
    """Read some rows of frames, and nothing else of the file.

    Args:
        clip: Of a video that could be read.
        rows: First and last but one.
        frames: Which frames; all if None.

    Returns:
        [frames, rows, width], of the file's type.
    """
    frames = range(clip.frames) if frames is None else frames
    depth = np.dtype(np.uint8 if clip.bits <= 8 else np.uint16)
    count = (rows.stop - rows.start) * clip.width
    values = np.empty((len(frames), count), dtype=depth)
    with (clip.folder / FRAMES_FILE).open("rb") as file:
        # Not by a memory map: the system would count every page that was touched as
        # memory of this process.
        size = clip.height * clip.width * depth.itemsize
        start = file.seek(0, 2) - clip.frames * size
        for place, frame in enumerate(frames):
            file.seek(start + frame * size + rows.start * clip.width * depth.itemsize)
            file.readinto(memoryview(values[place]).cast("B"))
    return values.reshape(len(frames), -1, clip.width)


def _write_description(clip: Clip) -> None:
    described = asdict(clip)
    del described["folder"]
    write_json(clip.folder / CLIP_FILE, {"format": _FORMAT, **described})


def _write_header(file: BinaryIO, grey: Grey, frames: int) -> int:
    """Write the head of an .npy file; return its size, the same for any length.

    NumPy leaves room in it for the first dimension to grow.
    """
    file.seek(0)
    np.lib.format.write_array_header_1_0(
        file,
        {
            "descr": np.lib.format.dtype_to_descr(grey.dtype),
            "fortran_order": False,
            "shape": (frames, *grey.shape),
        },
    )
    return file.tell()


def _drop_every_other(file: BinaryIO, start: int, size: int, frames: int) -> None:
    for place in range(1, (frames + 1) // 2):
        file.seek(start + 2 * place * size)
        frame = file.read(size)
        file.seek(start + place * size)
        file.write(frame)


def _check_size(video: Path, frames: int, shape: tuple[int, ...]) -> None:
    if frames < _LEAST_FRAMES:
        problem = f"has {frames} frames; {_LEAST_FRAMES} or more are needed"
        raise DamagedVideo(video, problem, frames)
    if min(shape) < _LEAST_SIDE:
        size, least = f"{shape[1]} x {shape[0]}", f"{_LEAST_SIDE} x {_LEAST_SIDE}"
        problem = f"has frames of {size} pixels; {least} or more are needed"
        raise DamagedVideo(video, problem, frames)
