"""The arguments of a step's script, spelled in one way only."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from orchestration.pipelines.arguments import command_arguments
from orchestration.pipelines.spec import Step
from orchestration.pipelines.spelling import spell_number

_PARAMS: dict[str, Any] = {
    "whole": 8,
    "half": 0.5,
    "none": None,
    "yes": True,
    "no": False,
    "text": "a b",
    "many": [1, None, "x"],
    "empty": [],
}


def _arguments(args: dict[str, Any], positional: tuple[Any, ...] = ()) -> list[str]:
    step = Step.model_validate(
        {
            "script": "work",
            "args": args,
            "positional": list(positional),
            "outputs": {"run": "here/run", "log": "log.txt"},
        }
    )
    inputs = {"data": "/in/data"}
    outputs = {"run": "/out/here/run", "log": "/out/log.txt"}
    return command_arguments(step, _PARAMS, inputs, outputs)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x", ["--a", "x"]),
        ("", ["--a", ""]),
        (8, ["--a", "8"]),
        (8.0, ["--a", "8"]),
        ("8", ["--a", "8"]),
        # A text is no number, whatever it looks like.
        ("8.0", ["--a", "8.0"]),
        (1e-3, ["--a", "0.001"]),
        (None, []),
        (False, []),
        (True, ["--a"]),
        ([1, 2.5, "x", True, None], ["--a", "1", "2.5", "x", "true"]),
        ([], []),
        (-5, ["--a=-5"]),
        ("-x", ["--a=-x"]),
        (["-x"], ["--a=-x"]),
        ("${params.whole}", ["--a", "8"]),
        ("${params.none}", []),
        ("${params.no}", []),
        ("${params.yes}", ["--a"]),
        ("${params.empty}", []),
        ("${params.many}", ["--a", "1", "x"]),
        (["${params.many}", "${params.half}"], ["--a", "1", "x", "0.5"]),
        ("${params.text}", ["--a", "a b"]),
        ("n=${params.whole}, ${params.yes}", ["--a", "n=8, true"]),
        ("${inputs.data}", ["--a", "/in/data"]),
        ("${inputs.data}/x", ["--a", "/in/data/x"]),
        ("${outputs.run}", ["--a", "/out/here/run"]),
        ("${outputs}/here", ["--a", "/out/here"]),
        ("$${params.whole}", ["--a", "${params.whole}"]),
        ("$$", ["--a", "$$"]),
        ("${params.whole}${params.half}", ["--a", "80.5"]),
    ],
)
def test_a_value_becomes_a_flag(value: object, words: list[str]) -> None:
    assert _arguments({"a": value}) == words


def test_flags_come_sorted_and_then_the_positional_arguments() -> None:
    args = {"b": 1, "c_d": True, "a-b": "x"}
    assert _arguments(args, ("${inputs.data}", None, "${params.many}")) == (
        ["--a-b", "x", "--b", "1", "--c_d", "--", "/in/data", "1", "x"]
    )
    assert _arguments({"a": 1}, ("x",)) == ["--a", "1", "x"]


def test_positional_arguments_are_never_taken_for_others() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--many", nargs="*")
    parser.add_argument("--one")
    parser.add_argument("paths", nargs="+")
    for args, positional in (
        ({"many": ["a", "b"]}, ("c", "d")),
        ({"one": "-x"}, ("-y",)),
        ({"one": -3}, ("c",)),
        ({"many": ["-5"]}, ("c",)),
    ):
        parsed = parser.parse_args(_arguments(args, positional))
        assert parsed.paths == list(positional)
        if "one" in args:
            assert parsed.one == str(args["one"])


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("x${params.none}", r"\$\{params.none\} is null, which cannot stand in 'x"),
        ("x${params.many}", "is a list, which cannot stand in"),
        ("${params.nothing}", r"\$\{params.nothing\} is not there"),
        ("${secrets.x}", r"\$\{secrets.x\} is none of \$\{params.NAME\}, "),
        ("${params.x", r"a \$\{ without its \}"),
        ("${inputs}", r"\$\{inputs\} is none of"),
    ],
)
def test_what_is_no_reference_is_refused(value: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        _arguments({"a": value})


def test_the_folder_of_outputs_is_one() -> None:
    step = Step(script="work", args={"to": "${outputs}"}, outputs={"a": "x", "b": "y"})
    assert command_arguments(step, {}, {}, {"a": "o/x", "b": "o/y"}) == ["--to", "o"]
    for elsewhere in ({"a": "o/x", "b": "p/y"}, {"a": "o/x"}, {"a": "1", "b": "2"}):
        with pytest.raises(UserError, match="takes outputs that lie in one folder"):
            command_arguments(step, {}, {}, elsewhere)


_FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(_FINITE)
def test_a_number_is_read_back_as_it_was(number: float) -> None:
    assert float(spell_number(number)) == number


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_is_written_alike_whatever_its_type(number: int) -> None:
    assert spell_number(float(number)) == spell_number(number) == str(number)


@given(_FINITE)
def test_no_number_has_digits_that_say_nothing(number: float) -> None:
    text = spell_number(number)
    assert len(text) <= len(repr(number)) + 6  # an exponent begins later than Python's
    mantissa, _, exponent = text.partition("e")
    assert not exponent.lstrip("+-").startswith("0")
    assert not mantissa.startswith(("+", "-0.0000000", "00"))
    if "." in mantissa:
        assert not mantissa.endswith(("0", "."))


@given(st.integers())
def test_a_whole_number_keeps_its_digits(number: int) -> None:
    assert int(spell_number(number)) == number


# RFC 8785, appendix B, and ECMAScript's rule where an exponent begins.
@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (1e21, "1e+21"),
        (999999999999999900000.0, "999999999999999900000"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (333333333.3333332, "333333333.3333332"),
        (-1.5e-10, "-1.5e-10"),
        (100.0, "100"),
        (4.35, "4.35"),
    ],
)
def test_numbers_are_written_as_the_standard_says(number: float, text: str) -> None:
    assert spell_number(number) == text


def test_a_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="inf is no finite number"):
        spell_number(float("inf"))
