"""Names for branches: valid for every service, and never the same for two."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.branches import (
    EXPERIMENT,
    MODEL,
    WORKFLOW,
    NameRule,
    name_for_branch,
)

BRANCHES = st.text(st.sampled_from("abfABF019_.-/é#@"), min_size=1, max_size=80)
TASKS = st.from_regex(r"[a-z][a-z0-9_]{0,20}(/[a-z][a-z0-9_]{0,20})?", fullmatch=True)
# Azure ML: letters, digits, _ and -, not first; capitals may or may not count.
AZURE = re.compile(r"[a-z0-9][a-z0-9_-]*")
# RFC 1123, section 2.1, as Kubernetes reads it.
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
RULES = [
    pytest.param(EXPERIMENT, AZURE, 36, id="experiment"),
    pytest.param(MODEL, AZURE, 30, id="model"),
    pytest.param(WORKFLOW, LABEL, 50, id="workflow"),
]


@pytest.mark.parametrize(("rule", "form", "longest"), RULES)
@given(task=TASKS, branch=BRANCHES)
def test_every_branch_has_a_name_that_is_accepted(
    rule: NameRule, form: re.Pattern[str], longest: int, task: str, branch: str
) -> None:
    name = name_for_branch(rule, task, branch)

    assert form.fullmatch(name)
    assert len(name) <= longest


@pytest.mark.parametrize(("rule", "form", "longest"), RULES)
@given(
    left=st.tuples(TASKS, BRANCHES),
    right=st.tuples(TASKS, BRANCHES),
    same=st.booleans(),
)
def test_two_branches_or_tasks_have_two_names(
    rule: NameRule,
    form: re.Pattern[str],
    longest: int,
    left: tuple[str, str],
    right: tuple[str, str],
    same: bool,
) -> None:
    if same:  # two branches of one task, which are nearer to each other
        right = (left[0], right[1])
    names = name_for_branch(rule, *left), name_for_branch(rule, *right)

    assert (names[0] == names[1]) == (left == right)


@pytest.mark.parametrize(("rule", "form", "longest"), RULES)
@given(branch=BRANCHES)
def test_a_branch_named_like_another_one_s_name_is_none(
    rule: NameRule, form: re.Pattern[str], longest: int, branch: str
) -> None:
    name = name_for_branch(rule, "apples", branch)
    copy = name.removeprefix("apples-")

    assert copy == branch or name_for_branch(rule, "apples", copy) != name


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Fix", "fix"),
        ("alice/fix", "bob/fix"),
        ("a/b", "a-b"),
        ("a_b", "a-b"),
        ("x" * 100, "x" * 101),
    ],
)
def test_branches_that_are_alike_are_kept_apart(left: str, right: str) -> None:
    for rule in (EXPERIMENT, MODEL, WORKFLOW):
        names = {name_for_branch(rule, "apples", one) for one in (left, right)}
        assert len(names) == 2


def test_a_name_that_fits_stays_readable() -> None:
    name = name_for_branch(EXPERIMENT, "digit_recognition", "main")
    assert name == "digit_recognition-main"
    assert name_for_branch(WORKFLOW, "apples", "release-2") == "apples-release-2"
    changed = name_for_branch(EXPERIMENT, "apples", "alice/fix")
    assert re.fullmatch("apples-alice-fix-[0-9a-f]{10}", changed)
