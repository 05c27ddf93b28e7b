"""A small shop, its vectors and its scores, made once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.domains.product_recommendation.item2vec.shops import OUTPUTS, make_shop


@dataclass(frozen=True)
class Made:
    """A folder in which all commands have run, and what they printed."""

    home: Path
    screen: str

    @property
    def outputs(self) -> Path:
        """The commands' output folders."""
        return self.home / OUTPUTS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Run all commands in an empty folder."""
    home = tmp_path_factory.mktemp("home")
    return Made(home, make_shop(home))


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
