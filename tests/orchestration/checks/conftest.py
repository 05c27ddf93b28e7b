"""The valid tree, planted once, and copies of it to break."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestration.checkout import Checkout
from tests.orchestration.checks.valid_tree import SOURCES
from tests.orchestration.small_tree import SmallTree, plant


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is remembered, by content, so that all tests can share it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def valid(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallTree:
    return plant(tmp_path_factory.mktemp("valid") / "tree", cache, SOURCES)


@pytest.fixture
def tree(valid: SmallTree, tmp_path: Path) -> SmallTree:
    """A copy of the tree, to be broken."""
    copied = shutil.copytree(valid.root, tmp_path / "tree")
    return SmallTree(Checkout(copied, valid.checkout.cache))
