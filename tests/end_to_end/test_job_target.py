"""A job's target: Pants runs it and answers its question for the graph meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.end_to_end.domains import BAD_PIXELS, DIGITS, ITEM2VEC, Domains

JOBS = {
    DIGITS: "inputs.epochs",
    ITEM2VEC: "inputs.min_count",
    BAD_PIXELS: "inputs.test",
}


@pytest.fixture
def unread(domains: Domains) -> Iterator[Domains]:
    """The tree, of which nobody has asked for the graph yet, with a stage."""
    config = domains.tree.root / "config/dev.yaml"
    before = config.read_text()
    config.write_text("azure: {compute: {cpu: small-cpu}}\n")
    new = domains.tree.root / "src/domains/unread.py"
    new.write_text("")
    yield domains
    new.unlink()
    config.write_text(before)


def target(task: str) -> str:
    """Name the target that submits a task's job."""
    return f"orchestration/jobs:{task.replace('/', '.')}"


def test_each_task_has_one(domains: Domains) -> None:
    listed = domains.tree.pants("list", "orchestration/jobs:")

    found = [line for line in listed.output.split() if not line.startswith("//")]
    assert found == sorted(map(target, JOBS)), listed.errors


@pytest.mark.parametrize("task", JOBS)
def test_it_submits_what_the_command_submits(unread: Domains, task: str) -> None:
    image = f"registry.example.com/{task}@sha256:{'0' * 64}"
    setting = ("--set", f"{JOBS[task]}=7")
    flags = ("--dry-run", "--json", "--image", image, *setting)

    by_target = unread.tree.pants("run", target(task), "--", *flags)
    by_command = unread.strata("job", task, *flags)

    assert by_target.status == 0, by_target.errors
    jobs = [json.loads(one.output) for one in (by_target, by_command)]
    assert jobs[0].pop("name") != jobs[1].pop("name")
    assert jobs[0] == jobs[1]
    assert jobs[0]["compute"] == "azureml:small-cpu"
    section, _, name = JOBS[task].partition(".")
    assert jobs[0][section][name] == 7
    wrong = unread.tree.pants("run", target(task), "--", "--set", "x=1")
    assert wrong.status == 2
    assert "--set x: there is no such key" in wrong.errors
