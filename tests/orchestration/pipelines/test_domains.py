"""The domains' pipelines, as they are in the tree, and their scripts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import common.errors
from orchestration.pipelines.checks import ERROR, check_pipeline
from orchestration.pipelines.loading import find_pipelines, load_pipeline
from orchestration.pipelines.script_flags import check_flags, describe_script
from orchestration.pipelines.spec import FromDataset, Pipeline

_ROOT = Path(common.errors.__file__).absolute().parents[2]
_FILES = [
    str(path.relative_to(_ROOT)) for path in _ROOT.glob("src/domains/**/pipeline.yaml")
]
_PROFILES = (None, "toy", "full")
# They import numpy before they parse, which the orchestrator's environment lacks.
_HEAVY = {("digit_recognition", "predict")}


def _load(name: str, profile: str | None) -> Pipeline:
    return load_pipeline(find_pipelines(_ROOT, _FILES)[name], name, profile)


def _scripts() -> Iterator[tuple[str, str]]:
    for name in find_pipelines(_ROOT, _FILES):
        scripts = {step.script for step in _load(name, None).steps.values()}
        yield from ((name, script) for script in sorted(scripts))


def test_there_are_three() -> None:
    assert list(find_pipelines(_ROOT, _FILES)) == [
        "digit_recognition",
        "product_recommendation/item2vec",
        "video_quality/bad_pixels",
    ]


@pytest.mark.parametrize("name", find_pipelines(_ROOT, _FILES))
@pytest.mark.parametrize("profile", _PROFILES)
def test_it_is_right_in_every_profile(name: str, profile: str | None) -> None:
    problems = check_pipeline(_load(name, profile))
    # In the full profile nothing takes the sizes of what is otherwise generated.
    assert [p for p in problems if p.severity == ERROR or profile != "full"] == []


@pytest.mark.parametrize("name", find_pipelines(_ROOT, _FILES))
def test_only_the_full_profile_needs_data_from_outside(name: str) -> None:
    for profile in _PROFILES:
        inputs = [
            source
            for step in _load(name, profile).steps.values()
            for source in step.inputs.values()
        ]
        needs = any(isinstance(source, FromDataset) for source in inputs)
        assert needs == (profile == "full")


@pytest.mark.parametrize(("name", "script"), sorted(set(_scripts()) - _HEAVY))
def test_its_flags_are_those_of_the_scripts(name: str, script: str) -> None:
    module = f"domains.{name.replace('/', '.')}.{script}"
    flags = describe_script([sys.executable], _ROOT, module)
    for profile in _PROFILES:
        pipeline = _load(name, profile)
        for step_name, step in pipeline.steps.items():
            if step.script == script:
                assert check_flags(step_name, step, flags, pipeline.params) == []
