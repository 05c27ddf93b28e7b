"""train, evaluate and predict, called as a user calls them.

One file with one trained model, because importing torch and training take longer than
everything else.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from common.command_line import run
from domains.digit_recognition import evaluate, predict, train
from domains.digit_recognition.data import load_samples
from tests.domains.digit_recognition.results import read_history, read_json

pytestmark = pytest.mark.usefixtures("one_thread")

_COMMANDS: dict[str, Callable[[Sequence[str] | None], None]] = {
    "train": train.main,
    "evaluate": evaluate.main,
    "predict": predict.main,
}
_TRAIN_FILES = [
    "confusion_matrix.png",
    "history.csv",
    "learning_curves.png",
    "metrics.json",
    "mistakes.png",
    "model.json",
    "model.safetensors",
    "run.json",
]


@dataclass(frozen=True)
class Trained:
    """A training run with the defaults: its working directory and what it printed."""

    home: Path
    screen: str

    @property
    def output(self) -> Path:
        """The run's output folder."""
        return self.home / "outputs" / "digit_recognition" / "train"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train with all defaults in an empty folder."""
    home = tmp_path_factory.mktemp("home")
    log = home / "log"
    with pytest.MonkeyPatch.context() as patch, log.open("w") as file:
        patch.chdir(home)
        patch.setattr(sys, "stdout", file)
        assert run("train", train.main, []) == 0
    screen = log.read_text()
    log.unlink()
    return Trained(home, screen)


@pytest.fixture
def home(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where the trained model is found by default."""
    monkeypatch.chdir(trained.home)
    return trained.home


def test_the_defaults_learn_to_read_digits(trained: Trained) -> None:
    metrics = read_json(trained.output / "metrics.json")
    assert metrics["samples"] == 360
    assert metrics["accuracy"] > 0.97
    assert metrics["accuracy"] == metrics["correct"] / 360
    assert sum(map(sum, metrics["confusion_matrix"])) == 360
    assert [score["label"] for score in metrics["per_class"]] == list(range(10))
    assert metrics["log_loss"] < 0.2


def test_a_run_leaves_weights_scores_and_pictures(trained: Trained) -> None:
    assert sorted(path.name for path in trained.output.iterdir()) == _TRAIN_FILES
    for picture in trained.output.glob("*.png"):
        with Image.open(picture) as image:
            image.load()
    described = {"format": "digit_recognition/1", "model": "cnn", "dataset": "digits"}
    assert read_json(trained.output / "model.json") == described
    rows = read_history(trained.output)
    assert [row["number"] for row in rows] == list(range(1, 21))
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] / 10
    best = read_json(trained.output / "metrics.json")["best_epoch"]
    assert rows[best["number"] - 1] == best
    arguments = read_json(trained.output / "run.json")["arguments"]
    assert (arguments["epochs"], arguments["seed"]) == (20, 0)


def test_the_screen_ends_with_scores_places_and_the_next_command(
    trained: Trained,
) -> None:
    lines = trained.screen.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line[:12] for line in lines[2:22]] == [
        f"epoch {number:>2}/20 " for number in range(1, 21)
    ]
    ending = "\n".join(lines[22:])
    accuracy = read_json(trained.output / "metrics.json")["accuracy"]
    assert f"Test accuracy  {accuracy:.2%} (" in ending
    assert "Written to     outputs/digit_recognition/train\n" in ending
    for name in _TRAIN_FILES:
        assert name in ending
    assert lines[-1].startswith("Next           ./pants run src/domains/digit_recog")


