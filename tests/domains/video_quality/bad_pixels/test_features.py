"""features: what maps say about pixels, compared with a plain computation."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.command_line import run
from domains.video_quality.bad_pixels import extract, features
from domains.video_quality.bad_pixels.clips import Clip, write_clip
from domains.video_quality.bad_pixels.footage import Grey
from domains.video_quality.bad_pixels.temporal import CHANNELS, temporal_maps
from tests.domains.video_quality.bad_pixels.files import (
    contents,
    make,
    read_json,
    write_lossless,
)


def _clip(folder: Path, frames: Grey, bits: int) -> Clip:
    return write_clip(folder, Path("a.mkv"), ((f, bits) for f in frames), 400)


def _plainly(
    frames: Grey, bits: int, noise: float
) -> dict[str, npt.NDArray[np.float64]]:
    """Compute the maps as their names say, with everything in memory."""
    levels = frames / (2**bits - 1)
    padded = np.pad(levels, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    height, width = frames.shape[1:]
    around = np.stack(
        [
            padded[:, y : y + height, x : x + width]
            for y in range(3)
            for x in range(3)
            if (y, x) != (1, 1)
        ]
    )
    medians = np.median(around, axis=0)
    residuals = levels - medians
    ranked, tenth = np.sort(residuals, axis=0), len(frames) // 10
    pixels, neighbours = levels.var(axis=0), medians.var(axis=0)
    together = (levels * medians).mean(axis=0) - levels.mean(axis=0) * medians.mean(
        axis=0
    )
    beyond = 4 * noise
    return {
        "residual_median": np.median(residuals, axis=0),
        "residual_low": ranked[tenth],
        "residual_high": ranked[-1 - tenth],
        "residual_lowest": ranked[0],
        "residual_highest": ranked[-1],
        "residual_deviation": residuals.std(axis=0),
        "residual_step": np.abs(np.diff(residuals, axis=0)).mean(axis=0),
        "pixel_deviation": np.sqrt(pixels),
        "neighbour_deviation": np.sqrt(neighbours),
        "neighbour_range": np.ptp(around, axis=0).mean(axis=0),
        "brighter": (levels > around.max(axis=0) + beyond).mean(axis=0),
        "darker": (levels < around.min(axis=0) - beyond).mean(axis=0),
        "pixel_level": np.median(levels, axis=0),
        "correlation": together
        / np.sqrt((pixels + beyond**2) * (neighbours + beyond**2)),
    }


def _check(folder: Path, frames: Grey, bits: int) -> None:
    maps, noise = temporal_maps(_clip(folder, frames, bits))
    assert 1 / (2**bits - 1) <= noise < 1
    expected = _plainly(frames, bits, noise)
    assert set(expected) == set(CHANNELS)
    for name, values in zip(CHANNELS, maps, strict=True):
        np.testing.assert_allclose(
            values, expected[name], rtol=1e-3, atol=2e-5, err_msg=name
        )


@given(
    frames=st.integers(8, 30),
    height=st.integers(8, 12),
    width=st.integers(8, 12),
    bits=st.sampled_from([8, 10, 16]),
    spread=st.integers(1, 8),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_maps_are_what_their_names_say(
    frames: int,
    height: int,
    width: int,
    bits: int,
    spread: int,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(2**bits, size=(frames, height, width)) // spread
    grey: Grey = values.astype(np.uint8) if bits == 8 else values.astype(np.uint16)
    _check(tmp_path_factory.mktemp("clip"), grey, bits)


def test_bands_leave_no_seam(tmp_path: Path) -> None:
    # More than fits one band, with a last one that is narrower.
    rng = np.random.default_rng(0)
    values = rng.integers(256, size=(90, 61, 150), dtype=np.uint8)
    _check(tmp_path, values, 8)


def _only(maps: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
    channel: npt.NDArray[np.float32] = maps[CHANNELS.index(name)]
    return channel


def test_a_single_defect_shows_where_it_is_and_nowhere_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = rng.normal(120, 2, size=(40, 30, 30)).round().astype(np.uint8)
    frames[:, 0, 29] = 0  # dead, in a corner
    frames[:, 9, 9] = 250  # stuck
    frames[::4, 20, 5] = 250  # flickering
    maps, _ = temporal_maps(_clip(tmp_path, frames, 8))
    median = _only(maps, "residual_median")
    assert median[0, 29] < -0.4 and median[9, 9] > 0.4
    assert _only(maps, "darker")[0, 29] == _only(maps, "brighter")[9, 9] == 1
    # A quarter of the time is not half of it.
    assert abs(median[20, 5]) < 0.02
    assert _only(maps, "brighter")[20, 5] == 0.25
    assert _only(maps, "residual_high")[20, 5] > 0.4
    for row, column in ((0, 29), (9, 9), (20, 5)):
        median[row, column] = 0
    assert np.abs(median).max() < 0.02


def test_clips_of_any_depth_of_folders_give_the_same_bytes(scratch: Path) -> None:
    videos = make("--videos", "2") / "videos"
    assert run("extract", extract.main, [str(videos), "--output_path", "all"]) == 0
    assert (
        run("features", features.main, ["all/clips", "--output_path", "at_once"]) == 0
    )
    for video in sorted(videos.iterdir()):
        into = ["--output_path", f"one/{video.name}"]
        assert run("extract", extract.main, [str(video), *into]) == 0
    assert run("features", features.main, ["one", "--output_path", "deeper"]) == 0
    assert contents(Path("deeper")) == contents(Path("at_once"))
    described = read_json(Path("deeper/maps/clip-0001.mkv/maps.json"))
    assert described["channels"] == list(CHANNELS)
    maps = np.load("deeper/maps/clip-0001.mkv/maps.npy", allow_pickle=False)
    assert maps.shape == (len(CHANNELS), 48, 64) and np.isfinite(maps).all()


@pytest.mark.parametrize(
    ("clips", "problem"),
    [
        ("nowhere", "folder nowhere does not exist; extract makes it"),
        ("empty", "empty holds no clip.json; extract makes them"),
        ("twice", "are both of a.mkv; keep one"),
        ("foreign", "foreign/clip.json was not written by this extract; run it again"),
        ("cut", "cut/frames.npy is damaged; extract the video again"),
        ("gone", "gone/frames.npy is damaged; extract the video again"),
        ("strange", "strange/clip.json is damaged; extract the video again"),
    ],
)
def test_a_wrong_request_leaves_nothing(
    clips: str,
    problem: str,
    scratch: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_lossless(Path("a.mkv"), np.zeros((9, 12, 12), dtype=np.uint8))
    for name in ("twice/1", "twice/2", "cut", "gone", "strange"):
        into = ["--output_path", f"runs/{name}"]
        assert run("extract", extract.main, ["a.mkv", *into]) == 0
        Path(name).parent.mkdir(exist_ok=True)
        os.rename(f"runs/{name}/clips/a.mkv", name)
    for name in ("empty", "foreign"):
        Path(name).mkdir()
    Path("foreign/clip.json").write_text('{"format": "other"}')
    Path("strange/clip.json").write_text('{"format": "bad_pixels-clip/1", "x": 1}')
    os.truncate("cut/frames.npy", 500)
    os.unlink("gone/frames.npy")
    capsys.readouterr()
    before = sorted(scratch.rglob("*"))
    assert run("features", features.main, [clips, "--output_path", "out"]) == 2
    errors = capsys.readouterr().err
    assert problem in errors and errors.count("\n") == 1
    assert sorted(scratch.rglob("*")) == before
