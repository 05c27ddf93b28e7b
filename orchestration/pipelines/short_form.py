"""The short form of a pipeline: a list of steps, where the data are, where results go.

    {
      "input": "s3://cameras/videos",
      "output": "s3://cameras/defects",
      "steps": ["extract ${input} --frames 64 --output_path ${output}", {...}]
    }

It is written out as the long form before anything looks at it, so that nothing else
knows of it. A step's input is then called ``input`` and its output ``output``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestration.names import nearest
from orchestration.pipelines.checks import Problem
from orchestration.pipelines.references import MARKS

_INPUT, _OUTPUT = "input", "output"
_MEANINGS = {_INPUT: f"${{inputs.{_INPUT}}}", _OUTPUT: f"${{outputs.{_OUTPUT}}}"}
_FLAGS = {_INPUT: "input-path", _OUTPUT: "output-path"}
_KEYS = ("description", _INPUT, _OUTPUT, "steps")
# As argparse tells them from flags.
_NEGATIVE = re.compile(r"-\d+|-\d*\.\d+")


@dataclass(frozen=True)
class LongForm:
    """A short form written out.

    Attributes:
        data: What the long form says.
        origins: Where the short form says it, by the place in the long form.
        problems: What is wrong, by the place in the short form.
    """

    data: dict[str, Any]
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def is_short(data: Mapping[str, Any]) -> bool:
    """Whether a pipeline's data are of the short form: its steps are a list."""
    return isinstance(data.get("steps"), list)


def write_out(data: Mapping[str, Any]) -> LongForm:
    """Write a short form out as the long one.

    Args:
        data: A mapping whose ``steps`` are a list.
    """
    return _Writer(data).write()


