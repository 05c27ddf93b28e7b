"""Command lines: parsing, and how a command's end becomes an exit status."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest

from common.command_line import (
    Parser,
    non_negative_int,
    one_of,
    positive_float,
    positive_int,
    run,
    say,
    warn,
)
from common.errors import RunError, UserError


@pytest.fixture
def parser() -> Parser:
    parser = Parser("paint", "Paint a house.", "paint --colour red --coats 2")
    parser.add_argument("--colour", type=one_of("red", "green"), default="green")
    parser.add_argument("--coats", type=positive_int, help="layers of paint")
    parser.add_argument("--litres", type=positive_float, default=2.5, help="of paint")
    parser.add_argument("--seed", type=non_negative_int, default=0)
    return parser


def test_help_shows_defaults_and_the_example(
    parser: Parser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parser.parse_args(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert "of paint (default: 2.5)" in text
    assert "None" not in text
    assert text.endswith("example:\n  paint --colour red --coats 2\n")


def test_good_arguments_are_converted(parser: Parser) -> None:
    args = parser.parse_args(["--colour", "red", "--coats", "3", "--litres", "1e-2"])
    assert vars(args) == {"colour": "red", "coats": 3, "litres": 0.01, "seed": 0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--coats", "0"], "--coats: '0' is not a whole number above 0"),
        (["--coats", "-1"], "--coats: '-1' is not a whole number above 0"),
        (["--coats", "1.5"], "--coats: '1.5' is not a whole number above 0"),
        (["--litres", "nan"], "--litres: 'nan' is not a number above 0"),
        (["--litres", "inf"], "--litres: 'inf' is not a number above 0"),
        (["--litres", "-2"], "--litres: '-2' is not a number above 0"),
        (["--seed", "-1"], "--seed: '-1' is not a whole number from 0"),
        (["--seed", str(2**63)], "is not a whole number from 0"),
        (["--colour", "rde"], "'rde' is none of red, green; did you mean red?"),
        (["--colour"], "--colour: expected one argument"),
        (["--coat", "2"], "unknown argument --coat; did you mean --coats?"),
        (["--co-ats=2"], "unknown argument --co-ats=2; did you mean --coats?"),
        (["house"], "unknown argument house (--help"),
    ],
)
def test_mistakes_name_the_argument_and_the_way_out(
    parser: Parser, arguments: list[str], message: str
) -> None:
    with pytest.raises(UserError) as error:
        parser.parse_args(arguments)
    assert message in str(error.value)
    assert str(error.value).endswith("(--help lists all flags)")


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UserError("no such house"), 2, "paint: error: no such house\n"),
        (UserError("two\n lines"), 2, "paint: error: two lines\n"),
        (RunError("the paint ran out"), 1, "paint: error: the paint ran out\n"),
        (KeyboardInterrupt(), 130, "paint: error: interrupted\n"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            1,
            "paint: error: No space left on device; nothing was written\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "house"),
            2,
            "paint: error: house: Permission denied\n",
        ),
    ],
)
def test_known_failures_are_one_line(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(arguments: Sequence[str] | None) -> None:
        raise error

    assert run("paint", main) == status
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize("error", [ZeroDivisionError("?"), FileNotFoundError(2, "?")])
def test_unexpected_failures_keep_their_traceback(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(arguments: Sequence[str] | None) -> None:
        raise error

    assert run("paint", main) == 1
    assert "Traceback" in capsys.readouterr().err


_CHATTERBOX = """
import sys
from common.command_line import run, say

def main(arguments):
    while True:
        say("more")

sys.exit(run("paint", main))
"""


def test_a_closed_pipe_ends_the_command_in_silence() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHATTERBOX],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout is not None and child.stderr is not None
    assert child.stdout.readline() == b"more\n"
    child.stdout.close()
    with child.stderr:
        assert child.stderr.read() == b""
    assert child.wait() == 141


def test_sigterm_unwinds_the_stack(capsys: pytest.CaptureFixture[str]) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    unwound = []

    def main(arguments: Sequence[str] | None) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        except Exception:
            unwound.append("swallowed")
        finally:
            unwound.append("cleaned up")

    assert run("paint", main) == 143
    assert unwound == ["cleaned up"]
    assert capsys.readouterr().err == "paint: error: terminated\n"
    assert signal.getsignal(signal.SIGTERM) is handler


def test_only_the_main_process_speaks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(arguments: Sequence[str] | None) -> None:
        assert arguments == ["red"]
        say("painting")
        warn("wet paint")
        raise UserError("no paint")

    monkeypatch.setenv("RANK", "1")
    assert run("paint", main, ["red"]) == 2
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("RANK", "0")
    assert run("paint", main, ["red"]) == 2
    expected = ("painting\n", "wet paint\npaint: error: no paint\n")
    assert capsys.readouterr() == expected
