"""Training gives the same result again, and on several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from common.command_line import run
from domains.digit_recognition import train
from tests.domains.digit_recognition.results import read_history, read_json

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(
        not os.environ.get("CI"), reason="trains for a minute; CI=true runs it"
    ),
]

# For programs that are started here. Read before a test changes the folder: Pants puts
# the sources on the path relative to it.
_PYTHONPATH = os.pathsep.join(os.path.abspath(path) for path in sys.path)


def test_the_same_seed_gives_the_same_bytes(scratch: Path) -> None:
    def outcome(seed: str) -> dict[str, bytes]:
        flags = ["--epochs", "1", "--limit", "200", "--seed", seed]
        assert run("train", train.main, [*flags, "--output_path", "out"]) == 0
        return {path.name: path.read_bytes() for path in Path("out").iterdir()}

    torch.set_num_threads(2)
    try:
        first, second, other = outcome("3"), outcome("3"), outcome("4")
    finally:
        torch.set_num_threads(1)
    # How long it took is all that may differ.
    assert {name for name in first if first[name] != second[name]} <= {"run.json"}
    assert first["model.safetensors"] != other["model.safetensors"]
    # Each run has replaced the one before.
    assert read_json(Path("out/run.json"))["arguments"]["seed"] == 4
    assert os.listdir(scratch) == ["out"]


def test_two_processes_train_as_one(scratch: Path) -> None:
    flags = ["--model", "mlp", "--epochs", "2", "--device", "cpu"]
    launched = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        + ["--nproc_per_node", "2", "-m", "domains.digit_recognition.train"]
        + [*flags, "--output_path", "two"],
        env={
            **os.environ,
            "PYTHONPATH": _PYTHONPATH,
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert launched.returncode == 0, launched.stderr
    # They worked together, and one of them spoke and wrote.
    assert launched.stdout.count("on 2 x CPU (1 thread), 64 images a step") == 1
    assert launched.stdout.count("epoch 2/2") == 1
    assert launched.stdout.count("Test accuracy") == 1

    assert run("train", train.main, [*flags, "--output_path", "one"]) == 0
    assert sorted(os.listdir(scratch)) == ["one", "two"]
    one, two = (load_file(Path(name, "model.safetensors")) for name in ("one", "two"))
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-4)
    for alone, together in zip(
        read_history(Path("one")), read_history(Path("two")), strict=True
    ):
        assert together == pytest.approx(alone, rel=1e-4)
    # One of 360 images may fall on the other side.
    scores = [
        read_json(Path(name, "metrics.json"))["accuracy"] for name in ("one", "two")
    ]
    assert scores[1] == pytest.approx(scores[0], abs=1.5 / 360)
