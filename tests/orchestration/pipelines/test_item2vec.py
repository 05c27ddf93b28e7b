"""The pipeline of item2vec, as it is in the tree, and its scripts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import common.errors
from orchestration.pipelines.checks import check_pipeline, order
from orchestration.pipelines.loading import find_pipelines, load_pipeline
from orchestration.pipelines.script_flags import check_flags, describe_script
from orchestration.pipelines.spec import FromDataset, Pipeline

_NAME = "product_recommendation/item2vec"
_MODULES = "domains.product_recommendation.item2vec"
_ROOT = Path(common.errors.__file__).absolute().parents[2]
_STEPS = ["load", "clean", "preprocess", "train", "evaluate", "recommend"]


def _load(profile: str | None) -> Pipeline:
    file = f"src/domains/{_NAME}/pipeline.yaml"
    (path,) = find_pipelines(_ROOT, [file]).values()
    return load_pipeline(path, _NAME, profile)


@pytest.mark.parametrize("profile", [None, "toy", "full"])
def test_it_is_right_in_every_profile(profile: str | None) -> None:
    pipeline = _load(profile)
    # In the full profile nothing takes the sizes of the shop: warnings, no errors.
    problems = check_pipeline(pipeline)
    assert {problem.severity for problem in problems} <= {"warning"}
    if profile != "full":
        assert problems == []
    generated = [] if profile == "full" else ["generate"]
    assert order(pipeline) == generated + _STEPS


def test_only_the_full_profile_needs_files_of_ratings() -> None:
    assert _load("full").steps["load"].inputs == {
        "ratings": FromDataset(dataset="reviews"),
        "products": FromDataset(dataset="descriptions"),
    }


@pytest.mark.parametrize("step", ["generate", *_STEPS])
def test_its_flags_are_those_of_the_scripts(step: str) -> None:
    flags = describe_script([sys.executable], _ROOT, f"{_MODULES}.{step}")
    for profile in (None, "toy", "full"):
        pipeline = _load(profile)
        if step in pipeline.steps:
            assert check_flags(step, pipeline.steps[step], flags, pipeline.params) == []
