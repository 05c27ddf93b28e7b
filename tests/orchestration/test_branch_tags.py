"""Tags for branches: allowed by registries, and never the same for two."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.images.publishing import tag_of_branch

BRANCHES = st.text(st.sampled_from("aZ09_.-/é#"), min_size=1, max_size=200)
# The OCI distribution specification 1.1, "pulling manifests".
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


@given(BRANCHES)
def test_every_branch_has_an_allowed_tag(branch: str) -> None:
    assert TAG.fullmatch(tag_of_branch(branch))


@given(BRANCHES, BRANCHES)
def test_two_branches_have_two_tags(left: str, right: str) -> None:
    assert (tag_of_branch(left) == tag_of_branch(right)) == (left == right)


@pytest.mark.parametrize("branch", ["main", "release-1.2", "alice_fix"])
def test_a_branch_that_is_a_tag_keeps_its_name(branch: str) -> None:
    assert tag_of_branch(branch) == branch


@pytest.mark.parametrize("branch", ["0" * 24, "deadbeef" * 5])
def test_a_branch_never_takes_the_tag_of_a_content_or_commit(branch: str) -> None:
    assert tag_of_branch(branch) != branch
