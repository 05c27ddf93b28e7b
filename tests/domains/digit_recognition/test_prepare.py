"""prepare: what it leaves, and that the other commands read it."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.command_line import run
from domains.digit_recognition import evaluate, prepare, train
from domains.digit_recognition.data import Samples, load_samples
from domains.digit_recognition.idx import read_idx, write_idx
from domains.digit_recognition.images import read_digit
from domains.digit_recognition.mnist import FILES
from tests.domains.digit_recognition.results import read_json

pytestmark = pytest.mark.usefixtures("one_thread")


def _prepare(*flags: str) -> Path:
    assert run("prepare", prepare.main, [*flags, "--output_path", "out"]) == 0
    return Path("out/data")


def _content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def test_the_digits_are_there_again_as_prepared_data(scratch: Path) -> None:
    data = _prepare()
    for part in ("train", "test"):
        read, written = load_samples("prepared", part, data), load_samples(
            "digits", part, scratch
        )
        np.testing.assert_array_equal(read.labels, written.labels)
        # A byte holds a pixel to half of a 255th.
        np.testing.assert_allclose(read.images, written.images, atol=0.501 / 255)


def test_the_same_samples_give_the_same_bytes(scratch: Path) -> None:
    _prepare("--limit", "20", "--images", "3")
    first = _content(Path("out"))
    _prepare("--limit", "20", "--images", "3")
    assert _content(Path("out")) == first
    names = sorted(name for pair in FILES.values() for name in pair)
    assert [name for name in first if name.startswith("data/")] == [
        "data/dataset.json",
        *(f"data/{name}" for name in names),
    ]


def test_the_limit_holds_for_both_parts(scratch: Path) -> None:
    data = _prepare("--limit", "7")
    for part in ("train", "test"):
        assert len(load_samples("prepared", part, data)) == 7


def test_images_are_read_as_what_their_names_say(scratch: Path) -> None:
    _prepare("--images", "5")
    test = load_samples("digits", "test", scratch, 5)
    paths = sorted(Path("out/images").iterdir())
    assert [path.name for path in paths] == [
        f"{number:05}-{label}.png" for number, label in enumerate(test.labels)
    ]
    for path, image in zip(paths, test.images, strict=True):
        # The centre of mass may fall on the other side of a pixel's border.
        assert np.abs(read_digit(path) - image).mean() < 0.05
        with Image.open(path) as picture:
            assert picture.getpixel((0, 0)) == 255  # dark ink on white paper


def _write_mnist(folder: Path, samples: Samples) -> None:
    folder.mkdir()
    for images, labels in FILES.values():
        write_idx(folder / images, (samples.images * 255).astype(np.uint8))
        write_idx(folder / labels, samples.labels.astype(np.uint8))


def test_mnist_is_left_as_it_is(scratch: Path) -> None:
    _write_mnist(Path("mnist"), load_samples("digits", "test", scratch, 30))
    data = _prepare("--dataset", "mnist", "--data_path", "mnist")
    prepared = _content(data)
    assert read_json(data / "dataset.json")["dataset"] == "mnist"
    del prepared["dataset.json"]
    assert prepared == _content(Path("mnist"))


def test_an_idx_file_is_written_as_its_format_says(scratch: Path) -> None:
    elements = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(Path("file"), elements)
    header = struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 4)
    assert Path("file").read_bytes() == header + bytes(range(24))
    np.testing.assert_array_equal(read_idx(Path("file"), 3), elements)


def test_a_model_is_trained_and_scored_on_prepared_data(scratch: Path) -> None:
    data = _prepare("--limit", "100")
    flags = ["--dataset", "prepared", "--data_path", str(data)]
    of_train = ["--model", "mlp", "--epochs", "2", "--output_path", "run"]
    assert run("train", train.main, [*flags, *of_train]) == 0
    # It is the digits' model, and not one of another data set.
    assert read_json(Path("run/model.json"))["dataset"] == "digits"
    of_evaluate = ["--model_path", "run", "--output_path", "scores"]
    assert run("evaluate", evaluate.main, [*flags, *of_evaluate]) == 0
    scores, before = (read_json(Path(p, "metrics.json")) for p in ("scores", "run"))
    assert scores["dataset"] == before["dataset"] == "digits"
    assert scores["samples"] == before["samples"] == 100
    assert scores["confusion_matrix"] == before["confusion_matrix"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "none/dataset.json does not exist"),
        ("{}", "none/dataset.json was not written by prepare"),
        ('{"format": "digit_recognition-data/1", "dataset": "x"}', "not written by"),
        ('{"format": "digit_recognition-data/1", "dataset": "mnist"}', "none lacks tr"),
    ],
)
def test_data_that_prepare_has_not_left_are_refused(
    content: str | None,
    problem: str,
    scratch: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if content is not None:
        Path("none").mkdir()
        Path("none/dataset.json").write_text(content)
    before = sorted(scratch.rglob("*"))
    flags = ["--dataset", "prepared", "--data_path", "none"]
    assert run("train", train.main, [*flags, "--output_path", "out"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("train: error: ") and problem in errors
    assert errors.count("\n") == 1
    assert sorted(scratch.rglob("*")) == before


def test_prepare_says_the_next_command(
    scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _prepare("--limit", "100")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "Prepared       digits: 100 training, 100 test images"
    words = lines[-1].rpartition(" -- ")[2].split()
    small = ["--epochs", "1", "--model", "mlp", "--output_path", "run"]
    assert run("train", train.main, [*words, *small]) == 0


def test_a_wrong_request_leaves_nothing(
    scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flags, problem in (
        (["--dataset", "minst"], "'minst' is none of digits, mnist; did you mean mni"),
        (["--images", "0"], "'0' is not a whole number above 0"),
    ):
        assert run("prepare", prepare.main, flags) == 2
        assert problem in capsys.readouterr().err
    assert os.listdir(scratch) == []
