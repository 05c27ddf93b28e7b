"""Which Python modules and files a text of shell starts, and with which arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

# Azure ML's mark of a part that is left out with its input.
_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)
# A comment, what is quoted, or a line that goes on.
_PLAIN = re.compile(
    r"""((?:^|(?<=[\s;&|()]))\#[^\n]*)|'[^']*'|"(?:\\.|[^"\\])*"|\\.""", re.DOTALL
)
_EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
_ENDS = "();<>|&\n"
# What ends commands ends none within quotes: there it is spelt by characters that have
# no other use, until the words are apart.
_HIDDEN = {ord(mark): 0xE100 + ord(mark) for mark in _ENDS}
_SHOWN = {hidden: mark for mark, hidden in _HIDDEN.items()}
_KEPT = re.compile("\ue000(\\d+)\ue001")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_PYTHON = re.compile(r"python(3(\.\d+)?)?")
# What stands before a command, or starts one.
_BEFORE = frozenset(
    {"!", "do", "elif", "else", "env", "exec", "if", "nohup", "then", "time", "while"}
)
# Modules and programs that start a script of somebody else's.
_LAUNCHERS = frozenset(
    {
        "accelerate.commands.accelerate_cli",
        "accelerate.commands.launch",
        "torch.distributed.launch",
        "torch.distributed.run",
    }
)
_WITH_VALUE = frozenset({"-W", "-X"})


@dataclass(frozen=True)
class PythonCall:
    """A module or file that Python starts.

    Attributes:
        target: The module, or the file as it is written.
        is_module: Whether it is a module.
        arguments: What follows it.
    """

    target: str
    is_module: bool
    arguments: tuple[str, ...]


def python_calls(text: str) -> list[PythonCall]:
    """Find what Python starts in a text of shell, behind launchers of processes too.

    Expressions ``${{...}}`` stand in arguments as they are.

    Raises:
        ValueError: A quote in it does not end.
    """
    return [call for words in _commands(text) for call in _started(words)]


def _commands(text: str) -> Iterator[list[str]]:
    """Split a text of shell into its commands, and these into words."""
    expressions: list[str] = []

    def keep(match: re.Match[str]) -> str:
        expressions.append(match[0])
        return f"\ue000{len(expressions) - 1}\ue001"  # as _KEPT finds it

    def hide(match: re.Match[str]) -> str:
        if match[1] or match[0] == "\\\n":
            return " "
        return match[0].translate(_HIDDEN)

    text = _EXPRESSION.sub(keep, _OPTIONAL.sub(r" \1 ", text))
    text = _PLAIN.sub(hide, text)
    lexer = shlex.shlex(text, posix=True, punctuation_chars=_ENDS)
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for word in lexer:
        if word and set(word) <= set(_ENDS):
            yield words
            words = []
        else:
            shown = word.translate(_SHOWN)
            words.append(_KEPT.sub(lambda m: expressions[int(m[1])], shown))
    yield words


def _started(words: Sequence[str]) -> Iterator[PythonCall]:
    rest = list(words)
    while rest and (rest[0] in _BEFORE or _ASSIGNMENT.fullmatch(rest[0])):
        rest.pop(0)
    if not rest:
        return
    program, arguments = PurePosixPath(rest[0]).name, rest[1:]
    if program == "torchrun" or (program, arguments[:1]) == ("accelerate", ["launch"]):
        yield from _launched(arguments)
    elif _PYTHON.fullmatch(program):
        yield from _python(arguments)


def _python(arguments: Sequence[str]) -> Iterator[PythonCall]:
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if re.fullmatch("-[A-Za-z]*m", word):
            if not rest:
                return
            call = PythonCall(rest[0], True, tuple(rest[1:]))
        elif word in _WITH_VALUE:
            del rest[:1]
            continue
        elif word.startswith("-"):
            if "c" in word or word == "-":
                return
            continue
        else:
            call = PythonCall(word, False, tuple(rest))
        yield call
        if call.is_module and call.target in _LAUNCHERS:
            yield from _launched(call.arguments)
        return


def _launched(arguments: Sequence[str]) -> Iterator[PythonCall]:
    """Find the script among a launcher's own flags, whose values are none."""
    for number, word in enumerate(arguments):
        rest = tuple(arguments[number + 1 :])
        if word in ("-m", "--module") and rest:
            yield PythonCall(rest[0], True, rest[1:])
            return
        if word.endswith(".py"):
            yield PythonCall(word, False, rest)
            return
