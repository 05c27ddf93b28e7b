"""Digit recognition in its image: what Pants builds, and what training gives there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.end_to_end.conftest import names
from tests.end_to_end.orchard import Orchard

TASK = "digit_recognition"
CONTENT = """\
import hashlib, importlib.metadata, pathlib
for path in sorted(p for p in pathlib.Path("/opt/code").rglob("*") if p.is_file()):
    mode = oct(path.stat().st_mode)
    print(path, mode, hashlib.sha256(path.read_bytes()).hexdigest())
for package in importlib.metadata.distributions():
    print(package.name, package.version)
"""


@pytest.fixture
def image(orchard: Orchard, connected: docker.DockerClient) -> Iterator[str]:
    """The task's image as ``./strata`` builds it; goes unless it was there."""
    before = names(connected)
    name = orchard.images(TASK)[TASK]["image"]
    yield name
    for made in {name, f"strata/{TASK}:latest"} & (names(connected) - before):
        connected.images.remove(made)


def test_the_image_trains_as_the_host_does_and_holds_what_pants_puts_in_it(
    orchard: Orchard, connected: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    flags = ["--", "--epochs", "3", "--seed", "5", "--device", "cpu"]
    found: list[dict[str, float]] = []
    for where in (["--docker"], []):
        outputs = tmp_path / f"outputs{len(found)}"
        outcome = orchard.strata(
            *("exec", TASK, "train", *where, "--outputs", str(outputs), *flags)
        )
        assert outcome.status == 0, outcome.errors
        folder = outputs / "digit_recognition/train"
        found.append(json.loads((folder / "metrics.json").read_text()))
    assert found[0] == found[1]
    assert found[0]["accuracy"] > 0.9

    package = orchard.tree.pants("package", f"src/domains/{TASK}:image")
    assert package.status == 0, package.errors
    ours, theirs = (
        connected.containers.run(name, ["python", "-c", CONTENT], remove=True).decode()
        for name in (image, f"strata/{TASK}:latest")
    )
    assert "/opt/code/src/domains/digit_recognition/train.py" in ours
    assert ours == theirs
