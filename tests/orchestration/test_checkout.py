"""What git says of a checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestration.checkout import Checkout, Head


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    subprocess.run(
        ["git", "init", "--quiet", "--initial-branch", "main", str(tmp_path)],
        check=True,
    )
    subprocess.run(["git", "config", "user.name", "one"], cwd=tmp_path, check=True)
    subprocess.run(["git", "config", "user.email", "a@b.invalid"], cwd=tmp_path)
    return Checkout(tmp_path, tmp_path / "cache")


def test_the_head_is_the_commit_and_branch_and_whether_they_are_all(
    checkout: Checkout,
) -> None:
    file = checkout.root / "file.txt"
    file.write_text("one")
    assert checkout.head() == Head(None, "main", False)

    checkout.git("add", "file.txt")
    assert checkout.head() == Head(None, "main", True)
    checkout.git("commit", "--quiet", "--message", "One")
    commit = checkout.commit()
    assert commit is not None
    assert checkout.head() == Head(commit, checkout.branch(), False)

    (checkout.root / "other.txt").write_text("not tracked")
    assert not checkout.head().is_changed
    file.write_text("two")
    assert checkout.head() == Head(commit, "main", True)

    checkout.git("checkout", "--quiet", "--force", "--detach")
    assert checkout.head() == Head(commit, None, False)
