"""``./strata check`` as it is typed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.orchestration.small_tree import SmallTree

DOCKERFILE = "src/domains/mill/environment/Dockerfile"


@pytest.fixture
def program(tree: SmallTree) -> SmallTree:
    """The tree with the program in it, so that the tree is the program's own."""
    ignored = shutil.ignore_patterns("__pycache__", "ci")
    for folder in ("orchestration", "src/common"):
        target = tree.root / folder
        shutil.copytree(folder, target, ignore=ignored, dirs_exist_ok=True)
    return tree


def strata(tree: SmallTree, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "orchestration", "check", *arguments],
        cwd=tree.root / "src",
        env={
            **os.environ,
            "PYTHONPATH": f"{tree.root}:{tree.root}/src",
            "XDG_CACHE_HOME": str(tree.checkout.cache),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_prints_findings_and_a_summary(program: SmallTree) -> None:
    # Paths are relative to where one is: in src.
    sound = strata(program, "../config", f"../{DOCKERFILE}")
    assert sound.returncode == 0, sound.stderr
    assert sound.stdout.startswith("4 specifications, 0 findings in ")

    program.write({DOCKERFILE: "FROM x:latest\nFROM y\n", "config/dev.yaml": "x: 1\n"})
    broken = strata(program, "../config", "domains/mill/environment")
    assert broken.returncode == 1
    assert broken.stderr == ""
    *findings, summary = broken.stdout.splitlines()
    assert [one.split(": ")[0] for one in findings] == [
        "config/dev.yaml:1",
        f"{DOCKERFILE}:1",
        f"{DOCKERFILE}:2",
    ]
    assert summary.startswith("4 specifications, 3 findings in ")

    as_json = strata(program, "--json", f"../{DOCKERFILE}")
    assert as_json.returncode == 1
    document = json.loads(as_json.stdout)
    assert document["specifications"] == [DOCKERFILE]
    assert [(one["file"], one["line"]) for one in document["findings"]] == [
        (DOCKERFILE, 1),
        (DOCKERFILE, 2),
    ]
    assert all(one["message"] and one["hint"] for one in document["findings"])


def test_a_wrong_request_is_one_line(program: SmallTree) -> None:
    program.write({"notes.txt": ""})
    for path, problem in {
        "../confg/dev.yaml": "no ../confg/dev.yaml (did you mean config/dev.yaml?)",
        "../notes.txt": "../notes.txt has no specification",
    }.items():
        done = strata(program, path)
        assert done.returncode == 2
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert problem in line
