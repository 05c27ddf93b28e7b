"""Digit recognition in its image: what Pants builds, and what training gives there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import docker
import pytest

from tests.end_to_end.conftest import LocalRegistry
from tests.end_to_end.orchard import Orchard

pytestmark = pytest.mark.skipif(
    not os.environ.get("STRATA_REQUIRE_DOCKER"),
    reason="builds an image of 6 GB; STRATA_REQUIRE_DOCKER=1 runs it",
)
TASK = "digit_recognition"


def test_the_image_trains_as_the_host_does_and_is_the_one_that_pants_builds(
    orchard: Orchard,
    engine: docker.DockerClient,
    registry: LocalRegistry,
    tmp_path: Path,
) -> None:
    name = orchard.images(TASK)[TASK]["image"]
    flags = ["--", "--epochs", "3", "--seed", "5", "--device", "cpu"]
    found = []
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
        engine.images.get(image).attrs["RootFS"]["Layers"]
        for image in (name, f"strata/{TASK}:latest")
    )
    assert ours == theirs
    engine.images.remove(f"strata/{TASK}:latest")
