"""What the files beside the task have platforms run, run here."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from common.command_line import run
from domains.digit_recognition import predict

pytestmark = pytest.mark.usefixtures("one_thread")

COMPONENT = Path("src/domains/digit_recognition/deploy/batch-predict.yaml").absolute()


def test_the_batch_component_reads_a_folder_and_leaves_out_what_is_damaged(
    model: Path, digits: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for path in digits.iterdir():
        (images / path.name).write_bytes(path.read_bytes())
    (images / "00.png").write_text("not an image")
    text = COMPONENT.read_text()
    for name, path in (
        ("inputs.images", images),
        ("inputs.model", model),
        ("outputs.predictions", tmp_path / "predictions"),
    ):
        text = text.replace(f"${{{{{name}}}}}", str(path))
    words = text.partition("command: >-")[2].partition("environment:")[0].split()
    assert words[:3] == ["python", "-m", "domains.digit_recognition.predict"]
    assert not any("${{" in word for word in words)

    assert run("predict", predict.main, words[3:]) == 0

    output = tmp_path / "predictions/predict"
    with (output / "predictions.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 11
    arguments = json.loads((output / "run.json").read_text())["arguments"]
    assert arguments["model_path"] == str(model)
