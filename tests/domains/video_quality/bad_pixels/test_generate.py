"""generate: footage with the defects that it says, the same bytes for the same seed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from common.command_line import run
from domains.video_quality.bad_pixels import generate
from domains.video_quality.bad_pixels.defects import KINDS
from domains.video_quality.bad_pixels.footage import read_frames
from tests.domains.video_quality.bad_pixels.files import contents, make, read_csv


@pytest.mark.parametrize("codec", ["ffv1", "h264"])
def test_one_more_video_leaves_the_others_as_they_are(
    codec: str, scratch: Path
) -> None:
    few = contents(make("--codec", codec, "--videos", "2", output="few"))
    more = contents(make("--codec", codec, "--videos", "3", output="more"))
    assert sorted(few) == [
        f"{part}/clip-000{number}.mkv{ending}"
        for part, ending in (("truth", ".csv"), ("videos", ""))
        for number in (1, 2)
    ]
    assert {name: more[name] for name in few} == few
    assert len(more) == len(few) + 2
    assert len(set(more.values())) == len(more)


def test_another_seed_gives_other_videos(scratch: Path) -> None:
    first = contents(make("--videos", "1", "--seed", "1", output="first"))
    second = contents(make("--videos", "1", "--seed", "2", output="second"))
    assert not set(first.values()) & set(second.values())


@pytest.mark.parametrize(("bits", "white"), [("8", 255), ("10", 1023)])
def test_the_defects_are_where_the_truth_says(
    bits: str, white: int, scratch: Path
) -> None:
    flags = ["--videos", "1", "--least_defects", "60", "--bits", bits]
    made = make(*flags, "--frames", "80")
    path = made / "videos" / "clip-0001.mkv"
    levels = np.stack([frame / white for frame, _ in read_frames(path)])
    assert levels.shape == (80, 48, 64)
    rows = read_csv(made / "truth" / "clip-0001.mkv.csv")
    places = [(int(row["row"]), int(row["column"])) for row in rows]
    assert places == sorted(set(places)) and len(places) == 60
    assert {row["kind"] for row in rows} == set(KINDS)
    healthy = np.ones((48, 64), dtype=bool)
    for row, place in zip(rows, places, strict=True):
        healthy[place] = False
        over_time = levels[:, *place]
        if row["kind"] == "dead":
            assert over_time.max() < 0.05
        elif row["kind"] == "stuck":
            assert over_time.std() < 0.02 and over_time.mean() > 0.3
        else:
            assert over_time.std() > 0.02
    # The scene moves, so what is healthy changes, and nothing else is always dark.
    assert levels[:, healthy].max(axis=0).min() > 0.05
    assert np.median(levels[:, healthy].std(axis=0)) > 0.01


def test_a_share_of_the_pixels_is_defective(scratch: Path) -> None:
    made = make("--videos", "1", "--defect_rate", "0.05", "--least_defects", "0")
    count = len(read_csv(made / "truth" / "clip-0001.mkv.csv"))
    # 154 of 3,072 are expected, with a deviation of 12.
    assert 100 < count < 210


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--width", "16"], "--width 16 is too small; use 32 or more"),
        (["--frames", "3"], "--frames 3 is too small; use 16 or more"),
        (["--codec", "h264", "--height", "49"], "--height 49 is odd; h264 needs an"),
        (["--codec", "h265"], "'h265' is none of ffv1, h264; did you mean h264?"),
        (["--crf", "52"], "--crf 52 is too large; use 51 or less"),
        (["--defect_rate", "1"], "'1' is not a number between 0 and 1"),
        (["--least_defects", "3073"], "--least_defects 3073 is more than a frame has"),
        (["--video", "3"], "--video; did you mean --videos?"),
    ],
)
def test_a_wrong_request_leaves_nothing(
    flags: list[str],
    problem: str,
    scratch: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small = ["--width", "64", "--height", "48"]
    assert run("generate", generate.main, [*small, *flags]) == 2
    errors = capsys.readouterr().err
    assert problem in errors and errors.count("\n") == 1
    assert os.listdir(scratch) == []
