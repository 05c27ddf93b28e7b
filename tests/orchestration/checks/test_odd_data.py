"""Whatever a specification holds, a check of it ends in findings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.checkout import Checkout
from orchestration.checks.checking import check_tree
from orchestration.pipelines.documents import read_document
from tests.orchestration.small_tree import SmallTree

Place = tuple[str | int, ...]
FILES = (
    "argo/mill.yaml",
    "azure/cpu.yaml",
    "orchestration/ci/azure-devops/main.yml",
    "orchestration/ci/azure-devops/set-up.yml",
    "orchestration/ci/github/build.yml",
    "orchestration/ci/github/pull-request.yml",
    "orchestration/ci/github/set-up/action.yml",
    "src/domains/mill/azure-ml-job.yaml",
    "src/domains/mill/deploy/nightly.yaml",
    "src/domains/mill/pipeline.yaml",
)
TEXTS = st.sampled_from(
    [
        "",
        "${{",
        "${{inputs.x}}",
        "{{inputs.parameters.x}}",
        "python -m domains.mill.grind --turns -- --x=",
        "python -m 'x",
        "./x",
        "docker://x",
        "<x>",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | TEXTS,
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(
        st.sampled_from(["name", "path", "template", "uses", "x"]), inner, max_size=2
    ),
    max_leaves=4,
)


def places(data: Any, where: Place = ()) -> Iterator[Place]:
    """All places in some data."""
    yield where
    if isinstance(data, dict):
        for key, value in data.items():
            yield from places(value, (*where, key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from places(value, (*where, number))


def put(data: Any, where: Place, value: Any) -> Any:
    """The data with another value at a place."""
    if not where:
        return value
    changed = data.copy()
    changed[where[0]] = put(data[where[0]], where[1:], value)
    return changed


@pytest.fixture(scope="module")
def scratch(
    valid: SmallTree, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SmallTree]:
    if not os.environ.get("CI"):
        pytest.skip("checks dozens of odd files; CI=true runs it")
    copied = shutil.copytree(valid.root, tmp_path_factory.mktemp("odd") / "tree")
    yield SmallTree(Checkout(copied, valid.checkout.cache))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_check_ends_well(
    scratch: SmallTree, valid: SmallTree, data: st.DataObject
) -> None:
    file = data.draw(st.sampled_from(FILES))
    document = read_document(Path(valid.root, file)).data
    where = data.draw(st.sampled_from(list(places(document))))
    odd = put(document, where, data.draw(VALUES))

    scratch.write({file: yaml.safe_dump(odd, sort_keys=False)})
    try:
        report = check_tree(scratch.checkout, print, lambda _: [file])
    finally:
        scratch.write({file: Path(valid.root, file).read_text()})

    assert {one.file for one in report.findings} <= {file}
    assert report.unchecked == ()