class _Writer:
    """Writes the steps out, one after the other."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._short = data
        self._long = LongForm({"steps": {}})
        self._names: dict[str, str] = {}
        # Who gives the next step its input; None where nobody does.
        self._source: Any = None
        self._before = ""

    def write(self) -> LongForm:
        for key in self._short:
            if key not in _KEYS:
                self._wrong(key, f"unknown key{nearest(key, _KEYS)}")
        if "description" in self._short:
            self._long.data["description"] = self._short["description"]
        if _INPUT in self._short:
            self._write_input(self._short[_INPUT])
        listed = list(enumerate(self._short["steps"]))
        self._reserve(listed)
        for number, given in listed:
            self._write_step(f"steps.{number}", number, given)
        if _OUTPUT in self._short:
            self._write_output(self._short[_OUTPUT])
        return self._long

    def _wrong(self, where: str, message: str) -> None:
        self._long.problems.append(Problem(where, message))

    def _write_input(self, given: Any) -> None:
        if isinstance(given, str):
            given = {"address": given}
        if not isinstance(given, dict):
            self._wrong(_INPUT, "takes an address, or {address: ..., digest: ...}")
            return
        self._long.data["datasets"] = {_INPUT: given}
        self._long.origins[f"datasets.{_INPUT}"] = _INPUT
        self._source = {"dataset": _INPUT}

    def _write_output(self, address: Any) -> None:
        if not isinstance(address, str):
            self._wrong(_OUTPUT, "takes an address")
        elif self._source is None:
            if self._before:
                self._wrong(_OUTPUT, f"{self._before} has no ${{{_OUTPUT}}} to deliver")
        elif "step" in self._source:
            self._long.data["deliver"] = {address: self._source}
            self._long.origins[f"deliver.{address}"] = _OUTPUT

    def _reserve(self, listed: list[tuple[int, Any]]) -> None:
        """Note the names that steps are given, which no other step takes."""
        for number, given in listed:
            name = given.get("name") if isinstance(given, dict) else None
            if not isinstance(name, str):
                continue
            other = self._names.setdefault(_plain(name), f"steps.{number}")
            if other != f"steps.{number}":
                self._wrong(f"steps.{number}.name", f"{other} is called {name} already")

    def _write_step(self, where: str, number: int, given: Any) -> None:
        step = self._step(where, given)
        if step is None:
            # What it would have given is not known.
            self._source, self._before = None, ""
            return
        name = step.pop("name", None)
        if not isinstance(name, str):
            if name is not None:
                self._wrong(f"{where}.name", "takes a text")
            name = self._free(step.get("script"), number)
        if self._names.get(_plain(name)) != where:
            return  # the name is another step's
        self._long.origins[f"steps.{name}"] = where
        self._long.data["steps"][name] = self._connected(where, name, step)

    def _step(self, where: str, given: Any) -> dict[str, Any] | None:
        if isinstance(given, str):
            return self._from_command(where, given)
        if not isinstance(given, dict):
            self._wrong(where, "takes a command line or a mapping")
            return None
        for key in ("inputs", "outputs"):
            if key in given:
                self._wrong(
                    f"{where}.{key}",
                    f"a step in a list has ${{{key[:-1]}}}; write the pipeline with "
                    "steps by name to give it more (docs/pipelines.md)",
                )
        return {k: v for k, v in given.items() if k not in ("inputs", "outputs")}

    def _from_command(self, where: str, line: str) -> dict[str, Any] | None:
        try:
            words = shlex.split(line)
        except ValueError as error:
            self._wrong(where, f"it is no command line: {error}".rstrip(".").lower())
            return None
        if not words:
            self._wrong(where, "takes a command line, which begins with a script")
            return None
        script, *rest = words
        args: dict[str, Any] = {}
        positional: list[str] = []
        while rest:
            word = rest.pop(0)
            if word == "--":
                positional += rest
                break
            if not _is_flag(word):
                positional.append(word)
                continue
            flag, has_value, value = word.partition("=")
            if not flag.startswith("--") or len(flag) < 3:
                self._wrong(where, f"{word}: a flag here is --NAME or --NAME=VALUE")
                return None
            if flag[2:] in args:
                self._wrong(
                    where,
                    f"{flag} is there twice; a flag with several values is written in "
                    "a mapping's args",
                )
                return None
            if not has_value and rest and not _is_flag(rest[0]):
                value, has_value = rest.pop(0), "="
            args[flag[2:]] = value if has_value else True
        return {"script": script, "args": args, "positional": positional}

    def _free(self, script: Any, number: int) -> str:
        """Name a step after its script, with a number if that name is taken."""
        last = re.split(r"[/:]", script)[-1] if isinstance(script, str) else ""
        stem = last.removesuffix(".py").rpartition(".")[2].lower()
        stem = stem or f"step-{number + 1}"
        name, count = stem, 1
        while _plain(name) in self._names:
            count += 1
            name = f"{stem}-{count}"
        self._names[_plain(name)] = f"steps.{number}"
        return name

    def _connected(self, where: str, name: str, step: dict[str, Any]) -> dict[str, Any]:
        """Give a step its input and its output, as far as it mentions them."""
        args, positional = step.get("args", {}), step.get("positional", [])
        sound = isinstance(args, dict) and isinstance(positional, list)
        if sound:
            found = set(self._mentioned(where, args, positional))
            if not found:
                found = {_INPUT, _OUTPUT}
                for one in (_INPUT, _OUTPUT):
                    if _FLAGS[one] in args:
                        self._wrong(
                            f"{where}.args.{_FLAGS[one]}",
                            f"${{{one}}} would go here; write it, or ${{{_INPUT}}} or "
                            f"${{{_OUTPUT}}} where the script takes it",
                        )
                args = {**args, **{_FLAGS[one]: f"${{{one}}}" for one in _FLAGS}}
            step = {
                **step,
                "args": {flag: _translated(value) for flag, value in args.items()},
                "positional": [_translated(value) for value in positional],
            }
        else:
            found = {_INPUT, _OUTPUT}  # its form is wrong, which is told elsewhere
        if _INPUT in found:
            self._connect_input(where, step)
        elif self._before == "" and self._source is not None:
            self._wrong(_INPUT, f"the first step mentions no ${{{_INPUT}}}")
        self._source, self._before = None, name
        if _OUTPUT in found:
            step["outputs"] = [_OUTPUT]
            self._source = {"step": name, "output": _OUTPUT}
        return step

    def _connect_input(self, where: str, step: dict[str, Any]) -> None:
        # Something in any case, so that nothing more is said about it.
        step["inputs"] = {_INPUT: self._source or {"path": _INPUT}}
        if self._source is not None:
            return
        if self._before:
            self._wrong(
                where,
                f"it reads ${{{_INPUT}}}, and {self._before} before it has no "
                f"${{{_OUTPUT}}}",
            )
        elif where == "steps.0" and _INPUT not in self._short:
            self._wrong(_INPUT, f"is missing; {where} reads it")

    def _mentioned(
        self, where: str, args: Mapping[str, Any], positional: list[Any]
    ) -> Iterator[str]:
        """Name what a step's arguments mention; of what is wrong, either may be it."""
        places = [(f"{where}.args.{flag}", value) for flag, value in args.items()]
        places += [(f"{where}.positional.{i}", v) for i, v in enumerate(positional)]
        for place, value in places:
            for text in value if isinstance(value, list) else [value]:
                for mark in MARKS.finditer(text) if isinstance(text, str) else ():
                    if mark[0] == "$${":
                        continue
                    if mark[1] in _MEANINGS:
                        yield mark[1]
                        continue
                    yield from _MEANINGS
                    self._wrong(
                        place,
                        f"{mark[0]} is neither ${{{_INPUT}}} nor ${{{_OUTPUT}}}"
                        f"{nearest(mark[1] or '', list(_MEANINGS))}; a ${{ that stands "
                        "for itself is $${",
                    )


def _is_flag(word: str) -> bool:
    return word.startswith("-") and word != "-" and not _NEGATIVE.fullmatch(word)


def _plain(name: str) -> str:
    """Spell a name as engines do that have but one of - and _."""
    return name.replace("-", "_").lower()


def _translated(value: Any) -> Any:
    if isinstance(value, list):
        return [_translated(item) for item in value]
    if not isinstance(value, str):
        return value

    # What is wrong stands for both, so that nothing more is said about it.
    either = "".join(_MEANINGS.values())

    def meaning(mark: re.Match[str]) -> str:
        return mark[0] if mark[0] == "$${" else _MEANINGS.get(mark[1] or "", either)

    return MARKS.sub(meaning, value)
