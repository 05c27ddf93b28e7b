"""Command lines of ``./strata`` and ``./pants``: their commands and flags are there."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from common.errors import RunError, UserError
from orchestration.atomic_files import write_atomically
from orchestration.checks import ci_files
from orchestration.checks.findings import Finding, found
from orchestration.checks.look import Look
from orchestration.names import nearest
from orchestration.pants import ask_pants
from orchestration.pipelines.keys import key_of

_FORMAT = "pants-help/1"
# Code within a line of a document.
_INLINE = re.compile(r"`([^`]*\./(?:strata|pants)\b[^`]*)`")
_START = re.compile(r"(?:^|(?<=[\s(;&|\"'`]))\./(strata|pants)(?=[\s)\"'`;]|$)")
_WORD = re.compile(
    r"""(?:[^\s"'\\$;|&()<>`]|\\.|"(?:[^"\\]|\\.)*"|'[^']*'"""
    r"""|\$\{[^}]*\}|\$\([^)]*\)|\$)+"""
)
_FLAG = re.compile(r"-{1,2}[A-Za-z][\w-]*")
_HELP_FLAG = re.compile(r"^ {2,}(-.*?)(?: {2,}|$)", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z-]*")
_HELP = frozenset({"-h", "--help"})
_OF_PANTS = ("pants.toml", "3rdparty/pants.lock")


def takes(look: Look, file: str) -> bool:
    """Whether a file has command lines: a CI definition or a document."""
    if PurePosixPath(file).suffix == ".md":
        return not file.startswith("tests/")
    return ci_files.has_blocks(look, file)


def find(look: Look, file: str) -> Iterator[Finding]:
    """Find commands and flags that neither program has."""
    for line, program, words in _lines(look, file):
        known = _Strata() if program == "strata" else _Pants(look)
        for message in known.problems(words):
            yield found(file, line, f"./{program}: {message}", f"./{program} --help")
        if look.knows_graph and "--" in words:
            for message in _of_script(look, program, words):
                yield found(file, line, f"./{program}: {message}")


def _lines(look: Look, file: str) -> Iterator[tuple[int, str, list[str]]]:
    """Give the command lines of a file: line, program and words."""
    if PurePosixPath(file).suffix == ".md":
        is_fenced = False
        for number, line in enumerate(look.text(file).splitlines(), start=1):
            is_fenced ^= line.lstrip().startswith("```")
            is_code = is_fenced or line.startswith("    ")
            for part in [line] if is_code else _INLINE.findall(line):
                for _, program, words in _calls(part):
                    yield number, program, words
        return
    for block in ci_files.blocks(look, file):
        for number, program, words in _calls(block.text):
            yield block.line + number, program, words


def _calls(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """Give the calls in a text of shell, with the lines that they begin in, from 0."""
    lines = re.sub(r"(?m)(?:^|(?<=\s))#.*$", "", text)
    text = lines.replace("\\\n", "  ")
    for start in _START.finditer(text):
        words, place = [], start.end()
        while True:
            while place < len(text) and text[place] in " \t":
                place += 1
            word = _WORD.match(text, place)
            if word is None:
                break
            words.append(word[0])
            place = word.end()
        yield lines.count("\n", 0, start.start()), start[1], words


class _Strata:
    """The orchestrator's commands and their flags, as its help has them."""

    def problems(self, words: Sequence[str]) -> Iterator[str]:
        """Say which words are none of its commands or flags."""
        from orchestration.__main__ import COMMANDS

        if not words or not _NAME.fullmatch(words[0]):
            return  # none, a flag of its own, or what only a run knows
        command = words[0]
        if command not in COMMANDS:
            yield f"there is no command {command}{nearest(command, list(COMMANDS))}"
            return
        chosen = [command]
        actions = _actions(command)
        if actions and len(words) > 1 and _NAME.fullmatch(words[1]):
            if words[1] not in actions:
                hint = nearest(words[1], actions)
                yield f"{command} has no action {words[1]}{hint}"
                return
            chosen.append(words[1])
        flags = _flags(tuple(chosen))
        for flag in _flags_among(words):
            if flag not in flags:
                yield f"{' '.join(chosen)} has no {flag}{nearest(flag, sorted(flags))}"


@lru_cache(maxsize=64)
def _help(words: tuple[str, ...]) -> str:
    from orchestration.__main__ import main

    written = io.StringIO()
    with contextlib.redirect_stdout(written), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return written.getvalue()


def _actions(command: str) -> list[str]:
    text = _help((command,))
    if " ACTION " not in text.partition("\n")[0]:
        return []
    return re.findall(r"(?m)^ {2}([a-z][a-z-]*) {2,}", text)


def _flags(words: tuple[str, ...]) -> frozenset[str]:
    named = " ".join(_HELP_FLAG.findall(_help(words)))
    return _HELP | {*_FLAG.findall(named)}


class _Pants:
    """What Pants knows, as it says itself."""

    def __init__(self, look: Look) -> None:
        self._known = _pants_help(look)

    def problems(self, words: Sequence[str]) -> Iterator[str]:
        """Say which words are none of its goals or flags."""
        goals, flags = self._known["goals"], self._known["flags"]
        for before, word in zip(["", *words], words):
            # What follows is a script's, or the name of what is explained.
            if word == "--" or word.startswith("help"):
                break
            is_value = before in self._known["valued"]
            if _NAME.fullmatch(word) and word not in goals and not is_value:
                yield f"there is no goal {word}{nearest(word, goals)}"
        for flag in _flags_among(words):
            # A level with its value, such as -ldebug.
            if flag not in flags and not flag.startswith("-l"):
                yield f"there is no flag {flag}{nearest(flag, flags)}"


def _pants_help(look: Look) -> dict[str, list[str]]:
    """Ask Pants for its goals and flags, once for each version and configuration.

    Raises:
        RunError: It does not start.
    """
    files = {name: look.tree.files.get(name, ("",))[0] for name in _OF_PANTS}
    name = key_of({"format": _FORMAT, **files})[:24]
    memory = look.checkout.cache / "pants-help" / f"{name}.json"
    try:
        remembered: dict[str, list[str]] = json.loads(memory.read_bytes())
        return remembered
    except (OSError, ValueError):
        pass
    try:
        said: dict[str, Any] = json.loads(ask_pants(look.checkout, "help-all"))
    except UserError as error:
        raise RunError(str(error)) from None
    flags = {*_HELP, "--version", "-v", "-V"}
    valued: set[str] = set()
    for scope in said["scope_to_help_info"].values():
        for kind in ("basic", "advanced", "deprecated"):
            for one in scope[kind]:
                names = {*one["scoped_cmd_line_args"], *one["unscoped_cmd_line_args"]}
                flags |= names
                valued |= names if "=" in one["display_args"][0] else set()
    known = {
        "goals": sorted(said["name_to_goal_info"]),
        "flags": sorted(flags),
        "valued": sorted(valued),
    }
    write_atomically(memory, json.dumps(known).encode())
    return known


def _of_script(look: Look, program: str, words: Sequence[str]) -> Iterator[str]:
    """Say which flags behind ``--`` the script that is run does not take."""
    end = words.index("--")
    if program == "pants" and words[:1] == ["run"] and end == 2:
        target = words[1].replace(":", "/").removesuffix(".py")
        path = f"{target.removeprefix('./')}.py"
    elif program == "strata" and words[:1] == ["exec"] and end == 3:
        path = f"src/domains/{words[1]}/{words[2].removesuffix('.py')}.py"
    else:
        return
    if path not in look.tree.files or not path.startswith("src/"):
        return  # no task's script, or a word that stands for one
    try:
        flags = look.flags(look.scripts.code_of(path))
    except UserError as error:
        yield str(error)
        return
    for flag in _flags_among(words[end + 1 :]):
        if flag not in flags.flags and flag not in _HELP and not flags.is_open:
            yield f"{path} has no {flag}{nearest(flag, sorted(flags.flags))}"


def _flags_among(words: Sequence[str]) -> Iterator[str]:
    """Give the flags before ``--``, without their values."""
    for word in words:
        if word == "--":
            return
        flag = re.match(r"(-{1,2}[A-Za-z][\w-]*)(?==|$)", word)
        if flag is not None:
            yield flag[1]
