"""The pipeline of digit recognition, as it is in the tree, and its scripts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import common.errors
from orchestration.pipelines.checks import check_pipeline, order
from orchestration.pipelines.loading import find_pipelines, load_pipeline
from orchestration.pipelines.script_flags import check_flags, describe_script
from orchestration.pipelines.spec import FromDataset, Pipeline

_NAME = "digit_recognition"
_ROOT = Path(common.errors.__file__).absolute().parents[2]


def _load(profile: str | None) -> Pipeline:
    file = f"src/domains/{_NAME}/pipeline.yaml"
    (path,) = find_pipelines(_ROOT, [file]).values()
    return load_pipeline(path, _NAME, profile)


@pytest.mark.parametrize("profile", [None, "toy", "full"])
def test_it_is_right_in_every_profile(profile: str | None) -> None:
    pipeline = _load(profile)
    # Only one profile takes MNIST, and none is left with something of no use.
    assert check_pipeline(pipeline) == []
    assert order(pipeline) == ["prepare", "train", "evaluate", "predict"]


def test_only_the_full_profile_needs_mnist() -> None:
    assert _load("toy").steps["prepare"].inputs == {}
    found = _load("full").steps["prepare"].inputs
    assert found == {"mnist": FromDataset(dataset="mnist")}


# predict imports numpy before it parses, which the orchestrator's environment lacks.
@pytest.mark.parametrize("step", ["prepare", "train", "evaluate"])
def test_its_flags_are_those_of_the_scripts(step: str) -> None:
    module = f"domains.{_NAME}.{step}"
    flags = describe_script([sys.executable], _ROOT, module)
    for profile in (None, "toy", "full"):
        pipeline = _load(profile)
        assert check_flags(step, pipeline.steps[step], flags, pipeline.params) == []
