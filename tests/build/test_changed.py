"""Selection by change takes what is affected and nothing else, or else everything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.build.scratch_tree import ScratchTree

DOMAINS = ("apples", "pears")
# What src/common/BUILD names has to be there; nothing imports it here.
NAMED = sorted(Path("src/common").glob("*.py"))
SOURCES = {
    "src/common/__init__.py": "",
    "src/common/shared.py": "SHARED = 1\n",
    "src/common/unused.py": "UNUSED = 1\n",
    "tests/common/BUILD": "python_tests()\n",
    "tests/common/test_unused.py": "import common.unused\n",
    "orchestration/__init__.py": "",
    **{path.as_posix(): "" for path in NAMED},
}
for name in DOMAINS:
    SOURCES |= {
        f"src/domains/{name}/BUILD": "domain()\n\npython_sources()\n",
        f"src/domains/{name}/train.py": "import common.shared\n",
        f"tests/domains/{name}/BUILD": "python_tests()\n",
        f"tests/domains/{name}/test_train.py": f"import domains.{name}.train\n",
    }
EVERYTHING = {name for name in SOURCES if name.endswith(".py")}


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return SOURCES


def selected(tree: ScratchTree) -> tuple[set[str], str]:
    """Python files that the documented command selects, and what it says about it."""
    outcome = tree.pants(
        "--changed-since=HEAD~1", "--changed-dependents=transitive", "list"
    )
    assert outcome.status == 0, outcome.errors
    names = {re.split("[:@]", line)[0] for line in outcome.output.splitlines()}
    return {name for name in names if name.endswith(".py")}, outcome.errors


def test_an_edited_domain_selects_its_targets_and_tests(tree: ScratchTree) -> None:
    tree.write({"src/domains/apples/train.py": "import common.shared  # edited\n"})
    tree.commit("Edit apples")

    names, _ = selected(tree)

    assert names == {
        "src/domains/apples/train.py",
        "tests/domains/apples/test_train.py",
    }


def test_edited_shared_code_selects_those_that_import_it(tree: ScratchTree) -> None:
    tree.write({"src/common/shared.py": "SHARED = 2\n"})
    tree.commit("Edit shared code")

    names, _ = selected(tree)

    assert names == EVERYTHING - {
        *map(str, NAMED),
        "orchestration/__init__.py",
        "src/common/__init__.py",
        "src/common/unused.py",
        "tests/common/test_unused.py",
    }


@pytest.mark.parametrize(
    ("path", "unseen"),
    [
        (".flake8", True),
        (".gitignore", True),
        ("3rdparty/pex.in", True),
        ("3rdparty/tools.lock", True),
        ("3rdparty/torch.lock", False),
        ("BUILD", True),
        ("build-support/macros/layers.py", True),
        ("pants.toml", True),
        ("pyproject.toml", True),
        ("src/common/shared.py", False),
        ("src/domains/BUILD", True),
        ("src/domains/apples/BUILD", False),
        ("src/domains/apples/two words.py", True),
    ],
)
def test_changes_that_the_selection_cannot_see_are_known(
    tree: ScratchTree, path: str, unseen: bool
) -> None:
    with (tree.root / path).open("a") as file:
        file.write("\n# edited\n")
    tree.commit(f"Edit {path}")

    named = tree.run("build-support/unseen-changes", "HEAD~1").output

    assert named == (f"{path} was changed\n" if unseen else "")


def test_a_change_that_is_not_committed_counts(tree: ScratchTree) -> None:
    tree.write({"build-support/macros/more.py": ""})

    outcome = tree.run("build-support/unseen-changes", "HEAD")

    assert outcome.output == "build-support/macros/more.py was changed\n"


def test_a_change_among_many_is_found(tree: ScratchTree) -> None:
    # More than a pipe holds.
    tree.write({f"data/{number:0100}": "" for number in range(1000)})
    tree.write({".flake8": ""})
    tree.commit("Add many files")

    outcome = tree.run("build-support/unseen-changes", "HEAD~1")

    assert (outcome.status, outcome.output) == (0, ".flake8 was changed\n")


def test_the_former_users_of_a_deleted_file_are_selected(tree: ScratchTree) -> None:
    (tree.root / "src/common/unused.py").unlink()
    (tree.root / "tests/common/test_unused.py").write_text("")
    tree.commit("Delete a file")

    names, said = selected(tree)

    assert names == EVERYTHING - {"src/common/unused.py"}
    assert "src/common/unused.py was deleted" in said
