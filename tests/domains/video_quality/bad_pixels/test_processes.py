"""Two processes train as one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.domains.video_quality.bad_pixels.files import (
    describe,
    make,
    read_csv,
    read_json,
)

# For programs that are started here. Read before a test changes the folder: Pants puts
# the sources on the path relative to it.
_PYTHONPATH = os.pathsep.join(os.path.abspath(path) for path in sys.path)
_TRAIN = "domains.video_quality.bad_pixels.train"


@pytest.fixture(autouse=True)
def in_ci() -> None:
    """Spend half a minute only where CI is set."""
    if not os.environ.get("CI"):
        pytest.skip("takes half a minute; runs where CI is set")


def _train(launcher: list[str], output: str) -> str:
    flags = ["--maps_path", "described/maps", "--truth_path", "made/truth"]
    flags += ["--epochs", "4", "--device", "cpu", "--output_path", output]
    launched = subprocess.run(
        [sys.executable, "-m", *launcher, _TRAIN, *flags],
        env={**os.environ, "PYTHONPATH": _PYTHONPATH, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert launched.returncode == 0, launched.stderr
    return launched.stdout


def test_two_processes_train_as_one(scratch: Path) -> None:
    made = make("--videos", "16", "--least_defects", "15")
    describe(made / "videos", scratch)
    _train([], "one")
    distributed = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    screen = _train(distributed, "two")
    # They worked together, and one of them spoke and wrote.
    assert screen.count("on 2 x CPU (1 thread)") == 1
    assert screen.count("epoch 4/4") == screen.count("Written to") == 1
    names = {"described", "extracted", "made", "one", "two"}
    assert set(os.listdir(scratch)) == names

    one, two = (
        load_file(Path(name, "model", "model.safetensors")) for name in ("one", "two")
    )
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-3)
    for alone, together in zip(
        read_csv(Path("one/history.csv")),
        read_csv(Path("two/history.csv")),
        strict=True,
    ):
        assert float(together["validation_loss"]) == pytest.approx(
            float(alone["validation_loss"]), abs=1e-3
        )
    scores = [
        read_json(Path(name, "metrics.json"))["validation"] for name in ("one", "two")
    ]
    assert scores[1]["classical"] == scores[0]["classical"]
    for measure in ("precision", "recall"):
        # One or two pixels may fall on the other side.
        assert scores[1]["network"][measure] == pytest.approx(
            scores[0]["network"][measure], abs=0.05
        )
