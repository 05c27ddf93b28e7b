"""The arguments that a step's script is called with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from common.errors import UserError
from orchestration.pipelines.references import Reference, parse_text, sole_reference
from orchestration.pipelines.spelling import spell

if TYPE_CHECKING:
    from orchestration.pipelines.spec import Step, Value


def command_arguments(
    step: Step,
    params: Mapping[str, Value],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
) -> list[str]:
    """Spell out a step's arguments.

    Flags come sorted by name, so that their order in the file changes nothing. One
    whose value is null, false or an empty list is left out; true is the bare flag.

    Args:
        step: The step.
        params: The pipeline's parameters.
        inputs: Where each of the step's inputs is.
        outputs: Where each of its outputs is to be written; each ends with the path
            that the step declares for it.

    Returns:
        What follows the script on its command line.

    Raises:
        UserError: A reference is none, or stands in a text for what is no text.
    """
    words: list[str] = []
    many = False
    for name, value in sorted(step.args.items()):
        values = flag_values(value, step, params, inputs, outputs)
        if values is None:
            continue
        many = len(values) != 1
        if len(values) == 1 and values[0].startswith("-"):
            # As a word of its own argparse would take it for a flag.
            words.append(f"--{name}={values[0]}")
        else:
            words += [f"--{name}", *values]
    rest = [
        word
        for value in step.positional
        for word in positional_values(value, step, params, inputs, outputs)
    ]
    # A flag that takes several values would take these as well.
    if rest and (many or any(word.startswith("-") for word in rest)):
        words.append("--")
    return words + rest


def flag_values(
    value: Value,
    step: Step,
    params: Mapping[str, Value],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
) -> list[str] | None:
    """Give what follows a flag; None where the flag is left out.

    Raises:
        UserError: As :func:`command_arguments`.
    """
    reference = _sole(value)
    if reference is not None:
        value = _look_up(reference, step, params, inputs, outputs)
    if value is None or value is False or value == []:
        return None
    if value is True:
        return []
    if reference is not None and not isinstance(value, list):
        return [spell(value)]
    return positional_values(value, step, params, inputs, outputs)


def positional_values(
    value: Value,
    step: Step,
    params: Mapping[str, Value],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
) -> list[str]:
    """Give the arguments that a value stands for: none for null, several for a list.

    Raises:
        UserError: As :func:`command_arguments`.
    """
    if isinstance(value, list):
        return [
            word
            for item in value
            for word in positional_values(item, step, params, inputs, outputs)
        ]
    reference = _sole(value)
    if reference is not None:
        found = _look_up(reference, step, params, inputs, outputs)
        given = found if isinstance(found, list) else [found]
        return [spell(item) for item in given if item is not None]
    if value is None:
        return []
    if not isinstance(value, str):
        return [spell(value)]
    text = ""
    for part in _parts(value):
        if isinstance(part, Reference):
            inner = _look_up(part, step, params, inputs, outputs)
            if inner is None or isinstance(inner, list):
                kind = "null" if inner is None else "a list"
                raise UserError(f"{part} is {kind}, which cannot stand in {value!r}")
            part = spell(inner)
        text += part
    return [text]


def _sole(value: Value) -> Reference | None:
    try:
        return sole_reference(value)
    except ValueError as error:
        raise UserError(str(error)) from None


def _parts(text: str) -> list[str | Reference]:
    try:
        return parse_text(text)
    except ValueError as error:
        raise UserError(str(error)) from None


def _look_up(
    reference: Reference,
    step: Step,
    params: Mapping[str, Value],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
) -> Value:
    if not reference.name:
        return _output_folder(step, outputs)
    values: Mapping[str, Value] = {
        "params": params,
        "inputs": inputs,
        "outputs": outputs,
    }[reference.kind]
    if reference.name not in values:
        raise UserError(f"{reference} is not there")
    return values[reference.name]


def _output_folder(step: Step, outputs: Mapping[str, str]) -> str:
    """Give the folder that the paths of all of a step's outputs are relative to."""
    folders = {
        outputs[name].removesuffix(f"/{path}") if name in outputs else ""
        for name, path in step.outputs.items()
    }
    if len(folders) != 1 or not all(
        outputs[name] == f"{folder}/{path}"
        for folder in folders
        for name, path in step.outputs.items()
    ):
        raise UserError("${outputs} takes outputs that lie in one folder")
    return folders.pop()
