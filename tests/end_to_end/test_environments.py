"""Commands in a task's environment: exactly its packages, exactly its files."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import docker
import pytest

from tests.end_to_end.orchard import Orchard

FILES = [
    "src/common/__init__.py",
    "src/common/errors.py",
    "src/domains/apples/helper.py",
    "src/domains/apples/ripen.py",
]


def test_a_first_start_says_so_and_a_broken_environment_is_made_again(
    orchard: Orchard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for expected in ("strata: first start: setting up", ""):
        outcome = orchard.strata("--help")
        assert outcome.status == 0
        assert outcome.output.startswith("usage: strata")
        assert outcome.errors.startswith(expected)
    assert outcome.errors == ""
    (made,) = tmp_path.glob("strata/orchestration/*/venv/bin/python")
    made.unlink()
    assert "first start" in orchard.strata("--help").errors
    assert made.exists()


def test_a_script_sees_its_packages_and_files_and_no_others(orchard: Orchard) -> None:
    outcome = orchard.strata("exec", "apples", "ripen", "--", "outputs/a.json", "-x")

    assert outcome.status == 0, outcome.errors
    seen = json.loads(outcome.output)
    assert seen["packages"] == ["tqdm"]
    assert seen["files"] == FILES
    assert seen["folder"] == ["data", "outputs", "src"]
    assert seen["arguments"] == ["outputs/a.json", "-x"]
    # What it writes under outputs/ is in the tree's own.
    written = orchard.tree.root / "outputs/a.json"
    assert json.loads(written.read_text()) == seen

    # Nothing is installed or copied a second time, and an edit is seen.
    again = orchard.strata("exec", "apples", "ripen.py")
    assert (again.status, again.errors) == (0, "")
    orchard.append("src/domains/apples/helper.py", "print('sweet')\n")
    edited = orchard.strata("exec", "apples", "ripen")
    assert edited.output.startswith("sweet\n")


def test_the_scripts_exit_status_is_passed_on(orchard: Orchard) -> None:
    orchard.append("src/domains/pears/press.py", "\nsys.exit(7)\n")

    assert orchard.strata("exec", "pears", "press").status == 7


def test_a_shell_sees_edits_as_they_are_made(orchard: Orchard) -> None:
    commands = (
        "echo 'print(6 * 7)' >>$TREE/src/domains/apples/helper.py\n"
        "python -c 'import domains.apples.helper, tqdm'\n"
        "python -c 'import pytest' 2>&1 | tail -n 1\n"
    )
    done = subprocess.run(
        ["./strata", "shell", "apples"],
        cwd=orchard.tree.root,
        env={**os.environ, "SHELL": "/bin/sh", "TREE": str(orchard.tree.root)},
        input=commands,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "42\nModuleNotFoundError: No module named 'pytest'\n"
    assert done.returncode == 0


def test_the_image_runs_the_code_as_it_is_and_writes_as_the_user(
    orchard: Orchard, engine: docker.DockerClient, tmp_path: Path
) -> None:
    flags = ["--docker", "--outputs", str(tmp_path / "out")]

    outcome = orchard.strata("exec", "apples", "ripen", *flags, "--", "outputs/a.json")

    assert outcome.status == 0, outcome.errors
    seen = json.loads(outcome.output.splitlines()[-1])
    assert seen["packages"] == ["tqdm"]
    assert seen["files"] == FILES
    assert seen["user"] == os.getuid()
    written = tmp_path / "out/a.json"
    assert json.loads(written.read_text()) == seen
    assert written.stat().st_uid == os.getuid()
    # The code cannot be written to.
    orchard.append("src/domains/apples/ripen.py", "\nopen(__file__, 'a')\n")
    refused = orchard.strata("exec", "apples", "ripen", *flags)
    assert refused.status == 1
    assert "Read-only file system" in refused.errors


@pytest.mark.parametrize(
    "command",
    [
        ["image"],
        ["exec", "apples", "ripen", "--docker"],
        ["shell", "apples", "--docker"],
    ],
)
def test_without_docker_a_line_says_what_to_do(
    orchard: Orchard, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")

    outcome = orchard.strata(*command)

    assert (outcome.status, outcome.output) == (2, "")
    assert "no Docker engine answers; install and start it" in outcome.errors
    assert outcome.errors.count("\n") == 1
