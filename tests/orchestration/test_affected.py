"""What a change affects, each reason and each that is none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import common.errors
import orchestration.__main__
import orchestration.commands.affected
from common.errors import UserError
from orchestration.affected import describe_all
from orchestration.changes import affected_since
from orchestration.checkout import Checkout
from orchestration.images.content import base_image, task_image
from orchestration.target_graph import read_tree
from orchestration.tasks import find_tasks
from tests.orchestration.small_tree import LOCK, PIPELINE, SmallTree, plant

MILL, TIDES = "src/domains/mill", "src/domains/tides"
# By kind of thing, then its name.
Found = dict[str, dict[str, list[str]]]
NOTHING: Found = {"tasks": {}, "pipelines": {}, "images": {}}


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> SmallTree:
    folder = tmp_path_factory.mktemp("planted")
    return plant(folder / "tree", folder / "cache")


@pytest.fixture
def tree(planted: SmallTree, tmp_path: Path) -> SmallTree:
    copied = shutil.copytree(planted.root, tmp_path / "tree")
    return SmallTree(Checkout(copied, tmp_path / "cache"))


def affected(tree: SmallTree, reference: str = "start") -> Found:
    """Ask what is affected; the reasons as lines."""
    told: list[str] = []
    found = affected_since(
        tree.checkout, read_tree(tree.checkout), reference, describe_all, told.append
    )
    assert told == []
    return {
        kind: {one.name: [str(reason) for reason in one.reasons] for one in things}
        for kind, things in found.items()
    }


def everywhere(name: str, *reasons: str) -> Found:
    """The same reasons for a task, its image, and mill's pipeline."""
    found = {kind: {name: [*reasons]} for kind in ("tasks", "images")}
    return {
        **NOTHING,
        **found,
        **({"pipelines": found["tasks"]} if name == "mill" else {}),
    }


def test_a_tree_as_it_was_affects_nothing(tree: SmallTree) -> None:
    assert affected(tree) == NOTHING


