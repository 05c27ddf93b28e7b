"""train, evaluate and score, called as a user calls them.

One file with one trained network, because importing torch and training take longer than
everything else.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from common.command_line import run
from domains.video_quality.bad_pixels import evaluate, features, score, train
from domains.video_quality.bad_pixels.defects import KINDS
from tests.domains.video_quality.bad_pixels.files import (
    contents,
    describe,
    make,
    read_csv,
    read_json,
    write_lossless,
)

pytestmark = pytest.mark.usefixtures("one_thread")

_COMMANDS: dict[str, Callable[[Sequence[str] | None], None]] = {
    "features": features.main,
    "train": train.main,
    "evaluate": evaluate.main,
    "score": score.main,
}
_OUTPUTS = Path("outputs/video_quality/bad_pixels")
_VIDEOS = 16


@dataclass(frozen=True)
class Trained:
    """A training run and an evaluation: where, and what they printed.

    Attributes:
        home: The working directory; outputs are where they are by default.
        screens: What was printed, by command.
    """

    home: Path
    screens: dict[str, str]

    def output(self, command: str) -> Path:
        """Tell where a command has left its outputs."""
        return self.home / _OUTPUTS / command


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Make footage, and train and score a network with it in an empty folder."""
    home, screens = tmp_path_factory.mktemp("home"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        flags = ["--videos", str(_VIDEOS), "--least_defects", "15", "--frames", "32"]
        made = make(*flags, output=_OUTPUTS / "generate")
        shutil.move(describe(made / "videos", home), home / _OUTPUTS / "maps")
        os.mkdir(_OUTPUTS / "features")
        os.rename(_OUTPUTS / "maps", _OUTPUTS / "features" / "maps")
        for command, of_command in (
            ("train", ["--epochs", "8"]),
            ("evaluate", []),
        ):
            with (home / "log").open("w") as file:
                patch.setattr(sys, "stdout", file)
                assert run(command, _COMMANDS[command], of_command) == 0
            screens[command] = (home / "log").read_text()
    (home / "log").unlink()
    return Trained(home, screens)


@pytest.fixture
def home(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where the trained network is found by default."""
    monkeypatch.chdir(trained.home)
    return trained.home


def test_the_network_finds_what_the_usual_detector_misses(trained: Trained) -> None:
    metrics = read_json(trained.output("evaluate") / "metrics.json")
    network, classical = metrics["network"], metrics["classical"]
    assert network["average_precision"] > classical["average_precision"] + 0.15
    recalls = [of["at_wanted_precision"]["recall"] for of in (network, classical)]
    assert recalls[0] > recalls[1] + 0.15
    flickering = [of["kinds"]["flickering"]["recall"] for of in (network, classical)]
    assert flickering[0] > flickering[1] + 0.3


def test_the_scores_add_up(trained: Trained) -> None:
    output = trained.output("evaluate")
    metrics = read_json(output / "metrics.json")
    rows = read_csv(output / "defects.csv")
    truth = trained.output("generate") / "truth"
    # Only the test videos, and all of their defects.
    videos = {row["video"] for row in rows}
    assert 0 < metrics["videos"] == len(videos) < _VIDEOS
    assert metrics["pixels"] == metrics["videos"] * 48 * 64
    planted = {
        (video, row["row"], row["column"]): row["kind"]
        for video in videos
        for row in read_csv(truth / f"{video}.csv")
    }
    listed = {(row["video"], row["row"], row["column"]): row for row in rows}
    assert planted == {
        place: row["kind"] for place, row in listed.items() if row["kind"] != "healthy"
    }
    network = metrics["network"]
    reported = [row for row in rows if row["found_as"] != "healthy"]
    found = [row for row in reported if row["kind"] != "healthy"]
    assert metrics["defects"] == network["defects"] == len(planted)
    assert (network["reported"], network["found"]) == (len(reported), len(found))
    assert network["precision"] == len(found) / len(reported)
    assert network["recall"] == len(found) / len(planted)
    for row in rows:
        is_reported = float(row["confidence"]) >= network["threshold"] - 1e-6
        assert is_reported == (row["found_as"] != "healthy")
    for kind in KINDS:
        of_kind = network["kinds"][kind]
        named = [row for row in reported if row["found_as"] == kind]
        right = [row for row in named if row["kind"] == kind]
        assert of_kind["defects"] == list(planted.values()).count(kind)
        assert of_kind["found"] == [row["kind"] for row in found].count(kind)
        assert (of_kind["named"], of_kind["named_right"]) == (len(named), len(right))
    of_classical = [row for row in rows if row["classical"] == "defect"]
    hits = [row for row in of_classical if row["kind"] != "healthy"]
    assert metrics["classical"]["found"] == len(hits)


def test_the_thresholds_are_those_of_the_wanted_precision(trained: Trained) -> None:
    scores = read_json(trained.output("train") / "metrics.json")
    model = read_json(trained.output("train") / "model" / "model.json")
    metrics = read_json(trained.output("evaluate") / "metrics.json")
    assert scores["wanted_precision"] == model["precision"] == 0.9
    for name, chosen in scores["validation"].items():
        assert chosen["precision"] >= 0.9
        assert (
            model["thresholds"][name] == metrics[name]["threshold"] == chosen["score"]
        )


def test_a_run_leaves_scores_and_pictures(trained: Trained) -> None:
    names = ["history.csv", "learning_curves.png", "metrics.json", "model", "run.json"]
    assert sorted(os.listdir(trained.output("train"))) == names
    names = ["defects.csv", "metrics.json", "precision_recall.png"]
    names += ["recall_by_kind.png", "run.json"]
    assert sorted(os.listdir(trained.output("evaluate"))) == names
    for command in ("train", "evaluate"):
        for picture in trained.output(command).glob("*.png"):
            with Image.open(picture) as image:
                image.load()
    rows = read_csv(trained.output("train") / "history.csv")
    assert [int(row["number"]) for row in rows] == list(range(1, 9))
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"]) / 10


def test_the_screen_ends_with_scores_and_the_next_command(trained: Trained) -> None:
    of_train, of_evaluate = trained.screens["train"], trained.screens["evaluate"]
    assert re.match(
        r"training: \d+ videos, [\d,]+ patches\nvalidation: \d+ videos, ", of_train
    )
    assert of_train.count("epoch ") == 8
    assert (
        "Validation     " in of_train and f"Written to     {_OUTPUTS}/train" in of_train
    )
    for screen, command in ((of_train, "evaluate"), (of_evaluate, "score")):
        target = f"./pants run src/domains/video_quality/bad_pixels:{command}"
        assert screen.splitlines()[-1].startswith(f"Next           {target}")
    metrics = read_json(trained.output("evaluate") / "metrics.json")
    network = metrics["network"]
    assert f"{network['found']} of {network['defects']} defects found" in of_evaluate
    assert max(map(len, (of_train + of_evaluate).splitlines())) < 100


def test_the_same_seed_gives_the_same_bytes(home: Path, tmp_path: Path) -> None:
    flags = ["--epochs", "8", "--output_path", str(tmp_path / "again")]
    assert run("train", train.main, flags) == 0
    assert contents(tmp_path / "again") == contents(home / _OUTPUTS / "train")
    flags = ["--model_path", str(tmp_path / "again/model")]
    into = ["--output_path", str(tmp_path / "scores")]
    assert run("evaluate", evaluate.main, [*flags, *into]) == 0
    assert contents(tmp_path / "scores") == contents(home / _OUTPUTS / "evaluate")


def test_score_finds_in_the_videos_what_evaluate_found(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = read_csv(home / _OUTPUTS / "evaluate" / "defects.csv")
    names = sorted({row["video"] for row in scored})
    videos = [str(home / _OUTPUTS / "generate" / "videos" / name) for name in names]
    output = tmp_path / "found"
    assert run("score", score.main, [*videos, "--output_path", str(output)]) == 0
    found = read_csv(output / "defects.csv")
    counts = f"{len(found):,} defective pixels in {len(names)} of {len(names)} videos"
    assert counts in capsys.readouterr().out
    assert found == [
        {
            "video": row["video"],
            "row": row["row"],
            "column": row["column"],
            "kind": row["found_as"],
            "confidence": row["confidence"],
        }
        for row in scored
        if row["found_as"] != "healthy"
    ]
    assert sorted(os.listdir(output / "overlays")) == [f"{name}.png" for name in names]
    summary = read_csv(output / "videos.csv")
    assert [row["video"] for row in summary] == names
    assert sum(int(row["defects"]) for row in summary) == len(found)
    with Image.open(output / "overlays" / f"{names[0]}.png") as image:
        colours = {
            tuple(colour)
            for colour in np.asarray(image.convert("RGB")).reshape(-1, 3).tolist()
        }
    # The markers of the legend, at least.
    assert {(0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0x00), (0xF0, 0xE4, 0x42)} <= colours


def test_score_marks_the_frame_where_the_defects_are(
    home: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    frames = rng.normal(120, 2, size=(24, 64, 64)).round().astype(np.uint8)
    frames[:, 10, 50] = 0
    frames[:, 30, 20] = 250
    frames[rng.random(24) < 0.4, 55, 40] = 250
    write_lossless(tmp_path / "a.mkv", frames)
    flags = [str(tmp_path / "a.mkv"), "--output_path", str(tmp_path / "found")]
    assert run("score", score.main, flags) == 0
    rows = read_csv(tmp_path / "found" / "defects.csv")
    assert [tuple(row.values())[:4] for row in rows] == [
        ("a.mkv", "10", "50", "dead"),
        ("a.mkv", "30", "20", "stuck"),
        ("a.mkv", "55", "40", "flickering"),
    ]


def test_score_stops_at_damage_or_leaves_it_out(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = tmp_path / "videos"
    shutil.copytree(home / _OUTPUTS / "generate" / "videos", videos)
    for path in sorted(videos.iterdir())[3:]:
        path.unlink()
    bad = videos / "clip-0002.mkv"
    bad.write_bytes(bad.read_bytes()[:9000])
    output = tmp_path / "found"
    flags = [str(videos), "--output_path", str(output)]
    assert run("score", score.main, flags) == 2
    expected = rf"score: error: {bad} is whole up to \d+ frames: .*--on_error skip.*\n"
    assert re.fullmatch(expected, capsys.readouterr().err)
    assert not output.exists()

    assert run("score", score.main, [*flags, "--on_error", "skip"]) == 0
    captured = capsys.readouterr()
    assert re.fullmatch(rf"left out: {bad} is whole up to .*\n", captured.err)
    assert " in 2 of 3 videos" in captured.out
    rows = {row["video"]: row for row in read_csv(output / "videos.csv")}
    assert rows["clip-0002.mkv"]["problem"].startswith("is whole up to ")
    assert rows["clip-0001.mkv"]["problem"] == ""
    assert len(os.listdir(output / "overlays")) == 2

    flags = [str(bad), "--on_error", "skip", "--output_path", str(tmp_path / "none")]
    assert run("score", score.main, flags) == 2
    assert not (tmp_path / "none").exists()


def test_training_passes_over_a_video_that_could_not_be_read(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = tmp_path / "maps"
    shutil.copytree(home / _OUTPUTS / "features" / "maps", maps)
    problem = "is whole up to 3 frames: end of file"
    for name in ("maps.json", "maps.npy"):
        path = maps / "clip-0001.mkv" / name
        described = read_json(path) if name == "maps.json" else {}
        path.unlink()
        if described:
            path.write_text(json.dumps({**described, "problem": problem}))
    flags = ["--maps_path", str(maps), "--epochs", "1"]
    assert run("train", train.main, [*flags, "--output_path", str(tmp_path / "o")]) == 0
    assert f"left out: clip-0001.mkv {problem}\n" in capsys.readouterr().err


def test_divergence_is_reported_and_leaves_nothing(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--epochs", "2", "--learning_rate", "1e30"]
    output = tmp_path / "out"
    assert run("train", train.main, [*flags, "--output_path", str(output)]) == 1
    assert re.fullmatch(
        r"train: error: training diverged: .*--learning_rate.*\n",
        capsys.readouterr().err,
    )
    assert os.listdir(tmp_path) == []


def _describe_model(**changes: object) -> Callable[[Path], None]:
    def describe_model(folder: Path) -> None:
        path = folder / "model" / "model.json"
        path.write_text(json.dumps({**read_json(path), **changes}))

    return describe_model


def _other_shape(folder: Path) -> None:
    path = folder / "model" / "model.safetensors"
    tensors = load_file(path)
    tensors["layers.0.bias"] = np.zeros(3, dtype=np.float32)
    save_file(tensors, path)


def _truth(*lines: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for path in (folder / "truth").iterdir():
            with path.open("w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(
                    line.split(",") for line in lines
                )

    return write


def _remove(pattern: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for path in folder.glob(pattern):
            path.unlink()

    return remove


def _cut_maps(folder: Path) -> None:
    for path in folder.glob("maps/*/maps.npy"):
        os.truncate(path, 1000)


def _other_channels(folder: Path) -> None:
    path = folder / "maps" / "clip-0001.mkv" / "maps.json"
    path.write_text(json.dumps({**read_json(path), "channels": ["heat"]}))


def _nothing(folder: Path) -> None:
    """Leave everything as it is."""


_DATA = ["--maps_path", "maps", "--truth_path", "truth"]
_MODEL = ["--model_path", "model"]
_HEADING = "row,column,kind"


@pytest.mark.parametrize(
    ("command", "flags", "damage", "problem"),
    [
        ("train", ["--epochs", "0"], _nothing, "--epochs: '0' is not a whole number"),
        (
            "train",
            ["--precision", "1"],
            _nothing,
            "'1' is not a number between 0 and 1",
        ),
        ("train", ["--epoch", "3"], _nothing, "--epoch; did you mean --epochs?"),
        (
            "train",
            ["--validation", "0.5", "--test", "0.5"],
            _nothing,
            "--validation 0.5 and --test 0.5 leave no videos for training",
        ),
        ("train", _DATA + ["--validation", "0.001"], _nothing, "is for validation, wh"),
        ("train", _DATA + ["--batch_size", "99999"], _nothing, "99999 is larger than"),
        ("train", ["--maps_path", "no"], _nothing, "no does not exist; features makes"),
        ("train", _DATA, _remove("truth/*"), "mkv.csv does not exist: clip-00"),
        ("train", _DATA, _truth("x,y"), "does not begin with the line row,column,kind"),
        ("train", _DATA, _truth(_HEADING), "the videos for training have no defects"),
        ("train", _DATA, _truth(_HEADING, "1,64,dead"), "(1, 64) is outside the frame"),
        (
            "train",
            _DATA,
            _truth(_HEADING, "1,1,hot"),
            "line 2: 'hot' is none of dead, ",
        ),
        ("train", _DATA, _truth(_HEADING, "1,1"), "line 2: 2 columns instead of 3"),
        ("train", _DATA, _truth(_HEADING, "1,x,dead"), "'x' are not whole numbers"),
        (
            "train",
            _DATA,
            _truth(_HEADING, "1,1,dead", "1,1,stuck"),
            "line 3: the pixel is named twice",
        ),
        ("train", _DATA, _cut_maps, "maps.npy is missing or damaged; run features aga"),
        ("train", _DATA, _remove("maps/*/maps.npy"), "maps.npy is missing or damaged"),
        (
            "train",
            _DATA,
            _other_channels,
            "maps.json describes other maps; run features",
        ),
        (
            "evaluate",
            _DATA + ["--model_path", "no"],
            _nothing,
            "folder no does not exis",
        ),
        (
            "evaluate",
            _DATA + _MODEL,
            _other_shape,
            "layers.0.bias has the shape 3, and",
        ),
        (
            "evaluate",
            _DATA + _MODEL,
            _describe_model(format="x/1"),
            "model.json has the format 'x/1'",
        ),
        (
            "evaluate",
            _DATA + _MODEL,
            _describe_model(channels=[]),
            "model.json has other channels than this code; train again",
        ),
        (
            "evaluate",
            _DATA + _MODEL,
            _describe_model(split={"a": 1}),
            "model.json is damaged; train again",
        ),
        (
            "evaluate",
            _DATA + _MODEL,
            _truth(_HEADING),
            "the test videos have no defects",
        ),
        ("score", [], _nothing, "required: PATH"),
        ("score", ["truth", *_MODEL], _nothing, "cannot be read as a video"),
        ("score", ["no", *_MODEL], _nothing, "no does not exist"),
        (
            "score",
            ["truth", "--model_path", "no"],
            _nothing,
            "folder no does not exist",
        ),
        ("score", ["truth", *_MODEL, "--threshold", "2"], _nothing, "between 0 and 1"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    command: str,
    flags: list[str],
    damage: Callable[[Path], None],
    problem: str,
    trained: Trained,
    scratch: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(trained.output("train") / "model", "model")
    shutil.copytree(trained.output("features") / "maps", "maps")
    shutil.copytree(trained.output("generate") / "truth", "truth")
    damage(scratch)
    before = sorted(scratch.rglob("*"))
    assert run(command, _COMMANDS[command], flags) == 2
    errors = capsys.readouterr().err
    assert re.fullmatch(rf"{command}: error: [^\n]+\n", errors)
    assert problem in errors
    assert sorted(scratch.rglob("*")) == before
