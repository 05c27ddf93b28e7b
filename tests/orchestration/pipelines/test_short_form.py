"""A list of steps is a pipeline: what it is written out as, and what is wrong in it."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from orchestration.launcher.job import JobInput
from orchestration.pipelines.arguments import command_arguments
from orchestration.pipelines.keys import Platform, StepCode
from orchestration.pipelines.loading import SpecError, load_pipeline
from orchestration.pipelines.planning import Planner
from orchestration.pipelines.schema import pipeline_schema
from orchestration.pipelines.short_form import write_out
from orchestration.pipelines.spec import (
    FromDataset,
    FromPath,
    FromStep,
    Pipeline,
    Step,
)
from orchestration.store.content import Content
from orchestration.store.store import Store
from tests.orchestration.pipelines.files import load, write

NAME = "cameras"
SHORT = """\
{
  "description": "Mark the defects of a camera's videos.",
  "input": "s3://cameras/videos",
  "output": "s3://cameras/defects",
  "steps": [
    "extract ${input} --frames 64 --output-path ${output}",
    {
      "name": "describe",
      "script": "features",
      "positional": ["${input}/clips"],
      "args": {"output_path": "${output}"},
      "resources": {"cpu": 2}
    },
    "score"
  ]
}
"""
LONG = """\
description: Mark the defects of a camera's videos.
datasets:
  input: {address: s3://cameras/videos}
steps:
  extract:
    script: extract
    inputs: {input: {dataset: input}}
    args: {frames: 64, output-path: "${outputs.output}"}
    positional: ["${inputs.input}"]
    outputs: [output]
  describe:
    script: features
    inputs: {input: extract/output}
    positional: ["${inputs.input}/clips"]
    args: {output_path: "${outputs.output}"}
    outputs: [output]
    resources: {cpu: 2}
  score:
    script: score
    inputs: {input: describe/output}
    args: {input-path: "${inputs.input}", output-path: "${outputs.output}"}
    outputs: [output]
deliver:
  s3://cameras/defects: score/output
"""
_SHA = "0" * 64
_WORDS = ["x", "x ${input} --to ${output}", "${input}", "${output}/a", "${", "s3://a/b"]
_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0$"))


class _Anything:
    """Knows every script, and reads every input as one folder."""

    def code(self, task: str, script: str) -> StepCode:
        return StepCode(task, f"domains.{task}.{script}", {}, "", {})

    def read(self, where: str, name: str, source: FromPath | FromDataset) -> JobInput:
        return JobInput(f"tree:{_SHA}", f"inputs/{name}")

    def content(self, source: JobInput) -> Content:
        raise AssertionError("nothing maps")


def read(folder: Path, text: str) -> Pipeline:
    """Read a short form."""
    return load_pipeline(write(folder, text, "pipeline.json"), NAME)


def refused(folder: Path, text: str) -> list[str]:
    """Give what is wrong with a short form, without the file's name."""
    with pytest.raises(SpecError) as caught:
        read(folder, text)
    prefix = f"src/domains/{NAME}/pipeline.json:"
    assert all(line.startswith(prefix) for line in caught.value.lines)
    return [line.removeprefix(prefix) for line in caught.value.lines]


def keys(pipeline: Pipeline, store: Store) -> dict[str, str | None]:
    """Give the key of each step, where each gives the same folder."""
    anything = _Anything()
    platform = Platform("CPython 3.11", "linux x86_64", "one")
    planner = Planner(NAME, pipeline, anything, anything, store, platform)
    given = {"output": {"reference": f"tree:{_SHA}"}}
    known = {name: given for name in pipeline.steps}
    return {name: planner.step(name, known).key for name in planner.order}


def command(pipeline: Pipeline, step: str) -> list[str]:
    """Give a step's arguments, with places for its input and its output."""
    found: Step = pipeline.steps[step]
    return command_arguments(found, {}, {"input": "IN"}, {"output": "OUT/output"})


def test_it_is_written_out_as_the_long_form(tmp_path: Path) -> None:
    short, long = read(tmp_path, SHORT), load(tmp_path, LONG)

    assert list(short.steps) == list(long.steps)
    assert short.steps["extract"].args == {
        **long.steps["extract"].args,
        "frames": "64",
    }
    for name in ("describe", "score"):
        assert short.steps[name] == long.steps[name]
    assert short.datasets == long.datasets
    assert short.deliver == long.deliver
    assert short.description == long.description


def test_equal_forms_have_equal_keys(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    short = keys(read(tmp_path, SHORT), store)

    assert short == keys(load(tmp_path, LONG), store)
    assert None not in short.values()
    # Where it is delivered is none of a key.
    elsewhere = SHORT.replace("s3://cameras/defects", "/srv/defects")
    assert keys(read(tmp_path, elsewhere), store) == short


def test_an_input_may_be_pinned_and_a_path_of_the_tree(tmp_path: Path) -> None:
    pinned = {"address": "data/videos", "digest": f"sha256:{_SHA}"}
    text = SHORT.replace('"s3://cameras/videos"', json.dumps(pinned))

    dataset = read(tmp_path, text).datasets["input"]

    assert (dataset.address, dataset.digest) == ("data/videos", f"sha256:{_SHA}")


def test_yaml_takes_the_short_form_as_well(tmp_path: Path) -> None:
    path = write(tmp_path, yaml.safe_dump(json.loads(SHORT)))
    assert load_pipeline(path, NAME) == read(tmp_path, SHORT)


def test_a_script_that_comes_again_gets_a_number(tmp_path: Path) -> None:
    steps = [
        "clean.py",
        "clean",
        "domains.cameras.clean",
        "src/domains/cameras:clean",
        {"name": "clean-3", "script": "clean"},
    ]
    pipeline = read(tmp_path, json.dumps({"input": "data/x", "steps": steps}))

    names = ["clean", "clean-2", "clean-4", "clean-5", "clean-3"]
    assert list(pipeline.steps) == names
    inputs = [step.inputs["input"] for step in list(pipeline.steps.values())[1:]]
    assert inputs == [FromStep(step=one, output="output") for one in names[:-1]]


def test_a_step_that_makes_its_own_data_comes_first_without_an_input(
    tmp_path: Path,
) -> None:
    steps = ["generate --videos 3 --output_path ${output}", "extract"]
    pipeline = read(tmp_path, json.dumps({"steps": steps}))

    assert pipeline.steps["generate"].inputs == {}
    assert pipeline.datasets == {} and pipeline.deliver == {}


def test_a_step_may_map(tmp_path: Path) -> None:
    step = {"script": "extract", "map": "input", "shards": 2}
    pipeline = read(tmp_path, json.dumps({"input": "data/x", "steps": [step]}))
    assert pipeline.steps["extract"].map == "input"


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("x", ["--input-path", "IN", "--output-path", "OUT/output"]),
        ("x ${input} -- -v ${output}", ["--", "IN", "-v", "OUT/output"]),
        ("x --out=${output}/a ${input}/b", ["--out", "OUT/output/a", "IN/b"]),
        ("x --deep --in ${input} -5", ["--deep", "--in", "IN", "--", "-5"]),
        ("x --low -5 --in ${input}", ["--in", "IN", "--low=-5"]),
        ("x --in ${input} --t 'a b' '' '$${c}'", None),
        ("x --in=${input} --empty=", ["--empty", "", "--in", "IN"]),
    ],
)
def test_a_command_line_is_split_as_a_shell_would(
    line: str, arguments: list[str] | None, tmp_path: Path
) -> None:
    if arguments is None:
        arguments = ["--in", "IN", "--t", "a b", "", "${c}"]
    pipeline = read(tmp_path, json.dumps({"input": "data/x", "steps": [line]}))
    assert command(pipeline, "x") == arguments


