"""The git hook builds and pushes what a commit changed, without holding git up."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.end_to_end.conftest import LocalRegistry
from tests.end_to_end.orchard import Orchard


@pytest.fixture
def git_folder(orchard: Orchard) -> Iterator[Path]:
    folder = orchard.tree.root / ".git"
    yield folder
    for path in (folder / "hooks/post-commit", folder / "strata-images.log"):
        path.unlink(missing_ok=True)


def test_a_commit_pushes_the_images_that_it_changed(
    orchard: Orchard,
    git_folder: Path,
    engine: docker.DockerClient,
    registry: LocalRegistry,
) -> None:
    flags = ("--push", "--registry", registry.address)
    assert orchard.strata("hooks", "install", *flags).status == 0
    orchard.append("src/domains/pears/press.py")

    orchard.tree.commit("Edit pears")

    log = git_folder / "strata-images.log"
    deadline = time.monotonic() + 300
    while not re.search("sha256:|== failed", said := log.read_text()):
        assert time.monotonic() < deadline, said
        time.sleep(0.1)
    assert "pears  pushed" in said
    assert "apples" not in said
    assert orchard.images(*flags[1:])["pears"]["state"] == "unchanged"


def test_it_can_be_removed_and_a_foreign_hook_is_left_alone(
    orchard: Orchard, git_folder: Path
) -> None:
    hook = git_folder / "hooks/post-commit"
    for _ in range(2):
        assert orchard.strata("hooks", "install").status == 0
    assert orchard.strata("hooks", "remove").status == 0
    assert not hook.exists()

    hook.write_text("#!/bin/sh\necho mine\n")
    for action in ("install", "remove"):
        outcome = orchard.strata("hooks", action)
        assert outcome.status == 2
        assert f"{hook} is not ours" in outcome.errors
    assert hook.read_text() == "#!/bin/sh\necho mine\n"
