"""A script's arguments are learnt from its parser, and a step's compared with them."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import common.command_line
from common.errors import RunError, UserError
from orchestration.pipelines.script_flags import (
    ScriptArgument,
    ScriptFlags,
    check_flags,
    describe_script,
)
from orchestration.pipelines.spec import Step

_SCRIPT = """
import argparse
from pathlib import Path
print("loading")
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data_path", "-d", type=Path, required=True)
    parser.add_argument("--model", choices=["mlp", "cnn"], default="cnn")
    parser.add_argument("--sizes", type=int, nargs="+", choices=[1, 2])
    parser.add_argument("--pair", nargs=2)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--shuffle", action=argparse.BooleanOptionalAction)
    parser.add_argument("--version", action="version", version="1")
    parser.add_argument("images", nargs="+")
    parser.parse_args()
    Path("worked").touch()
if __name__ == "__main__":
    main()
"""

Describe = Callable[[str], ScriptFlags]


@pytest.fixture
def describe(tmp_path: Path) -> Describe:
    """Write a script to a workspace, and describe it."""

    def do(script: str) -> ScriptFlags:
        folder = tmp_path / "src/domains/task"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "spec.py").write_text("OURS = True\n")
        (folder / "work.py").write_text(textwrap.dedent(script))
        return describe_script([sys.executable], tmp_path, "domains.task.work", 20)

    return do


def test_a_parser_is_described(describe: Describe) -> None:
    found = describe(_SCRIPT)
    data = ScriptArgument("--data_path", 1, 1, True, None)
    assert found.flags["--data_path"] == found.flags["-d"] == data
    assert found.flags["--model"] == (
        ScriptArgument("--model", 1, 1, False, ("mlp", "cnn"))
    )
    assert found.flags["--sizes"].choices == ("1", "2")
    assert found.flags["--sizes"].most > 1000
    assert (found.flags["--pair"].fewest, found.flags["--pair"].most) == (2, 2)
    assert not found.flags["--fast"].takes_value
    assert not found.flags["--no-shuffle"].takes_value
    assert not {"--help", "--version"} & set(found.flags)
    (images,) = found.positionals
    assert (images.name, images.fewest, images.required) == ("images", 1, True)
    assert not found.is_open
    assert ScriptFlags.from_json(found.to_json()) == found


def test_nothing_of_the_work_is_done(describe: Describe, tmp_path: Path) -> None:
    describe(_SCRIPT)
    assert list(tmp_path.rglob("worked")) == []
    assert list(tmp_path.rglob("__pycache__")) == []


def test_a_parser_of_ours_tells_what_it_takes(tmp_path: Path) -> None:
    ours = Path(common.command_line.__file__).parent
    (tmp_path / "src/domains/task").mkdir(parents=True)
    for name in ("command_line.py", "errors.py"):
        (tmp_path / "src/common").mkdir(exist_ok=True)
        (tmp_path / "src/common" / name).write_text((ours / name).read_text())
    (tmp_path / "src/domains/task/work.py").write_text(textwrap.dedent("""
            import sys
            from common.command_line import Parser, one_of, run
            def main(arguments=None):
                parser = Parser("work", "Work.", "work")
                parser.add_argument("--model", type=one_of("mlp", "cnn"))
                parser.parse_args(arguments)
            if __name__ == "__main__":
                sys.exit(run("work", main))
            """))
    found = describe_script([sys.executable], tmp_path, "domains.task.work")
    assert not found.is_open
    assert found.flags == {
        "--model": ScriptArgument("--model", 1, 1, False, ("mlp", "cnn"))
    }


def test_a_script_that_uses_what_is_left_is_open(describe: Describe) -> None:
    known = _SCRIPT.replace("parse_args()", "parse_known_args()")
    assert describe(known).is_open
    commands = """
        import argparse
        parser = argparse.ArgumentParser()
        commands = parser.add_subparsers(required=True)
        commands.add_parser("fit").add_argument("--epochs")
        parser.parse_args()
        """
    found = describe(commands)
    assert found.is_open
    assert found.positionals[0].choices == ("fit",)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothi"),
        # A module of the orchestrator's own is not found by its bare name.
        ("import describe_parser", "ModuleNotFoundError: No module named 'describe_"),
        ("x = = 1", "SyntaxError: invalid syntax"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("open('worked', 'w')", "it has no argparse parser"),
        ("import argparse", "it ended without parsing arguments"),
        ("import os; os._exit(5)", "status 5"),
    ],
)
def test_a_script_that_cannot_be_described_is_refused_in_a_line(
    script: str, problem: str, describe: Describe
) -> None:
    with pytest.raises(UserError) as caught:
        describe(script)
    message = str(caught.value)
    assert message.startswith("the arguments of domains.task.work cannot be read: ")
    assert problem in message and "\n" not in message


def test_a_script_without_a_parser_does_not_get_to_its_work(
    describe: Describe, tmp_path: Path
) -> None:
    mark = tmp_path / "worked"
    with pytest.raises(UserError, match="no argparse parser"):
        describe(f"if __name__ == '__main__':\n    open({str(mark)!r}, 'w')\n")
    assert not mark.exists()


def test_a_script_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/work.py").write_text("import time\ntime.sleep(60)\n")
    start = time.monotonic()
    with pytest.raises(RunError, match="^work did not come to parsing its argum.* 1 s"):
        describe_script([sys.executable], tmp_path, "work", 1)
    assert time.monotonic() - start < 20


def test_what_another_version_wrote_is_not_read() -> None:
    with pytest.raises(ValueError):
        ScriptFlags.from_json('{"format": "script-flags/0"}')
    with pytest.raises(ValueError):
        ScriptFlags.from_json("[]")


_MANY = 1 << 30
_FLAGS = ScriptFlags(
    {
        "--data_path": ScriptArgument("--data_path", 1, 1, True, None),
        "-d": ScriptArgument("--data_path", 1, 1, True, None),
        "--model": ScriptArgument("--model", 1, 1, False, ("mlp", "cnn")),
        "--sizes": ScriptArgument("--sizes", 1, _MANY, False, ("1", "2")),
        "--fast": ScriptArgument("--fast", 0, 0, False, None),
    },
    (ScriptArgument("images", 1, _MANY, True, None),),
)


def _problems(
    args: dict[str, Any],
    positional: tuple[Any, ...] = ("x",),
    flags: ScriptFlags = _FLAGS,
    params: dict[str, Any] | None = None,
) -> list[str]:
    given = {"data_path": "${inputs.data}", **args}
    document = {
        "script": "work",
        "args": {name: value for name, value in given.items() if value != "LEFT OUT"},
        "positional": list(positional),
        "inputs": {"data": "a/b"},
    }
    problems = check_flags("train", Step.model_validate(document), flags, params)
    return [
        f"{one.where.removeprefix('steps.train.')}: {one.message}" for one in problems
    ]


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ({}, None),
        ({"model": "cnn", "sizes": [1, 2.0], "fast": True}, None),
        ({"fast": False, "sizes": None}, None),
        (
            {"modle": "cnn"},
            "args.modle: work has no --modle (did you mean --model?)",
        ),
        (
            {"model": "cn"},
            "args.model: --model takes mlp, cnn, not cn (did you mean cnn?)",
        ),
        ({"sizes": [1, 3]}, "args.sizes: --sizes takes 1, 2, not 3"),
        ({"model": True}, "args.model: --model takes 1 value, not 0"),
        ({"model": ["mlp", "cnn"]}, "args.model: --model takes 1 value, not 2"),
        ({"sizes": True}, "args.sizes: --sizes takes 1 values or more, not 0"),
        (
            {"fast": 3},
            "args.fast: --fast takes no value; true gives it, false leaves it out",
        ),
        (
            {"data_path": "LEFT OUT"},
            "args: work needs --data_path, which no argument gives",
        ),
        (
            {"data_path": None},
            "args: work needs --data_path, which no argument gives",
        ),
    ],
)
def test_flags_are_compared_with_the_parsers(
    args: dict[str, Any], problem: str | None
) -> None:
    assert _problems(args) == ([problem] if problem else [])


def test_positional_arguments_are_counted() -> None:
    problem = "positional: work takes 1 values or more (images) after its flags, not 0"
    assert _problems({}, ()) == [problem]
    one = ScriptFlags(
        {"--data_path": _FLAGS.flags["--data_path"]},
        (ScriptArgument("part", 1, 1, True, ("train", "test")),),
    )
    assert _problems({}, ("test",), one) == []
    problem = "positional: part takes train, test, not tests (did you mean test?)"
    assert _problems({}, ("tests",), one) == [problem]
    problem = "positional: work takes 1 value (part) after its flags, not 2"
    assert _problems({}, ("test", "train"), one) == [problem]
    none = ScriptFlags(one.flags, ())
    problem = "positional: work takes none after its flags, not 1"
    assert _problems({}, ("test",), none) == [problem]


def test_parameters_count_with_their_values() -> None:
    args = {"model": "${params.model}"}
    assert _problems(args, params={"model": "cnn"}) == []
    problem = "args.model: --model takes mlp, cnn, not c-cnn (did you mean cnn?)"
    assert _problems({"model": "c-${params.model}"}, params={"model": "cnn"}) == [
        problem
    ]
    # Not known, it may be right; left out, it is not there.
    assert _problems(args) == []
    needed = {"data_path": "${params.path}"}
    assert _problems(needed) == []
    problem = "args: work needs --data_path, which no argument gives"
    assert _problems(needed, params={"path": None}) == [problem]
    listed = ("${params.paths}",)
    assert _problems({}, listed) == []
    assert _problems({}, listed, params={"paths": ["a", "b"]}) == []
    assert len(_problems({}, listed, params={"paths": []})) == 1


def test_an_open_script_may_know_more() -> None:
    more = ScriptFlags(_FLAGS.flags, (), is_open=True)
    assert _problems({"modle": "cnn"}, ("a", "b"), more) == []
