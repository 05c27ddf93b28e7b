"""extract: the frames of a video as they are, spread over it, and damage reported."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.command_line import run
from domains.video_quality.bad_pixels import extract, features
from domains.video_quality.bad_pixels.clips import read_clip, read_rows, write_clip
from domains.video_quality.bad_pixels.footage import DamagedVideo, Grey, read_frames
from tests.domains.video_quality.bad_pixels.files import (
    contents,
    make,
    read_json,
    write_lossless,
)


def _noise(frames: int, bits: int, shape: tuple[int, int] = (24, 32)) -> Grey:
    values = np.random.default_rng(frames).integers(2**bits, size=(frames, *shape))
    return values.astype(np.uint8) if bits == 8 else values.astype(np.uint16)


def _extract(*arguments: str | Path) -> int:
    return run("extract", extract.main, [*map(str, arguments), "--output_path", "out"])


@pytest.mark.parametrize("bits", [8, 10])
def test_frames_are_what_was_filmed(bits: int, scratch: Path) -> None:
    frames = _noise(20, bits)
    write_lossless(Path("a.mkv"), frames, bits)
    assert _extract("a.mkv") == 0
    folder = Path("out/clips/a.mkv")
    kept = np.load(folder / "frames.npy", allow_pickle=False)
    np.testing.assert_array_equal(kept, frames)
    assert kept.dtype == frames.dtype
    assert read_json(folder / "clip.json") == {
        "format": "bad_pixels-clip/1",
        "video": "a.mkv",
        "frames": 20,
        "every": 1,
        "frames_read": 20,
        "height": 24,
        "width": 32,
        "bits": bits,
        "problem": None,
    }


@pytest.mark.parametrize(
    ("codec", "pixels", "bits"),
    [("ffv1", "yuv420p", 8), ("ffv1", "yuv420p10le", 10), ("ffv1", "bgr0", 8)],
)
def test_of_coloured_video_the_brightness_is_taken(
    codec: str, pixels: str, bits: int, scratch: Path
) -> None:
    # 33 pixels: a line in memory is longer than what it shows.
    frames = _noise(10, bits, (24, 33))
    with av.open("a.mkv", "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 24, 33, pixels
        for grey in frames:
            frame = av.VideoFrame(33, 24, pixels)
            if pixels == "bgr0":
                three = np.repeat(grey[:, :, None], 3, axis=2)
                frame = av.VideoFrame.from_ndarray(three, format="rgb24")
                frame = frame.reformat(format=pixels)
            else:
                plane = frame.planes[0]
                line = np.zeros((24, plane.line_size), dtype=np.uint8)
                line[:, : 33 * grey.itemsize] = grey.view(np.uint8).reshape(24, -1)
                plane.update(line.tobytes())
                for other in frame.planes[1:]:
                    other.update(bytes(other.buffer_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    read = list(read_frames(Path("a.mkv")))
    assert {found for _, found in read} == {bits}
    # Red, green and blue of a grey are weighed to that grey, up to rounding.
    np.testing.assert_allclose(
        np.stack([frame for frame, _ in read]).astype(int),
        frames,
        atol=pixels == "bgr0",
    )


@given(count=st.integers(8, 200), half=st.integers(8, 30))
@settings(max_examples=60, deadline=None)
def test_frames_are_spread_evenly(
    count: int, half: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("clip")
    numbered = (np.full((8, 9), n, dtype=np.uint16) for n in range(count))
    limit = 2 * half
    clip = write_clip(folder, Path("a.mkv"), ((f, 16) for f in numbered), limit)
    kept = np.load(folder / "frames.npy")[:, 0, 0].tolist()
    assert kept == list(range(0, count, clip.every))
    assert len(kept) == clip.frames == min(count, len(kept)) <= limit
    assert len(kept) > half or count <= limit
    assert clip.frames_read == count
    assert read_clip(folder) == clip


@given(
    rows=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    frames=st.tuples(st.integers(0, 9), st.integers(1, 3)),
)
@settings(max_examples=40, deadline=None)
def test_rows_are_read_alone(
    rows: tuple[int, int],
    frames: tuple[int, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("clip")
    filmed = _noise(10, 10, (10, 11))
    clip = write_clip(folder, Path("a.mkv"), ((f, 10) for f in filmed), 16)
    some, which = slice(min(rows), max(rows) + 1), range(frames[0], 10, frames[1])
    np.testing.assert_array_equal(read_rows(clip, some), filmed[:, some])
    np.testing.assert_array_equal(
        read_rows(clip, some, which), filmed[frames[0] :: frames[1], some]
    )


def test_the_same_video_gives_the_same_bytes(scratch: Path) -> None:
    made = make("--videos", "2")
    assert _extract(made / "videos") == 0
    first = contents(Path("out"))
    assert _extract(made / "videos" / "clip-0002.mkv", made / "videos") == 0
    assert contents(Path("out")) == first
    # One by one, as a pipeline calls it.
    assert _extract(made / "videos" / "clip-0001.mkv") == 0
    alone = contents(Path("out"))
    assert alone == {name: first[name] for name in first if "0001" in name}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _cut_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[2 * len(content) // 3] ^= 0x10
    path.write_bytes(content)


def _replace(content: bytes) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.write_bytes(content)

    return replace


def _short(path: Path) -> None:
    write_lossless(path, _noise(7, 8))


def _tiny(path: Path) -> None:
    write_lossless(path, _noise(20, 8, (6, 40)))


_DAMAGES = [
    (_cut, r"is whole up to \d+ frames: file ended prematurely", range(5, 20)),
    (_cut_end, r"is whole up to \d+ frames: .*", range(20, 24)),
    (_flip, r"is whole up to \d+ frames: slice crc mismatch \w+", range(8, 20)),
    (_replace(b""), "cannot be read as a video: .*", range(1)),
    (_replace(b"row,column\n" * 99), "cannot be read as a video: .*", range(1)),
    (_short, "has 7 frames; 8 or more are needed", range(7, 8)),
    (_tiny, "has frames of 40 x 6 pixels; 8 x 8 or more are needed", range(20, 21)),
]


@pytest.mark.parametrize(("damage", "problem", "readable"), _DAMAGES)
def test_damage_is_reported_or_passed_over(
    damage: Callable[[Path], None],
    problem: str,
    readable: range,
    scratch: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    videos = make("--videos", "2") / "videos"
    bad = videos / "clip-0001.mkv"
    damage(bad)
    capsys.readouterr()
    assert _extract(videos) == 2
    expected = rf"extract: error: {bad} {problem} \(--on_error skip leaves it out\)\n"
    assert re.fullmatch(expected, capsys.readouterr().err)
    assert os.listdir() == ["made"]

    assert _extract(videos, "--on_error", "skip") == 0
    captured = capsys.readouterr()
    assert re.fullmatch(rf"left out: {bad} {problem}\n", captured.err)
    assert "24 frames of 1 of 2 videos" in captured.out
    assert os.listdir("out/clips/clip-0001.mkv") == ["clip.json"]
    described = read_json(Path("out/clips/clip-0001.mkv/clip.json"))
    assert re.fullmatch(problem, described["problem"])
    assert described["frames_read"] in readable

    # What follows passes over it, and says so.
    flags = ["out/clips", "--output_path", "maps"]
    assert run("features", features.main, flags) == 0
    assert re.fullmatch(
        rf"left out: clip-0001.mkv {problem}\n", capsys.readouterr().err
    )
    assert os.listdir("maps/maps/clip-0001.mkv") == ["maps.json"]
    assert len(os.listdir("maps/maps/clip-0002.mkv")) == 2


@given(place=st.floats(0.02, 0.95), byte=st.integers(1, 255))
@settings(max_examples=30, deadline=None)
def test_no_damage_to_a_lossless_picture_goes_unseen(
    place: float, byte: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("video") / "a.mkv"
    frames = _noise(12, 8)
    write_lossless(path, frames)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= byte
    path.write_bytes(content)
    read = []
    try:
        for frame, _ in read_frames(path):
            read.append(frame)
    except DamagedVideo as error:
        assert error.frames_read == len(read)
    else:
        # The byte was none of a picture, such as the time of one.
        assert len(read) == 12
    for frame, filmed in zip(read, frames, strict=False):
        np.testing.assert_array_equal(frame, filmed)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "the following arguments are required: PATH"),
        (["nowhere"], "nowhere does not exist"),
        (["empty"], "folder empty holds no videos"),
        (["."], "is a folder; name it to have its videos read"),
        (["one/a.mkv", "two/a.mkv"], "one/a.mkv and two/a.mkv have the same name"),
        (["one", "--frames", "15"], "'15' is not a whole number from 16"),
        (["one", "--on_error", "skipp"], "did you mean skip?"),
    ],
)
def test_a_wrong_request_leaves_nothing(
    arguments: list[str],
    problem: str,
    scratch: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("one", "two", "empty"):
        Path(name).mkdir()
        if name != "empty":
            write_lossless(Path(name, "a.mkv"), _noise(9, 8))
    before = sorted(scratch.rglob("*"))
    assert _extract(*arguments) == 2
    errors = capsys.readouterr().err
    assert problem in errors and errors.count("\n") == 1
    assert sorted(scratch.rglob("*")) == before
