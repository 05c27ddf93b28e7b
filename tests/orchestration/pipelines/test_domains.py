"""The domains' pipelines, as they are in the tree, and their scripts."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import common.errors
from orchestration.pipelines.checks import ERROR, check_pipeline
from orchestration.pipelines.loading import find_pipelines, load_pipeline
from orchestration.pipelines.script_flags import check_flags, describe_script
from orchestration.pipelines.spec import FromDataset, Pipeline, Step

_ROOT = Path(common.errors.__file__).absolute().parents[2]
_FILES = [
    str(path.relative_to(_ROOT)) for path in _ROOT.glob("src/domains/**/pipeline.yaml")
]
_JOBS = sorted(_ROOT.glob("src/domains/**/azure-ml-job.yaml"))
_EXPRESSION = re.compile(r"\$\{\{(inputs|outputs)\.(\w+)\}\}")
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


def test_each_has_a_job() -> None:
    folders = [str(path.parent.relative_to(_ROOT / "src/domains")) for path in _JOBS]
    assert folders == list(find_pipelines(_ROOT, _FILES))


@pytest.mark.parametrize("path", _JOBS, ids=lambda path: path.parent.name)
def test_a_job_calls_its_script_by_its_flags_with_all_that_it_declares(
    path: Path,
) -> None:
    job = yaml.safe_load(path.read_text())
    mentioned: dict[str, set[str]] = {"inputs": set(), "outputs": set()}

    def given(mark: re.Match[str]) -> str:
        mentioned[mark[1]].add(mark[2])
        value = job[mark[1]][mark[2]]
        return "PATH" if isinstance(value, dict) else str(value)

    words = shlex.split(_EXPRESSION.sub(given, job["command"]))
    assert words[:2] == ["python", "-m"]
    module, *arguments = words[2:]
    flags, values = arguments[::2], arguments[1::2]
    assert all(flag.startswith("--") for flag in flags)
    args = {flag[2:]: value for flag, value in zip(flags, values, strict=True)}
    step = Step.model_validate({"script": module, "args": args})

    assert (
        check_flags("job", step, describe_script([sys.executable], _ROOT, module), {})
        == []
    )
    assert mentioned == {kind: set(job[kind]) for kind in ("inputs", "outputs")}
    code = path.parent.joinpath(job["code"]).resolve()
    assert code.joinpath(*module.split(".")).with_suffix(".py").is_file()
