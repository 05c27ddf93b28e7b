"""An image's tag follows its content: what it is made of and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from common.errors import UserError
from orchestration.checkout import Checkout
from orchestration.images.content import base_image, task_image
from orchestration.target_graph import read_tree
from orchestration.tasks import find_tasks
from tests.end_to_end.orchard import Orchard


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests, which begin with the same tree: its graph is asked once."""
    return tmp_path_factory.mktemp("cache")


def tags(orchard: Orchard, cache: Path, python: str = "sha256:0") -> dict[str, str]:
    checkout = Checkout(orchard.tree.root, cache)
    tree = read_tree(checkout)
    base = base_image(tree, "python", python)
    tasks = find_tasks(checkout.root, tree)
    return {name: task_image(tree, task, base).tag for name, task in tasks.items()}


def bump(orchard: Orchard, package: str) -> None:
    """Give a locked package another version, as an upgrade of the lock would."""
    lock = orchard.tree.root / "3rdparty/torch.lock"
    text, count = re.subn(f"(?m)^{package}==[^ ]+", f"{package}==99", lock.read_text())
    assert count == 1
    lock.write_text(text)


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("src/domains/apples/ripen.py", {"apples"}),
        ("src/domains/apples/helper.py", {"apples"}),
        ("src/domains/apples/environment/Dockerfile", {"apples"}),
        ("src/domains/pears/press.py", {"pears"}),
        ("src/common/errors.py", {"apples", "pears"}),
        ("docker/base/Dockerfile", {"apples", "pears"}),
        ("docker/base/install-environment", {"apples", "pears"}),
        ("3rdparty/uv.lock", {"apples", "pears"}),
        ("src/common/unused.py", set()),
        ("src/domains/apples/unused.py", set()),
        ("orchestration/__init__.py", set()),
        ("3rdparty/torch.lock", set()),  # a comment
    ],
)
def test_an_edit_changes_the_tags_of_those_that_reach_it(
    same_orchard: Orchard, cache: Path, path: str, changed: set[str]
) -> None:
    before = tags(same_orchard, cache)
    same_orchard.append(path)
    after = tags(same_orchard, cache)

    assert {name for name in before if before[name] != after[name]} == changed


@pytest.mark.parametrize(
    ("package", "changed"), [("tqdm", {"apples"}), ("numpy", set())]
)
def test_a_package_changes_the_tags_of_those_that_reach_it(
    same_orchard: Orchard, cache: Path, package: str, changed: set[str]
) -> None:
    before = tags(same_orchard, cache)
    bump(same_orchard, package)
    after = tags(same_orchard, cache)

    assert {name for name in before if before[name] != after[name]} == changed


def test_another_python_image_is_another_tag(
    same_orchard: Orchard, cache: Path
) -> None:
    before = tags(same_orchard, cache)
    after = tags(same_orchard, cache, python="sha256:1")

    assert all(before[name] != after[name] for name in before)


def test_a_graph_that_is_remembered_starts_no_pants(
    orchard: Orchard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tags(orchard, tmp_path)
    # Pants does not start without a folder for its caches.
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    assert tags(orchard, tmp_path) == first

    orchard.append("src/domains/apples/ripen.py")
    with pytest.raises(UserError, match="peek :: failed"):
        tags(orchard, tmp_path)


def test_the_daemon_outlives_an_edit(
    same_orchard: Orchard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As ./strata itself is started: with the tree on the path.
    root = same_orchard.tree.root
    monkeypatch.setenv("PYTHONPATH", f"{root}:{root / 'src'}")
    daemons = []
    for _ in range(2):
        same_orchard.append("src/domains/apples/ripen.py")
        tags(same_orchard, tmp_path)
        (pid,) = root.glob(".pids/*/pantsd/pid")
        daemons.append(pid.read_text())

    assert daemons[0] == daemons[1]
