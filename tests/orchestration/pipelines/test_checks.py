"""What is checked beyond the form: what refers to what, and in which order it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from orchestration.pipelines.checks import WARNING, Problem, check_pipeline, order
from orchestration.pipelines.spec import Pipeline
from tests.orchestration.pipelines.files import (
    EXAMPLE,
    PLACE,
    changed,
    line_of,
    load,
    refused,
)


def _graph(needs: dict[str, list[str]]) -> Pipeline:
    """Make a pipeline of steps, each with those that it needs."""
    return Pipeline.model_validate(
        {
            "steps": {
                name: {
                    "script": "work",
                    "inputs": {one: f"{one}/out" for one in before},
                    "args": {
                        "of": [f"${{inputs.{one}}}" for one in before],
                        "to": "${outputs.out}",
                    },
                    "outputs": ["out"],
                }
                for name, before in needs.items()
            }
        }
    )


def test_the_example_has_no_problem(tmp_path: Path) -> None:
    pipeline = load(tmp_path, EXAMPLE)
    assert check_pipeline(pipeline) == []
    assert order(pipeline) == ["prepare", "train", "predict"]


# What is replaced, by what, the part that the line is of, and what is said of it.
_WRONG = [
    (
        "prepare/data",
        "prepar/data",
        "prepar/data",
        "steps.train.inputs.data: there is no step prepar (did you mean prepare?)",
    ),
    (
        "prepare/data",
        "images/few",
        "images/few",
        "steps.train.inputs.data: there is no step images (what the tree holds is "
        "written {path: images/few})",
    ),
    (
        "prepare/data",
        "prepare/dat",
        "prepare/dat}",
        "steps.train.inputs.data: step prepare has no output dat (did you mean data?)",
    ),
    (
        "{dataset: mnist}",
        "{dataset: mnits}",
        "mnits",
        "steps.prepare.inputs.raw: there is no dataset mnits (did you mean mnist?)",
    ),
    (
        "${params.epochs}",
        "${params.epoch}",
        "epoch}",
        "steps.train.args.epochs: there is no parameter epoch (did you mean epochs?)",
    ),
    (
        'data_path: "${inputs.data}"',
        "data_path: ${inputs.data}${inputs.dat}",
        "inputs.dat}",
        "steps.train.args.data_path: the step has no input dat (did you mean data?)",
    ),
    (
        "output_path: ${outputs.data}",
        "output_path: ${outputs.data}${outputs.x}",
        "outputs.x",
        "steps.prepare.args.output_path: the step has no output x",
    ),
    (
        'dataset: "${params.dataset}"',
        "dataset: ${param.dataset}",
        "param.dataset",
        "steps.prepare.args.dataset: ${param.dataset} is none of ${params.NAME}, "
        "${inputs.NAME}, ${outputs.NAME} or ${outputs}",
    ),
    (
        '["${inputs.images}"]',
        '["${inputs.images"]',
        "positional",
        "steps.predict.positional.0: a ${ without its }; a ${ that stands for itself "
        "is $${",
    ),
    (
        "limit: ${params.limit}",
        "limit: at most ${params.limit}",
        "at most",
        "steps.prepare.args.limit: ${params.limit} is null, which cannot stand in a "
        "text",
    ),
    (
        "map: images",
        "map: image",
        "map",
        "steps.predict.map: the step has no input image (did you mean images?)",
    ),
    (
        "    map: images\n",
        "",
        "shards",
        "steps.predict.shards: only a step with map has shards",
    ),
    (
        "      data_path: ${inputs.raw}\n",
        "",
        "raw:",
        "steps.prepare.inputs.raw: no argument has ${inputs.raw}: the script is not "
        "told where it is",
    ),
    (
        "      output_path: ${outputs.data}\n",
        "",
        "[data]",
        "steps.prepare.outputs.data: no argument has ${outputs.data}: the script is "
        "not told where to write it",
    ),
    (
        "    outputs: [data]\n  train:",
        "    outputs: {data: a/b, more: a/b}\n  train:",
        "more",
        "steps.prepare.outputs.more: data and more are both a/b",
    ),
    (
        "    outputs: [data]\n  train:",
        "    outputs: {data: a, more: a/b}\n  train:",
        "more",
        "steps.prepare.outputs.more: a/b lies in a, which is data",
    ),
    (
        "    outputs: [data]\n  train:",
        "    outputs: {data: ./a/b, more: a/}\n  train:",
        "more",
        "steps.prepare.outputs.more: a/b, which is data, lies in a",
    ),
    (
        "predict.images: {path: data/few}",
        "predict.images: {dataset: mnits}",
        "mnits",
        "profiles.toy.inputs.predict.images: there is no dataset mnits (did you mean "
        "mnist?)",
    ),
]


@pytest.mark.parametrize(("old", "new", "part", "problem"), _WRONG)
def test_what_is_wrong_is_named_with_its_line(
    old: str, new: str, part: str, problem: str, tmp_path: Path
) -> None:
    text = changed((old, new))
    expected = f"{PLACE}:{line_of(text, part)}: {problem}"
    assert expected in refused(tmp_path, text)


def test_what_does_no_harm_is_a_warning(tmp_path: Path) -> None:
    text = changed(
        ("      seed: ${params.seed}\n", ""),
        ("{raw: {dataset: mnist}}", "{raw: {path: data}}"),
    )
    assert check_pipeline(load(tmp_path, text)) == [
        Problem("params.seed", "no argument takes it", WARNING),
        Problem("datasets.mnist", "no step takes it", WARNING),
    ]


def test_the_folder_of_the_outputs_stands_for_all(tmp_path: Path) -> None:
    old = "      output_path: ${outputs.data}\n    outputs: [data]"
    new = "      output_path: ${outputs}/all\n    outputs: {data: all/d, more: all/m}"
    assert check_pipeline(load(tmp_path, changed((old, new)))) == []


@pytest.mark.parametrize(
    ("first", "second", "where"),
    [("a-b", "a_b", "steps.a_b"), ("step-1-2", "step_1-2", "steps.step_1-2")],
)
def test_steps_that_an_engine_would_confuse_are_refused(
    first: str, second: str, where: str
) -> None:
    problem = f"{first} and {second} are one name where - and _ are the same"
    assert check_pipeline(_graph({first: [], second: []})) == [Problem(where, problem)]


@pytest.mark.parametrize(
    ("needs", "cycles"),
    [
        ({"a": ["a"]}, ["a -> a"]),
        ({"a": ["b"], "b": ["a"]}, ["a -> b -> a"]),
        ({"a": ["c"], "b": ["a"], "c": ["b"]}, ["a -> b -> c -> a"]),
        ({"a": [], "b": ["a", "c"], "c": ["b"], "d": ["c"]}, ["b -> c -> b"]),
        (
            {"a": ["b"], "b": ["a"], "c": ["d", "a"], "d": ["c"]},
            ["a -> b -> a", "c -> d -> c"],
        ),
    ],
)
def test_cycles_are_named_in_full(
    needs: dict[str, list[str]], cycles: list[str]
) -> None:
    pipeline = _graph(needs)
    problems = check_pipeline(pipeline)
    assert [problem.message for problem in problems] == [
        f"the steps need each other: {cycle}" for cycle in cycles
    ]
    with pytest.raises(UserError, match=cycles[0]):
        order(pipeline)


def test_the_order_is_that_of_the_file_where_it_may_be() -> None:
    assert order(_graph({"c": [], "a": [], "b": []})) == ["c", "a", "b"]
    assert order(_graph({"c": ["b"], "a": [], "b": []})) == ["a", "b", "c"]
    assert order(_graph({"d": ["c"], "c": [], "b": ["d"], "a": []})) == list("cdba")


@st.composite
def _dags(draw: st.DrawFn) -> dict[str, list[str]]:
    count = draw(st.integers(1, 8))
    names = [f"s{number}" for number in range(count)]
    needs = {
        name: (
            draw(st.lists(st.sampled_from(names[:number]), unique=True))
            if number
            else []
        )
        for number, name in enumerate(names)
    }
    return {name: needs[name] for name in draw(st.permutations(names))}


@given(_dags())
def test_each_step_comes_after_those_that_it_needs(needs: dict[str, list[str]]) -> None:
    pipeline = _graph(needs)
    assert check_pipeline(pipeline) == []
    found = order(pipeline)
    assert sorted(found) == sorted(needs)
    for name, before in needs.items():
        assert all(found.index(one) < found.index(name) for one in before)
    # What is in order already stays as it is.
    assert order(_graph({name: needs[name] for name in found})) == found


@given(_dags(), st.data())
def test_one_edge_back_closes_a_cycle_that_is_there(
    needs: dict[str, list[str]], data: st.DataObject
) -> None:
    found = order(_graph(needs))
    last = data.draw(st.sampled_from(found))
    first = data.draw(st.sampled_from(sorted(_reached(needs, last))))
    with_back: dict[str, Any] = {**needs, first: [*needs[first], last]}
    (problem,) = check_pipeline(_graph(with_back))
    path = problem.message.rpartition(": ")[2].split(" -> ")
    assert path[0] == path[-1]
    assert len(set(path)) == len(path) - 1
    for before, after in zip(path, path[1:], strict=False):
        assert before in with_back[after]


def _reached(needs: dict[str, list[str]], name: str) -> set[str]:
    found = {name}
    for before in needs[name]:
        found |= _reached(needs, before)
    return found
