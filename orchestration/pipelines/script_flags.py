"""The arguments that a script takes, learnt from its parser without its work."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import RunError, UserError
from orchestration.names import nearest
from orchestration.pipelines import describe_parser
from orchestration.pipelines.arguments import flag_values, positional_values
from orchestration.pipelines.checks import Problem
from orchestration.pipelines.references import Reference, references

if TYPE_CHECKING:
    from orchestration.pipelines.spec import Step, Value

_FORMAT = "script-flags/1"
_SECONDS = 60.0
_ANY = 1 << 30
# How many values argparse's nargs stands for; a number stands for itself.
_COUNTS = {
    None: (1, 1),
    "?": (0, 1),
    "*": (0, _ANY),
    "+": (1, _ANY),
    "...": (0, _ANY),
    "A...": (1, _ANY),
}
# Stands for where an input or output is, which only a run knows.
_SOMEWHERE = "PATH"


@dataclass(frozen=True)
class ScriptArgument:
    """One flag or positional argument of a script.

    Attributes:
        name: A flag's first name, with its dashes; a positional argument's name.
        fewest: How many values it takes at least; 0 for a bare flag.
        most: How many values it takes at most; 0 for a bare flag.
        required: Whether it has to be given.
        choices: The values that it takes, if these are named.
    """

    name: str
    fewest: int
    most: int
    required: bool
    choices: tuple[str, ...] | None

    @property
    def takes_value(self) -> bool:
        """Whether it takes a value at all."""
        return self.most > 0


@dataclass(frozen=True)
class ScriptFlags:
    """What a script takes on its command line.

    Attributes:
        flags: Its flags, by each of their names.
        positionals: Its positional arguments, in order.
        is_open: Whether it may take more than these: it has commands with flags of
            their own, or a use for flags that its parser does not know.
    """

    flags: Mapping[str, ScriptArgument]
    positionals: tuple[ScriptArgument, ...]
    is_open: bool = False

    def to_json(self) -> str:
        """Write it as JSON, always the same."""
        document = {
            "format": _FORMAT,
            "flags": {name: asdict(flag) for name, flag in self.flags.items()},
            "positionals": [asdict(one) for one in self.positionals],
            "is_open": self.is_open,
        }
        return json.dumps(document, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ScriptFlags:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: It was written by another version.
        """
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("format") != _FORMAT:
            raise ValueError(f"no {_FORMAT}")
        return cls(
            {name: _restored(flag) for name, flag in document["flags"].items()},
            tuple(_restored(one) for one in document["positionals"]),
            document["is_open"],
        )


# The program that asks; it needs nothing but Python.
PROGRAM = Path(describe_parser.__file__)


