"""The convolutional network on all of MNIST: minutes, and files that we do not keep."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from domains.digit_recognition.train import main

_VARIABLE = "STRATA_MNIST_PATH"


def test_the_cnn_reaches_99_percent(tmp_path: Path) -> None:
    data = os.environ.get(_VARIABLE)
    if not data:
        reason = f"{_VARIABLE} does not name a folder with MNIST's four files"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    output = tmp_path / "train"
    main(["--dataset", "mnist", "--data_path", data, "--output_path", str(output)])
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["samples"] == 10_000
    assert metrics["accuracy"] >= 0.99