@given(
    st.lists(_TEXTS),
    st.dictionaries(st.from_regex(r"[a-z][a-z_-]{2,8}", fullmatch=True), _TEXTS),
)
def test_what_is_quoted_arrives_as_it_was(
    words: list[str], flags: Mapping[str, str]
) -> None:
    line = ["x", "-- ${output}", *map(shlex.quote, words)]
    line[1:1] = [shlex.quote(f"--{flag}={value}") for flag, value in flags.items()]

    written = write_out({"steps": [" ".join(line)]})

    assert written.problems == []
    step = Step.model_validate(written.data["steps"]["x"])
    assert step.args == flags
    assert step.positional == ["${outputs.output}", *words]


_KEYS = st.sampled_from(
    ["name", "script", "args", "positional", "inputs", "env", "map", "x"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(_WORDS) | st.text(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(_KEYS | st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@given(
    st.lists(_JSON | st.dictionaries(_KEYS, _JSON), max_size=4),
    st.dictionaries(st.sampled_from(["input", "output", "description"]), _JSON),
)
def test_whatever_it_holds_is_read_or_refused_in_lines(
    steps: list[Any], rest: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            pipeline = read(Path(folder), json.dumps({**rest, "steps": steps}))
        except SpecError as error:
            start = f"src/domains/{NAME}/pipeline.json:"
            assert all(line.startswith(start) for line in error.lines)
        else:
            assert len(pipeline.steps) == len(steps)


def test_what_is_wrong_has_its_line(tmp_path: Path) -> None:
    text = SHORT.replace('"cpu": 2', '"cpus": 2').replace("${input}/clips", "${inptu}")
    text = text.replace('"output": "s3:', '"output": "ftp:')

    found = refused(tmp_path, text)

    assert found[0].startswith("4: output: ftp://cameras/defects is none of ")
    assert found[1].startswith("10: steps.1.positional.0: ${inptu} is neither ${input}")
    assert found[1].count("did you mean input?") == 1
    assert found[2].startswith("12: steps.1.resources.cpus: unknown key")
    assert len(found) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": []}, "3: steps: is empty"),
        ({"steps": [""]}, "4: steps.0: takes a command line, which begins with a"),
        ({"steps": [3]}, "4: steps.0: takes a command line or a mapping"),
        ({"steps": ["x 'a"]}, "4: steps.0: it is no command line: no closing quot"),
        ({"steps": ["x -v"]}, "4: steps.0: -v: a flag here is --NAME or --NAME=VALUE"),
        ({"steps": ["x --a 1 --a 2"]}, "4: steps.0: --a is there twice; a flag with"),
        ({"steps": ["x --a. ${x"]}, "4: steps.0.args.a.: ${ is neither ${input} nor"),
        ({"steps": ["../x"]}, "4: steps.0"),
        ({"steps": ["_ ${input}"]}, "4: steps.0: a step's name has lower-case lett"),
        ({"steps": [{}]}, "4: steps.0.script: is missing"),
        (
            {"steps": [{"script": "x", "outputs": ["a"]}]},
            "6: steps.0.outputs: a step in a list has ${output}; write the pipeline",
        ),
        ({"steps": [{"script": "x", "argz": {}}]}, "6: steps.0.argz: unknown key (did"),
        (
            {"steps": [{"script": "x", "args": {"input-path": "y"}}]},
            "7: steps.0.args.input-path: ${input} would go here; write it, or",
        ),
        (
            {"steps": [{"name": "y", "script": "x"}, {"name": "y", "script": "x"}]},
            "9: steps.1.name: steps.0 is called y already",
        ),
        (
            {"steps": ["x ${input}", "y"]},
            "5: steps.1: it reads ${input}, and x before it has no ${output}",
        ),
        ({"steps": ["x ${output}"]}, "2: input: the first step mentions no ${input}"),
        ({"input": None}, "1: input: is missing; steps.0 reads it"),
        ({"input": 3}, "2: input: takes an address, or {address: ..., digest: ...}"),
        ({"input": "ftp://x"}, "2: input.address: ftp://x is none of s3://, az://"),
        ({"output": 3}, "6: output: takes an address"),
        ({"output": "../x"}, "6: output: ../x leads out of its folder"),
        ({"output": "data/videos/x"}, "6: output: the pipeline reads "),
        ({"output": "s3://a:b@c/d"}, "an address holds no credentials or settings"),
        ({"steps": ["x ${input}"], "output": "/srv/x"}, ": output: x has no ${output}"),
        ({"inputs": "data/x"}, "6: inputs: unknown key (did you mean input?)"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    whole = {"input": "data/videos", "steps": ["x"], **changes}
    kept = {key: value for key, value in whole.items() if value is not None}

    found = refused(tmp_path, json.dumps(kept, indent=1))

    assert len(found) == 1, found
    assert said in found[0]
    assert "a:b" not in found[0]


def test_the_schema_takes_it_and_refuses_what_is_wrong() -> None:
    validator = Draft202012Validator(pipeline_schema())
    short = json.loads(SHORT)

    assert list(validator.iter_errors(short)) == []
    assert list(validator.iter_errors(yaml.safe_load(LONG))) == []
    wrongs: list[dict[str, Any]] = [
        {"steps": []},
        {"steps": ["x", 3]},
        {"steps": [{"script": "x", "inputs": {}}]},
        {"steps": [{"name": "X", "script": "x"}]},
        {"input": 3},
        {"params": {}},
    ]
    for wrong in wrongs:
        assert list(validator.iter_errors({**short, **wrong})), wrong