@pytest.mark.parametrize("text", ["# edited\n", None])
def test_what_nothing_reaches_affects_nothing(
    tree: SmallTree, text: str | None
) -> None:
    names = (
        "README.md",
        f"{MILL}/README.md",
        f"{MILL}/notes.py",
        "samples/other.txt",
        "src/common/unused.py",
        "tests/domains/mill/test_grind.py",
    )
    tree.write(dict.fromkeys(names, text))
    tree.commit("Edit")

    assert affected(tree) == NOTHING


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        pytest.param(
            {"src/common/deep.py": "# edited\n"},
            everywhere("mill", "src/common/deep.py was modified"),
            id="a helper two imports away",
        ),
        pytest.param(
            {"src/common/__init__.py": None},
            everywhere("mill", "src/common/__init__.py was deleted"),
            id="a deleted file whose users stay as they are",
        ),
        pytest.param(
            {"src/common/deep.py": None, "src/common/shared.py": ""},
            everywhere(
                "mill",
                "src/common/deep.py was deleted",
                "src/common/shared.py was modified",
            ),
            id="a deleted file with its user",
        ),
        pytest.param(
            {f"{TIDES}/__init__.py": ""},
            everywhere("tides", f"{TIDES}/__init__.py was added"),
            id="an added file whose users stay as they are",
        ),
        pytest.param(
            {f"{TIDES}/forecast.py": "import common.unused\n"},
            everywhere(
                "tides",
                "src/common/__init__.py is reached now",
                "src/common/unused.py is reached now",
                f"{TIDES}/forecast.py was modified",
                "numpy is not reached any more",
            ),
            id="other imports",
        ),
        pytest.param(
            {"3rdparty/torch.in": "pandas tqdm"},
            everywhere("tides", "numpy is not reached any more"),
            id="a package that no import means any more",
        ),
        pytest.param(
            {"3rdparty/torch.lock": LOCK.replace("numpy==2.0", "numpy==2.1")},
            everywhere("tides", "numpy is 2.1, was 2.0"),
            id="a package's version",
        ),
        pytest.param(
            {"3rdparty/torch.lock": LOCK.replace("sha256:cc", "sha256:ff")},
            everywhere("mill", "six has other hashes or markers"),
            id="the hashes of a package that a package needs",
        ),
        pytest.param(
            {"3rdparty/torch.lock": LOCK.replace("tqdm==4.0", "tqdm==5.0")},
            NOTHING,
            id="a package that no script reaches",
        ),
        pytest.param(
            {"3rdparty/torch.lock": f"# written anew\n{LOCK}"},
            NOTHING,
            id="a lock's comments",
        ),
        pytest.param(
            {f"{MILL}/environment/Dockerfile": "FROM base\nUSER one\n"},
            everywhere("mill", f"{MILL}/environment/Dockerfile was modified"),
            id="a Dockerfile",
        ),
        pytest.param(
            {"docker/base/install": "# edited\n"},
            {
                "tasks": {
                    "mill": ["docker/base/install was modified"],
                    "tides": ["docker/base/install was modified"],
                },
                "pipelines": {"mill": ["docker/base/install was modified"]},
                "images": {
                    "mill": ["docker/base/install was modified"],
                    "tides": ["docker/base/install was modified"],
                },
            },
            id="what all images build on",
        ),
        pytest.param(
            {f"{MILL}/pipeline.yaml": f"description: x\n{PIPELINE}"},
            {
                "tasks": {"mill": [f"{MILL}/pipeline.yaml was modified"]},
                "pipelines": {"mill": [f"{MILL}/pipeline.yaml was modified"]},
                "images": {},
            },
            id="a pipeline's file",
        ),
        pytest.param(
            {f"{MILL}/azure-ml-job.yaml": "x: 1\n"},
            NOTHING | {"tasks": {"mill": [f"{MILL}/azure-ml-job.yaml was modified"]}},
            id="a job's file",
        ),
        pytest.param(
            {f"{MILL}/deploy/score.py": "# edited\n", f"{MILL}/deploy/new.json": ""},
            NOTHING
            | {
                "tasks": {
                    "mill": [
                        f"{MILL}/deploy/new.json was added",
                        f"{MILL}/deploy/score.py was modified",
                    ]
                }
            },
            id="files of a deployment",
        ),
        pytest.param(
            {"samples/grain/a.txt": "oats", "samples/grain/b.txt": "barley"},
            {
                "tasks": {
                    "mill": [
                        "samples/grain/a.txt was modified",
                        "samples/grain/b.txt was added",
                    ]
                },
                "pipelines": {
                    "mill": [
                        "samples/grain/a.txt was modified",
                        "samples/grain/b.txt was added",
                    ]
                },
                "images": {},
            },
            id="a dataset of the tree",
        ),
        pytest.param(
            {"samples/few.txt": "fewer"},
            {
                "tasks": {"mill": ["samples/few.txt was modified"]},
                "pipelines": {"mill": ["samples/few.txt was modified"]},
                "images": {},
            },
            id="an input of one profile",
        ),
        pytest.param(
            {
                f"{MILL}/nightly/pipeline.yaml": PIPELINE.replace(
                    "script: grind", f"script: {MILL}/grind.py"
                )
            },
            NOTHING | {"pipelines": {"mill/nightly": ["mill/nightly was added"]}},
            id="a new pipeline",
        ),
        pytest.param(
            {name: None for name in (f"{TIDES}/BUILD", f"{TIDES}/forecast.py")},
            NOTHING,
            id="a task that is gone",
        ),
    ],
)
def test_what_changed_is_the_reason(
    planted: SmallTree,
    tree: SmallTree,
    edits: Mapping[str, str | None],
    expected: Found,
) -> None:
    tree.write(edits)
    tree.commit("Edit")

    assert affected(tree) == expected
    # An image is affected when its tag is another, and only then.
    before, after = tags(planted), tags(tree)
    assert set(expected["images"]) == {n for n in after if after[n] != before[n]}


