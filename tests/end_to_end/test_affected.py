"""What a change affects in a real tree, with Pants' own graphs of both states."""

from __future__ import annotations

import json

import pytest

from tests.build.scratch_tree import ScratchTree
from tests.end_to_end.mill import Mill
from tests.end_to_end.orchard import Orchard

Found = dict[str, dict[str, list[tuple[str, str]]]]
NOTHING: Found = {"tasks": {}, "pipelines": {}, "images": {}}


def affected(tree: ScratchTree, reference: str = "HEAD") -> Found:
    """Names and changes of parts, the reasons, by kind of thing and name."""
    outcome = tree.run("./strata", "affected", "--since", reference, "--json")
    assert outcome.status == 0, outcome.errors
    assert outcome.errors == ""
    return {
        kind: {
            thing["name"]: [(one["name"], one["change"]) for one in thing["reasons"]]
            for thing in things
        }
        for kind, things in json.loads(outcome.output).items()
    }


def of_task(name: str, *reasons: tuple[str, str]) -> Found:
    return NOTHING | {"tasks": {name: [*reasons]}, "images": {name: [*reasons]}}


def append(tree: ScratchTree, name: str, text: str = "\n# edited\n") -> None:
    path = tree.root / name
    path.write_text(path.read_text() + text)


def test_files_and_packages_that_a_task_reaches_are_reasons_and_no_others(
    orchard: Orchard,
) -> None:
    tree = orchard.tree
    assert affected(tree) == NOTHING

    tree.write({"README.md": ""})
    append(tree, "src/common/unused.py")
    append(tree, "src/domains/apples/unused.py")
    append(tree, "src/domains/apples/BUILD")
    tree.write({"tests/domains/apples/test_ripen.py": "import domains.apples.ripen\n"})
    tree.write({"tests/domains/apples/BUILD": "python_tests()\n"})
    lock = (tree.root / "3rdparty/torch.lock").read_text()
    tqdm, torch = (
        next(line for line in lock.splitlines() if line.startswith(f"{name}=="))
        for name in ("tqdm", "torch")
    )
    bumped = lock.replace(torch, torch.replace("==", "==9."))
    tree.write({"3rdparty/torch.lock": bumped})
    tree.commit("Change what no task reaches")
    assert affected(tree, "HEAD~1") == NOTHING

    tree.write({"3rdparty/torch.lock": bumped.replace(tqdm, f"{tqdm[:6]}9.{tqdm[6:]}")})
    helper = "src/domains/apples/helper.py"
    append(tree, helper)
    assert affected(tree, "HEAD~1") == of_task(
        "apples", (helper, "modified"), ("tqdm", "version")
    )


def test_a_file_that_was_deleted_or_is_reached_no_more_is_a_reason(
    orchard: Orchard,
) -> None:
    tree = orchard.tree
    assert affected(tree) == NOTHING
    payload = "src/domains/{}/payload.bin"

    (tree.root / payload.format("apples")).unlink()
    build = "src/domains/apples/BUILD"
    text = (tree.root / build).read_text()
    resources = 'resources(name="payload", sources=["payload.bin"])\n'
    assert resources in text
    text = text.replace(resources, "").replace('dependencies=[":payload"]', "")
    tree.write({build: text})
    build = "src/domains/pears/BUILD"
    text = (tree.root / build).read_text()
    tree.write({build: text.replace('dependencies=[":payload"]', "")})
    tree.git("mv", "src/common/__init__.py", "src/common/errors_too.py")

    deleted, unreached = payload.format("apples"), payload.format("pears")
    found = affected(tree)
    assert found["images"] == {
        "apples": [("src/common/__init__.py", "deleted"), (deleted, "deleted")],
        "pears": [("src/common/__init__.py", "deleted"), (unreached, "unreached")],
    }


def test_an_earlier_tree_that_was_never_read_is_read_by_pants(
    orchard: Orchard,
) -> None:
    base = "docker/base/install-environment"
    append(orchard.tree, base)
    append(orchard.tree, "src/domains/pears/environment/Dockerfile", "USER root\n")

    found = affected(orchard.tree)

    dockerfile = "src/domains/pears/environment/Dockerfile"
    assert found == NOTHING | {
        kind: {
            "apples": [(base, "modified")],
            "pears": [(base, "modified"), (dockerfile, "modified")],
        }
        for kind in ("tasks", "images")
    }
    assert orchard.tree.git("worktree", "list").count("\n") == 1


def test_pipelines_are_affected_by_what_their_steps_reach(mill: Mill) -> None:
    folder = "src/domains/mill"
    assert affected(mill.tree) == NOTHING
    append(mill.tree, f"{folder}/unused.py")
    mill.tree.write({"tests/domains/mill/test_deep.py": ""})
    assert affected(mill.tree) == NOTHING

    append(mill.tree, f"{folder}/bake.py")
    mill.tree.write({f"{folder}/label.txt": "oats"})
    found = affected(mill.tree)
    bake, label = (f"{folder}/bake.py", "modified"), (f"{folder}/label.txt", "modified")
    assert found == of_task("mill", bake, label) | {
        "pipelines": {"mill": [bake, label], "mill/nightly": [label]}
    }

    mill.tree.git("checkout", "--quiet", ".")
    append(mill.tree, f"{folder}/deep.py")
    append(mill.tree, f"{folder}/nightly/pipeline.yaml")
    mill.tree.write({f"{folder}/azure-ml-job.yaml": ""})
    deep = (f"{folder}/deep.py", "modified")
    nightly = (f"{folder}/nightly/pipeline.yaml", "modified")
    assert affected(mill.tree) == {
        "tasks": {"mill": [deep, (f"{folder}/azure-ml-job.yaml", "added")]},
        "pipelines": {"mill": [deep], "mill/nightly": [deep, nightly]},
        "images": {"mill": [deep]},
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "mian"], "git knows no commit mian (did you mean main?)"),
        (["--since", "HEAD", "--matrix", "image"], "did you mean images?"),
    ],
)
def test_a_wrong_request_is_one_line(
    orchard: Orchard, arguments: list[str], message: str
) -> None:
    outcome = orchard.strata("affected", *arguments)

    assert (outcome.status, outcome.output) == (2, "")
    assert message in outcome.errors
    assert outcome.errors.count("\n") == 1