def test_the_proposed_command_works_and_gives_the_same_scores(
    trained: Trained, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, *flags = trained.screen.rpartition(":")[2].split()
    assert run(target, _COMMANDS[target], [flag for flag in flags if flag != "--"]) == 0
    output = home / "outputs" / "digit_recognition" / "evaluate"
    again, before = (read_json(p / "metrics.json") for p in (output, trained.output))
    for name in ("samples", "accuracy", "confusion_matrix", "per_class"):
        assert again[name] == before[name]
    assert again["log_loss"] == pytest.approx(before["log_loss"], rel=1e-6)
    assert "confusion_matrix.png, metrics.json, mistakes.png" in capsys.readouterr().out


def _write_mnist(folder: Path, samples: int = 60) -> None:
    """Write the digits in MNIST's files, so that they can be trained on as MNIST."""
    folder.mkdir(parents=True)
    for part, prefix in (("train", "train"), ("test", "t10k")):
        digits = load_samples("digits", part, folder, samples)
        images = (digits.images * 255).astype(np.uint8)
        header = struct.pack(">4B3I", 0, 0, 8, 3, *images.shape)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = struct.pack(">4BI", 0, 0, 8, 1, samples)
        labels = digits.labels.astype(np.uint8).tobytes()
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels)


def test_a_model_of_either_data_set_is_scored_on_the_other(
    home: Path, tmp_path: Path
) -> None:
    data, model, scores = (str(tmp_path / name) for name in ("data", "model", "scores"))
    _write_mnist(Path(data))
    flags = ["--dataset", "mnist", "--data_path", data, "--output_path", scores]
    assert run("evaluate", evaluate.main, flags) == 0
    metrics = read_json(Path(scores, "metrics.json"))
    # They are the same images, so the model does as well on them.
    assert (metrics["samples"], metrics["trained_on"]) == (60, "digits")
    assert metrics["accuracy"] > 0.95

    flags = ["--dataset", "mnist", "--data_path", data, "--output_path", model]
    assert run("train", train.main, [*flags, "--epochs", "1", "--batch_size", "8"]) == 0
    flags = ["--model_path", model, "--dataset", "digits", "--limit", "50"]
    assert run("evaluate", evaluate.main, [*flags, "--output_path", scores]) == 0
    metrics = read_json(Path(scores, "metrics.json"))
    assert (metrics["samples"], metrics["trained_on"]) == (50, "mnist")


@pytest.fixture
def scans(tmp_path: Path) -> dict[str, int]:
    """Make pictures of digits in a folder, and tell what is on each."""
    test = load_samples("digits", "test", tmp_path, 24)
    found = {}
    for number, (image, label) in enumerate(zip(test.images, test.labels, strict=True)):
        folder = tmp_path / "scans" / ("deep/er" if number % 2 else "")
        path = folder / f"{number:02}.{'PNG' if number % 3 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = Image.fromarray((255 - image * 255).astype(np.uint8))
        grey.resize((100 + number, 100 + number)).convert("RGB").save(path)
        found[path.as_posix()] = int(label)
    (tmp_path / "scans" / "notes.txt").write_text("not an image")
    return found