def test_what_is_not_committed_counts_with_what_is(tree: SmallTree) -> None:
    tree.write({"src/common/deep.py": "import common.new\n"})
    tree.commit("Edit")
    tree.write({"src/common/new.py": "", "src/common/shared.py": "import common.deep"})
    tree.git("add", "src/common/shared.py")

    assert affected(tree)["images"] == {
        "mill": [
            "src/common/deep.py was modified",
            "src/common/new.py was added",
            "src/common/shared.py was modified",
        ]
    }


def test_the_executable_bit_counts_and_what_is_ignored_does_not(
    tree: SmallTree,
) -> None:
    tree.write({"outputs/run.json": "", "src/common/__pycache__/deep.py": ""})
    assert affected(tree) == NOTHING

    (tree.root / "src/common/deep.py").chmod(0o755)
    assert affected(tree) == everywhere("mill", "src/common/deep.py was modified")


def test_changes_of_others_since_the_branches_parted_are_none_of_ours(
    tree: SmallTree,
) -> None:
    tree.git("checkout", "--quiet", "-b", "ours")
    tree.write({f"{TIDES}/forecast.py": "# ours\n"})
    tree.commit("Ours")
    tree.git("checkout", "--quiet", "main")
    tree.write({"src/common/deep.py": "# theirs\n"})
    tree.commit("Theirs")
    tree.git("checkout", "--quiet", "ours")

    assert list(affected(tree, "main")["tasks"]) == ["tides"]


def tags(tree: SmallTree) -> dict[str, str]:
    read = read_tree(tree.checkout)
    base = base_image(read, "python:3.11", "sha256:00")
    tasks = find_tasks(tree.root, read)
    return {name: task_image(read, task, base).tag for name, task in tasks.items()}


def test_an_earlier_tree_that_cannot_be_read_affects_everything(
    tree: SmallTree,
) -> None:
    tree.write({f"{MILL}/BUILD": "gone.py"})
    tree.commit("Break")
    tree.write({f"{MILL}/BUILD": "grind.py"})
    told: list[str] = []

    found = affected_since(
        tree.checkout, read_tree(tree.checkout), "HEAD", describe_all, told.append
    )

    assert {k: [one.name for one in v] for k, v in found.items()} == {
        "tasks": ["mill", "tides"],
        "pipelines": ["mill"],
        "images": ["mill", "tides"],
    }
    (reason,) = {reason for one in found["tasks"] for reason in one.reasons}
    assert (reason.kind, reason.change) == ("tree", "unreadable")
    assert "src/domains/mill/BUILD: there is no such script" in told[0]


def test_the_null_commit_stands_for_an_empty_tree(tree: SmallTree) -> None:
    assert affected(tree, "0" * 40)["tasks"] == {
        "mill": ["mill was added"],
        "tides": ["tides was added"],
    }


def test_a_wrong_reference_is_answered_with_the_nearest(tree: SmallTree) -> None:
    with pytest.raises(UserError, match=r"no commit strat \(did you mean start\?\)"):
        affected(tree, "strat")
    with pytest.raises(UserError, match="no commit --all"):
        affected(tree, "--all")
    tree.git("checkout", "--quiet", "--orphan", "other")
    with pytest.raises(UserError, match="there is no commit yet"):
        affected(tree, "start")
    tree.commit("Other")
    with pytest.raises(UserError, match="start and HEAD have no commit in common"):
        affected(tree, "start")


def test_a_shallow_clone_says_how_to_get_the_rest(
    tree: SmallTree, tmp_path: Path
) -> None:
    for number in range(3):
        tree.write({"README.md": str(number)})
        tree.commit(f"Edit {number}")
    tree.git("branch", "side", "HEAD~2")
    url = f"file://{tree.root}"
    clone = ("clone", "--quiet", "--depth", "1", "--no-single-branch", url)
    tree.git(*clone, str(tmp_path / "clone"))
    shallow = SmallTree(Checkout(tmp_path / "clone", tmp_path / "cache"))

    for reference in ("start~1", "origin/side"):
        with pytest.raises(UserError, match="is shallow and lacks .*fetch-depth: 0"):
            affected(shallow, reference)


