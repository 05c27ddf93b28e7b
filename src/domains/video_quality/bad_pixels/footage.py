"""Read and write video files, one frame at a time, by FFmpeg's libraries (PyAV)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.logging
import numpy as np
import numpy.typing as npt
from av.codec.context import Flags

from common.errors import UserError

# Grey frames as a sensor gives them: 8 bits in uint8, more in uint16.
Grey = npt.NDArray[np.unsignedinteger[Any]]

_FRAMES_A_SECOND = 25
_MATROSKA = "matroska"
_ENCODERS = {
    # Version 3 has a checksum for each slice, so that damage is seen.
    "ffv1": ("ffv1", {"level": "3", "slicecrc": "1", "slices": "4"}),
    "h264": ("libx264", {"preset": "fast"}),
}


class DamagedVideo(UserError):
    """A video that cannot be used.

    Attributes:
        path: Where it is.
        problem: What is wrong with it, without the path.
        frames_read: How many frames could be read.
    """

    def __init__(self, path: Path, problem: str, frames_read: int) -> None:
        super().__init__(path, problem, frames_read)
        self.path = path
        self.problem = problem
        self.frames_read = frames_read

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.path} {self.problem}"


def find_videos(paths: Sequence[Path]) -> list[Path]:
    """List the files among the paths and the files in the folders, by name.

    Args:
        paths: Files, or folders that hold videos and nothing else; hidden files are
            passed over.

    Raises:
        UserError: A path does not exist, a folder is empty or holds a folder, or two
            files have the same name, by which videos are told apart.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} does not exist")
        inside = [path]
        if path.is_dir():
            inside = [one for one in path.iterdir() if not one.name.startswith(".")]
            if not inside:
                raise UserError(f"folder {path} holds no videos")
        for video in inside:
            if video.is_dir():
                raise UserError(f"{video} is a folder; name it to have its videos read")
            other = found.setdefault(video.name, video)
            if not other.samefile(video):
                raise UserError(f"{other} and {video} have the same name; rename one")
    return [found[name] for name in sorted(found)]


def read_frames(path: Path) -> Iterator[tuple[Grey, int]]:
    """Decode a video's first video stream, holding one frame at a time.

    Args:
        path: A file of any format and codec that FFmpeg reads. Of coloured video the
            luma is taken, as it is coded.

    Yields:
        Frames, [height, width], and how many bits a value has.

    Raises:
        DamagedVideo: The file is no video, is damaged, ends before the time that it
            says it lasts, or changes its size on the way. The frames before that have
            been given.
    """
    count, end = 0, Fraction(0)
    try:
        with _errors_logged() as errors, av.open(str(path)) as container:
            if not container.streams.video:
                raise DamagedVideo(path, "holds no video", 0)
            stream = container.streams.video[0]
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
            # Others would log to nowhere; several videos can be read side by side.
            stream.codec_context.thread_count = 1
            duration = _duration(container)
            interval = 1 / stream.average_rate if stream.average_rate else Fraction(0)
            first: Fraction | None = None
            shape: tuple[int, ...] | None = None
            for frame in container.decode(stream):
                if errors or frame.is_corrupt:
                    break
                grey, bits = _luma(frame)
                if shape not in (None, grey.shape):
                    raise _damaged(path, count, "the next one has another size")
                shape = grey.shape
                if frame.pts is not None and frame.time_base is not None:
                    time = frame.pts * frame.time_base
                    first = time if first is None else first
                    lasts = frame.duration * frame.time_base or interval
                    end = time - first + lasts
                yield grey, bits
                count += 1
            if errors:
                raise _damaged(path, count, errors[0][2])
    except av.FFmpegError as error:
        problem = str(error.strerror or error)
        if not count:
            problem = f"cannot be read as a video: {_short(problem)}"
            raise DamagedVideo(path, problem, 0) from None
        raise _damaged(path, count, problem) from None
    if not count:
        raise DamagedVideo(path, "holds no frames", 0)
    if interval and duration is not None and duration - end > interval / 2:
        announced = round(duration / interval)
        raise _damaged(path, count, f"it should have about {announced:,}")


def write_video(
    path: Path, frames: Iterable[Grey], *, codec: str, bits: int, crf: int
) -> None:
    """Encode grey frames to a Matroska file; the same frames give the same bytes.

    Args:
        path: The file to write.
        frames: [height, width] each, all of one size, with sides that are even.
        codec: "ffv1", which is lossless, or "h264", which is not.
        bits: 8 (frames of uint8) or 10 (uint16).
        crf: The quality of h264, 0 (best) to 51.
    """
    encoder, options = _ENCODERS[codec]
    if codec == "h264":
        options = {**options, "crf": str(crf)}
    pixels = "gray" if bits == 8 else f"gray{bits}le"
    with av.open(
        str(path), "w", format=_MATROSKA, options={"fflags": "+bitexact"}
    ) as container:
        stream: av.VideoStream | None = None
        for number, grey in enumerate(frames):
            if stream is None:
                added = container.add_stream(
                    encoder, rate=_FRAMES_A_SECOND, options=options
                )
                assert isinstance(added, av.VideoStream)
                stream = added
                stream.height, stream.width = grey.shape
                stream.pix_fmt = pixels
                # No version, time or random number; no order that depends on threads.
                stream.codec_context.flags |= Flags.bitexact
                stream.codec_context.thread_count = 1
            frame = av.VideoFrame.from_ndarray(grey, format=pixels)
            frame.pts = number
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode())


def _duration(container: av.container.InputContainer) -> Fraction | None:
    """Tell how long the video says it lasts, in seconds; None if it does not say."""
    stream = container.streams.video[0]
    if stream.duration is not None and stream.time_base is not None:
        return stream.duration * stream.time_base
    # Of all streams together, so it says nothing about one of several.
    if container.duration is not None and len(container.streams) == 1:
        return Fraction(container.duration, av.time_base)
    return None


def _damaged(path: Path, frames: int, problem: str) -> DamagedVideo:
    readable = f"{frames:,} frame" + "s"[: frames != 1]
    return DamagedVideo(path, f"is whole up to {readable}: {_short(problem)}", frames)


def _short(problem: str) -> str:
    return " ".join(problem.lower().split()).rstrip(".!")


@contextmanager
def _errors_logged() -> Iterator[list[tuple[int, str, str]]]:
    """Collect what FFmpeg logs as an error in this thread.

    Of some damage, such as a slice of ffv1 whose checksum is wrong, it says nothing
    else, and gives a frame that is patched up from the one before.
    """
    level, skipping = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    # Else how often a line was repeated would be told with the next video's.
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture(local=True) as errors:
            yield errors
    finally:
        av.logging.set_skip_repeated(skipping)
        av.logging.set_level(level)


def _luma(frame: av.VideoFrame) -> tuple[Grey, int]:
    """Give a frame's brightness as it is coded, and its bits."""
    pixels = frame.format
    bits = pixels.components[0].bits
    if pixels.is_rgb or not pixels.name.startswith(("gray", "yuv", "nv")):
        if bits <= 8:
            return frame.to_ndarray(format="gray").astype(np.uint8, copy=False), 8
        return frame.to_ndarray(format="gray16le").astype(np.uint16, copy=False), 16
    plane = frame.planes[0]
    # A buffer, which its type does not say.
    content: Any = plane
    values: Grey = np.frombuffer(content, dtype=np.uint8 if bits <= 8 else "<u2")
    rows: Grey = values.reshape(plane.height, -1)[:, : plane.width]
    return np.ascontiguousarray(rows), bits