def _predictions(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_predict_reads_a_folder_in_batches(
    home: Path, tmp_path: Path, scans: dict[str, int]
) -> None:
    rows = {}
    for batch_size in ("5", "100"):
        output = tmp_path / f"out{batch_size}"
        flags = ["--batch_size", batch_size, "--output_path", str(output)]
        assert run("predict", predict.main, [str(tmp_path / "scans"), *flags]) == 0
        rows[batch_size] = _predictions(output)
    assert [row["path"] for row in rows["5"]] == sorted(scans)
    right = sum(int(row["digit"]) == scans[row["path"]] for row in rows["5"])
    assert right >= 23
    for row, whole in zip(rows["5"], rows["100"], strict=True):
        shares = [float(row[f"probability_{digit}"]) for digit in range(10)]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert float(row["confidence"]) == max(shares) == shares[int(row["digit"])]
        assert whole["digit"] == row["digit"]
        assert float(whole["confidence"]) == pytest.approx(max(shares), abs=1e-5)


def test_predict_shows_single_files(
    home: Path,
    tmp_path: Path,
    scans: dict[str, int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = sorted(scans)[:2]
    flags = ["--output_path", str(tmp_path / "out")]
    assert run("predict", predict.main, [second, first, second, *flags]) == 0
    rows = _predictions(tmp_path / "out")
    assert [row["path"] for row in rows] == [second, first]
    screen = capsys.readouterr().out
    for row in rows:
        confidence = f"{float(row['confidence']):7.2%}"
        assert f"{row['digit']}  {confidence}  {row['path']}\n" in screen
    assert "2 of 2 images" in screen


def test_predict_stops_at_damage_or_leaves_it_out(
    home: Path,
    tmp_path: Path,
    scans: dict[str, int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged = tmp_path / "scans" / "05.png"
    damaged.write_bytes(Path(sorted(scans)[0]).read_bytes()[:99])
    output = tmp_path / "out"
    flags = [str(tmp_path / "scans"), "--output_path", str(output)]
    assert run("predict", predict.main, flags) == 2
    errors = capsys.readouterr().err
    assert re.fullmatch(rf"predict: error: {damaged} .*--skip_damaged.*\n", errors)
    assert not output.exists()

    assert run("predict", predict.main, [*flags, "--skip_damaged"]) == 0
    captured = capsys.readouterr()
    assert re.fullmatch(rf"left out: {damaged} .*\n", captured.err)
    assert "24 of 25 images" in captured.out
    assert [row["path"] for row in _predictions(output)] == sorted(scans)

    flags = [str(damaged), "--output_path", str(tmp_path / "none"), "--skip_damaged"]
    assert run("predict", predict.main, flags) == 2
    assert not (tmp_path / "none").exists()


def test_bfloat16_trains(scratch: Path) -> None:
    flags = ["--model", "mlp", "--epochs", "5", "--mixed_precision", "bf16"]
    assert run("train", train.main, [*flags, "--output_path", "out"]) == 0
    assert read_json(Path("out/metrics.json"))["accuracy"] > 0.8
    weights = load_file("out/model.safetensors").values()
    assert {tensor.dtype for tensor in weights} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    "size", [["--epochs", "2"], ["--epochs", "1", "--limit", "72"]]
)
def test_divergence_is_reported_and_leaves_nothing(
    size: list[str], scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--model", "mlp", *size, "--learning_rate", "1e30"]
    assert run("train", train.main, flags) == 1
    errors = capsys.readouterr().err
    assert re.fullmatch(
        r"train: error: training diverged: .*--learning_rate.*\n", errors
    )
    assert os.listdir(scratch) == []


def _cut_labels(folder: Path) -> None:
    path = folder / "data" / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1])


def _fewer_labels(folder: Path) -> None:
    path = folder / "data" / "train-labels-idx1-ubyte"
    path.write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 59) + path.read_bytes()[8:-1])


def _cut_test_images(folder: Path) -> None:
    path = folder / "data" / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:1000])


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _write(name: str, text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(text)

    return write


def _describe(**changes: object) -> Callable[[Path], None]:
    def describe(folder: Path) -> None:
        path = folder / "model" / "model.json"
        path.write_text(json.dumps({**read_json(path), **changes}))

    return describe


def _other_shape(folder: Path) -> None:
    path = folder / "model" / "model.safetensors"
    tensors = load_file(path)
    tensors["9.bias"] = np.zeros(11, dtype=np.float32)
    save_file(tensors, path)


def _nothing(folder: Path) -> None:
    """Leave everything as it is."""


_MNIST = ["--dataset", "mnist", "--data_path", "data"]
_MODEL = ["--model_path", "model"]


@pytest.mark.parametrize(
    ("command", "flags", "damage", "problem"),
    [
        ("train", ["--epochs", "0"], _nothing, "--epochs: '0' is not a whole number"),
        ("train", ["--epochs", "-3"], _nothing, "--epochs: '-3' is not a whole number"),
        ("train", ["--limit", "0"], _nothing, "--limit: '0' is not a whole number"),
        ("train", ["--limit", "1"], _nothing, "--limit 1 leaves no sample for valid"),
        ("train", ["--batch_size", "0"], _nothing, "--batch_size: '0' is not"),
        ("train", ["--batch_size", "9999"], _nothing, "9999 is larger than the train"),
        (
            "train",
            ["--limit", "50"],
            _nothing,
            "64 is larger than the training data, 45",
        ),
        ("train", ["--learning_rate", "-1"], _nothing, "'-1' is not a number above 0"),
        ("train", ["--seed", "-1"], _nothing, "--seed: '-1' is not a whole number"),
        ("train", ["--dataset", "minst"], _nothing, "did you mean mnist?"),
        ("train", ["--model", "rnn"], _nothing, "--model: 'rnn' is none of mlp, cnn"),
        ("train", ["--epoch", "3"], _nothing, "--epoch; did you mean --epochs?"),
        ("train", ["--mixed_precision", "fp16", "--device", "cpu"], _nothing, "fp16"),
        ("train", _MNIST[:3] + ["nowhere"], _nothing, "no MNIST files in nowhere"),
        ("train", _MNIST[:3] + ["empty"], _nothing, "no MNIST files in empty"),
        ("train", _MNIST[:3] + ["a_file"], _nothing, "--data_path a_file is a file"),
        ("train", _MNIST, _remove("data/t10k-labels-idx1-ubyte"), "lacks t10k-labels"),
        ("train", _MNIST, _cut_labels, "train-labels-idx1-ubyte is cut short"),
        ("train", _MNIST, _cut_test_images, "t10k-images-idx3-ubyte is cut short"),
        ("train", _MNIST, _fewer_labels, "holds 60 images, but train-labels-idx1-ub"),
        (
            "train",
            ["--output_path", "a_file"],
            _nothing,
            "output path a_file is a file",
        ),
        (
            "train",
            ["--output_path", "a_file/out"],
            _nothing,
            "a_file/out cannot be wri",
        ),
        ("train", ["--output_path", "data"], _nothing, "data holds files that no run"),
        ("evaluate", ["--model_path", "nowhere"], _nothing, "folder nowhere does not"),
        (
            "evaluate",
            ["--model_path", "empty"],
            _nothing,
            "empty/model.json does not e",
        ),
        (
            "evaluate",
            _MODEL,
            _remove("model/model.safetensors"),
            "safetensors does not",
        ),
        ("evaluate", _MODEL, _write("model/model.json", "{"), "model.json is not JSON"),
        ("evaluate", _MODEL, _write("model/model.json", "{}"), "has the format None"),
        ("evaluate", _MODEL, _describe(dataset=None), "names the dataset None"),
        (
            "evaluate",
            _MODEL,
            _describe(model=["cnn"]),
            "names the model ['cnn'], none of mlp, cnn",
        ),
        (
            "evaluate",
            _MODEL,
            _describe(model="mlp"),
            "model.safetensors holds the tensor 0.bias, which the model lacks",
        ),
        ("evaluate", _MODEL, _other_shape, "9.bias has the shape 11, and the model ne"),
        ("evaluate", _MODEL, _write("model/model.safetensors", "x"), "is damaged"),
        (
            "evaluate",
            _MODEL + _MNIST,
            _cut_test_images,
            "t10k-images-idx3-ubyte is cut",
        ),
        ("evaluate", [*_MODEL, "--output_path", "model"], _nothing, "output of train"),
        ("predict", [], _nothing, "required: PATH"),
        ("predict", ["nowhere", *_MODEL], _nothing, "nowhere does not exist"),
        ("predict", ["empty", *_MODEL], _nothing, "folder empty holds no PNG files"),
        ("predict", ["a_file", *_MODEL], _nothing, "a_file is no PNG image"),
        (
            "predict",
            ["a_file", "--model_path", "no"],
            _nothing,
            "folder no does not ex",
        ),
        ("predict", ["a_file", *_MODEL, "--batch_size", "x"], _nothing, "'x' is not a"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    command: str,
    flags: list[str],
    damage: Callable[[Path], None],
    problem: str,
    trained: Trained,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Downloads fail at once, wherever this runs.
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    shutil.copytree(trained.output, "model")
    _write_mnist(scratch / "data")
    (scratch / "empty").mkdir()
    (scratch / "a_file").write_text("mine")
    damage(scratch)
    before = sorted(scratch.rglob("*"))
    assert run(command, _COMMANDS[command], flags) == 2
    errors = capsys.readouterr().err
    assert re.fullmatch(rf"{command}: error: [^\n]+\n", errors)
    assert problem in errors
    assert sorted(scratch.rglob("*")) == before