def test_it_leaves_no_worktree_behind_and_starts_no_hook(tree: SmallTree) -> None:
    hook = tree.root / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tree.root}/started\n")
    hook.chmod(0o755)
    tree.write({"src/common/deep.py": "# edited\n"})
    affected(tree)

    assert not (tree.root / "started").exists()
    assert tree.git("worktree", "list").count("\n") == 1


@pytest.fixture
def program(tree: SmallTree) -> SmallTree:
    """The tree with the program in it, so that the tree is the program's own."""
    for module, place in (
        (orchestration.__main__, "orchestration"),
        (common.errors, "src/common"),
    ):
        folder = Path(str(module.__file__)).parent
        shutil.copytree(folder, tree.root / place, dirs_exist_ok=True)
    tree.commit("Add the program")
    tree.git("tag", "--force", "start")
    return tree


def strata(tree: SmallTree, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "orchestration", "affected", *arguments],
        cwd=tree.root,
        env={
            **os.environ,
            "PYTHONPATH": f"{tree.root}:{tree.root}/src",
            "XDG_CACHE_HOME": str(tree.checkout.cache),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_says_it_to_people_programs_and_matrices(
    program: SmallTree,
) -> None:
    assert strata(program, "--since", "start").stdout == "nothing is affected\n"
    empty = strata(program, "--since", "start", "--matrix", "pipelines")
    assert (empty.returncode, empty.stdout) == (0, "[]\n")

    program.write({f"{MILL}/grind.py": "import numpy\n"})
    said = strata(program, "--since", "start")
    document = json.loads(strata(program, "--since", "start", "--json").stdout)
    line = strata(program, "--since", "start", "--matrix", "pipelines").stdout

    assert said.returncode == 0
    assert said.stdout.startswith("tasks:\n  mill\n    src/common/__init__.py is not ")
    assert "    and 2 more (--json has all)\n" in said.stdout
    assert list(document) == ["tasks", "pipelines", "images"]
    (image,) = document["images"]
    assert image["name"] == "mill"
    assert image["reasons"][-2:] == [
        {
            "kind": "package",
            "name": "pandas",
            "change": "unreached",
            "before": "3.0",
        },
        {"kind": "package", "name": "six", "change": "unreached", "before": "1.0"},
    ]
    assert line == '["mill"]\n'


def test_azure_devops_gets_a_name_of_its_kind_for_each_job(
    program: SmallTree,
) -> None:
    pipeline = PIPELINE.replace("script: grind", f"script: {MILL}/grind.py")
    for name in ("a-b", "a_b", "9"):
        program.write({f"{MILL}/{name}/pipeline.yaml": pipeline})

    form = ("--matrix", "pipelines", "--form", "azure-devops")
    line = strata(program, "--since", "start", *form).stdout
    everything = strata(program, "--all", *form).stdout

    assert json.loads(line) == {
        "mill_9": {"pipeline": "mill/9"},
        "mill_a_b": {"pipeline": "mill/a-b"},
        "mill_a_b_": {"pipeline": "mill/a_b"},
    }
    assert json.loads(everything) == {
        "mill": {"pipeline": "mill"},
        **json.loads(line),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "strat"], "did you mean start?"),
        ([], "one of the arguments --since --all is required"),
        (["--all", "--since", "start"], "not allowed with"),
        (["--all", "--matrix", "pipeline"], "did you mean pipelines?"),
        (["--sinse", "start", "--all"], "did you mean --since?"),
    ],
)
def test_a_wrong_request_is_one_line(
    program: SmallTree, arguments: list[str], message: str
) -> None:
    outcome = strata(program, *arguments)

    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert message in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_a_pipeline_that_is_wrong_now_is_an_error(program: SmallTree) -> None:
    program.write({f"{MILL}/pipeline.yaml": PIPELINE.replace("script:", "skript:")})

    outcome = strata(program, "--since", "start")

    assert outcome.returncode == 2
    assert f"{MILL}/pipeline.yaml:5: steps.grind.skript: unknown key" in outcome.stderr
