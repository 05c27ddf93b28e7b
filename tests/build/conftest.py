"""One scratch tree, and so one start of Pants, for all tests of the build."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.build.scratch_tree import ScratchTree, scratch_tree


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScratchTree]:
    """A repository with one commit: what builds, and no sources."""
    # A first `./pants test ::` stays as short as README says.
    if not os.environ.get("CI"):
        pytest.skip("starts Pants again and again for minutes; CI=true runs it")
    with scratch_tree(tmp_path_factory.mktemp("build") / "tree") as tree:
        tree.git("init", "--quiet")
        tree.commit("Begin")
        yield tree


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """The files that a module's tests begin with, by path; modules say which."""
    return {}


@pytest.fixture(scope="module")
def populated(
    repository: ScratchTree, sources: dict[str, str]
) -> Iterator[ScratchTree]:
    """The repository with a module's sources as its second commit."""
    with _put_back(repository):
        repository.write(sources)
        repository.commit("Add sources")
        yield repository


@pytest.fixture
def tree(populated: ScratchTree) -> Iterator[ScratchTree]:
    """The populated repository; what a test does to it is undone."""
    with _put_back(populated):
        yield populated


@contextmanager
def _put_back(tree: ScratchTree) -> Iterator[None]:
    start = tree.git("rev-parse", "HEAD").strip()
    yield
    tree.git("reset", "--quiet", "--hard", start)
    tree.git("clean", "--quiet", "--force", "-d")