def describe_script(
    start: Sequence[str], folder: Path, module: str, seconds: float = _SECONDS
) -> ScriptFlags:
    """Ask a script's parser what it takes.

    The script runs up to where it parses its arguments, in an empty folder.

    Args:
        start: What :data:`PROGRAM` is started with, such as the interpreter of the
            script's environment.
        folder: The workspace that holds the script's closure, with ``src`` in it.
        module: The script, as a module.
        seconds: How long that may take.

    Raises:
        UserError: The script cannot be imported, or has no parser.
        RunError: It takes too long.
    """
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    variables |= {
        "PYTHONPATH": str((folder / "src").absolute()),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
    }
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run(
                # Nothing beside the program is to be found by its name.
                [*start, "-P", str(PROGRAM), module],
                cwd=empty,
                env=variables,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RunError(
                f"{module} did not come to parsing its arguments in {seconds:g} s; "
                "what it does before belongs into its main function, after that"
            ) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").split("\n")
        last = [line for line in said if line.strip()] or [f"status {done.returncode}"]
        raise UserError(f"the arguments of {module} cannot be read: {last[-1]}")
    described = json.loads(done.stdout)
    return ScriptFlags(
        {name: _argument(one) for one in described["flags"] for name in one["names"]},
        tuple(_argument(one) for one in described["positionals"]),
        described["open"],
    )


def check_flags(
    name: str,
    step: Step,
    flags: ScriptFlags,
    params: Mapping[str, Value] | None = None,
) -> list[Problem]:
    """Compare a step's arguments with what its script takes.

    Args:
        name: The step's name.
        step: The step, of a pipeline without problems.
        flags: What its script takes.
        params: The pipeline's parameters; without them, what has one in it is taken
            for a right value.

    Returns:
        Flags that the script does not know or that are missing, and wrong numbers of
        values or wrong values.
    """
    where = f"steps.{name}"
    problems = []
    given = set()
    for arg, value in sorted(step.args.items()):
        place, option = f"{where}.args.{arg}", f"--{arg}"
        known = flags.flags.get(option)
        if known is None:
            if not flags.is_open:
                hint = nearest(option, sorted(flags.flags))
                problems.append(Problem(place, f"{step.script} has no {option}{hint}"))
            continue
        values = _values(step, value, params)
        if values is not None:
            given.add(known.name)
            problems += [Problem(place, text) for text in _wrong(known, values)]
    for flag in dict.fromkeys(flags.flags.values()):
        if flag.required and flag.name not in given:
            message = f"{step.script} needs {flag.name}, which no argument gives"
            problems.append(Problem(f"{where}.args", message))
    return problems + _wrong_positionals(where, step, flags, params)


def _argument(described: Mapping[str, Any]) -> ScriptArgument:
    nargs, choices = described["nargs"], described["choices"]
    fewest, most = (nargs, nargs) if isinstance(nargs, int) else _COUNTS[nargs]
    return ScriptArgument(
        described["names"][0],
        fewest,
        most,
        bool(described["required"]),
        None if choices is None else tuple(choices),
    )


def _restored(document: dict[str, Any]) -> ScriptArgument:
    choices = document.pop("choices")
    return ScriptArgument(
        **document, choices=None if choices is None else tuple(choices)
    )


def _values(
    step: Step, value: Value, params: Mapping[str, Value] | None
) -> list[str | None] | None:
    """Give a flag's values, None for each that is not known; None without the flag."""
    found = references(value)
    if params is None and any(one.kind == "params" for one in found):
        return [None]
    if isinstance(value, list):
        listed = [word for item in value for word in _each(step, item, params)]
        return listed or None
    inputs, outputs = _places(step)
    words = flag_values(value, step, params or {}, inputs, outputs)
    return None if words is None else _known(words, found)


def _each(
    step: Step, value: Value, params: Mapping[str, Value] | None
) -> list[str | None]:
    inputs, outputs = _places(step)
    words = positional_values(value, step, params or {}, inputs, outputs)
    return _known(words, references(value))


def _places(step: Step) -> tuple[dict[str, str], dict[str, str]]:
    inputs = {name: _SOMEWHERE for name in step.inputs}
    return inputs, {k: f"{_SOMEWHERE}/{path}" for k, path in step.outputs.items()}


def _known(words: Sequence[str], found: Sequence[Reference]) -> list[str | None]:
    known = all(one.kind == "params" for one in found)
    return [word if known else None for word in words]


def _wrong(argument: ScriptArgument, values: Sequence[str | None]) -> list[str]:
    name, count = argument.name, len(values)
    if not argument.fewest <= count <= argument.most:
        if not argument.takes_value:
            return [f"{name} takes no value; true gives it, false leaves it out"]
        return [f"{name} takes {_span(argument.fewest, argument.most)}, not {count}"]
    if argument.choices is None:
        return []
    known = argument.choices
    return [
        f"{name} takes {', '.join(known)}, not {value}{nearest(value, known)}"
        for value in values
        if value is not None and value not in known
    ]


def _wrong_positionals(
    where: str, step: Step, flags: ScriptFlags, params: Mapping[str, Value] | None
) -> list[Problem]:
    values: list[str | None] = []
    for value in step.positional:
        if params is None and any(one.kind == "params" for one in references(value)):
            return []  # it may stand for several, or for none
        values += _each(step, value, params)
    fewest = sum(one.fewest for one in flags.positionals if one.required)
    most = sum(one.most for one in flags.positionals)
    if len(values) < fewest or (len(values) > most and not flags.is_open):
        names = ", ".join(one.name for one in flags.positionals)
        takes = f"{_span(fewest, most)} ({names})" if most else "none"
        message = f"{step.script} takes {takes} after its flags, not {len(values)}"
        return [Problem(f"{where}.positional", message)]
    if len(flags.positionals) == 1:
        found = _wrong(flags.positionals[0], values)
        return [Problem(f"{where}.positional", text) for text in found]
    return []


def _span(fewest: int, most: int) -> str:
    if fewest == most:
        return f"{fewest} value{'s' if fewest != 1 else ''}"
    return f"{fewest} values or more" if most >= _ANY else f"{fewest} to {most} values"
