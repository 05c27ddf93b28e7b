"""What a ``pipeline.yaml`` says, as frozen data, with its short forms written out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from orchestration.pipelines.references import Reference, sole_reference
from orchestration.pipelines.spelling import spell_number
from orchestration.store.objects import shown_address

Scalar = str | int | float | bool | None
Value = Scalar | list[Scalar]

NAME = r"^[A-Za-z_][A-Za-z0-9_-]*$"
# Argo's and Azure ML's names, of steps, in what both accept.
STEP_NAME = r"^[a-z][a-z0-9_-]{0,39}$"
# An output's name may be its file's.
OUTPUT_NAME = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
FLAG_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
VARIABLE_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
# A path or module, or a Pants target.
SCRIPT = r"^[A-Za-z_][A-Za-z0-9_./-]*(:[A-Za-z0-9_.-]+)?$"
STEP_OUTPUT = r"^[a-z][a-z0-9_-]*/[A-Za-z_][A-Za-z0-9_.-]*$"
STEP_INPUT = r"^[a-z][a-z0-9_-]*\.[A-Za-z_][A-Za-z0-9_-]*$"
DIGEST = r"^sha256:[0-9a-f]{64}$"
DURATION = r"^[0-9]+(\.[0-9]+)?(s|m|h|d)$"
SIZE = r"^[0-9]+(\.[0-9]+)? ?([kKMGT]i?)?B?$"
SCHEMES = ("s3", "az", "gs", "https")
PLACE_SCHEMES = ("s3", "az", "gs")

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BYTES |= {f"{unit}i": 2 ** (10 * i) for i, unit in enumerate("KMGT", start=1)}
_PLACES = "a folder, s3://BUCKET/FOLDER, az://CONTAINER/FOLDER or gs://BUCKET/FOLDER"
_INPUT_FORMS = "STEP/OUTPUT, {path: PATH} or {dataset: NAME}"


def _wrong(message: str) -> PydanticCustomError:
    # Braces in the message would be taken for fields of it.
    return PydanticCustomError("spec", "{message}", {"message": message})


def _matching(pattern: str, rule: str) -> BeforeValidator:
    compiled = re.compile(pattern)

    def check(value: Any) -> Any:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise _wrong(rule)
        return value

    return BeforeValidator(check)


def _scalar(value: Any) -> Any:
    finite = not isinstance(value, float) or math.isfinite(value)
    if value is None or (isinstance(value, str | int | float) and finite):
        return value
    raise _wrong("takes a text, a finite number, true, false, null, or a list of them")


def _value(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_scalar(item) for item in value]
    return _scalar(value)


def _relative(value: Any) -> Any:
    """Normalise a relative path with forward slashes that does not lead upwards."""
    if not isinstance(value, str):
        raise _wrong("takes a path")
    path = PurePosixPath(value)
    if path.is_absolute() or re.match(r"[A-Za-z]:|\\", value):
        raise _wrong(f"{value} is no relative path")
    if ".." in path.parts:
        raise _wrong(f"{value} leads out of its folder: .. is not accepted")
    if not path.parts:
        raise _wrong("takes the path of something in the folder, not the folder")
    if not value.isprintable():
        raise _wrong("the path has characters that cannot be printed")
    return str(path)


def _address(value: Any) -> Any:
    scheme, found, _ = str(value).partition("://")
    if found:
        if scheme not in SCHEMES:
            known = ", ".join(f"{name}://" for name in SCHEMES)
            raise _wrong(f"{value} is none of {known} or a path of the tree")
        return value
    return _relative(value)


def _seconds(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(DURATION, value):
        value = float(value[:-1]) * _SECONDS[value[-1]]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong("takes a duration, such as 90s, 10m, 2h, or a number of seconds")
    if not 0 < value < math.inf:
        raise _wrong("takes a duration above 0")
    return float(value)


def _bytes(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(SIZE, value):
        number, unit = re.findall(r"[0-9.]+|[A-Za-z]+$", f"{value}B")
        unit = unit.rstrip("B").replace("k", "K")
        value = round(float(number) * _BYTES[unit])
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong("takes a size, such as 500MB, 4GB, 4GiB, or a number of bytes")
    if value <= 0:
        raise _wrong("takes a size above 0")
    return value


def _named_paths(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return _from_list(value, lambda name: name)
    return value


def _variables(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return _from_list(value, lambda name: None)
    return value


def _from_list(names: Any, fill: Any) -> dict[str, Any]:
    for name in names:
        if not isinstance(name, str):
            raise _wrong("takes a list of names, or a mapping")
        if names.count(name) > 1:
            raise _wrong(f"{name} is there twice")
    return {name: fill(name) for name in names}


def _variable(value: Any) -> Any:
    if isinstance(value, bool):
        raise _wrong('takes a text; write "true" or "false" in quotes')
    return spell_number(value) if isinstance(value, int | float) else value


def _place(value: Any) -> Any:
    """Normalise an address that is written to; a folder's may be of the machine."""
    if not isinstance(value, str) or not value.isprintable():
        raise _wrong(f"takes {_PLACES}")
    scheme, found, rest = value.partition("://")
    if not found:
        path = PurePosixPath(value)
        if path.is_absolute() and path.parts[1:] and ".." not in path.parts:
            return str(path)
        return _relative(value)
    parts = [part for part in rest.split("/") if part]
    if scheme not in PLACE_SCHEMES or not parts or {".", ".."} & set(parts):
        raise _wrong(f"{shown_address(value)} is none of {_PLACES}")
    if "@" in parts[0] or "?" in rest or "#" in rest:
        raise _wrong(
            f"{shown_address(value)}: an address holds no credentials or settings; "
            "they come from the environment (docs/store.md)"
        )
    return f"{scheme}://{'/'.join(parts)}"


def _input(value: Any) -> Any:
    return _step_output(value, _INPUT_FORMS)


def _delivered(value: Any) -> Any:
    return _step_output(value, "STEP/OUTPUT")


def _step_output(value: Any, forms: str) -> Any:
    if isinstance(value, str):
        if not re.fullmatch(STEP_OUTPUT, value):
            raise _wrong(f"{value} is none of {forms}")
        step, _, output = value.partition("/")
        return FromStep(step=step, output=output)
    return value


def _kind_of_input(value: Any) -> str | None:
    if isinstance(value, BaseModel):
        return type(value).__name__
    keys = value.keys() if isinstance(value, Mapping) else set()
    kinds = {"step": FromStep, "path": FromPath, "dataset": FromDataset}
    found = [kind.__name__ for key, kind in kinds.items() if key in keys]
    return found[0] if len(found) == 1 else None


Name = Annotated[
    str,
    Field(pattern=NAME),
    _matching(NAME, "a name has letters, digits, - and _, and no digit or - first"),
]
StepName = Annotated[
    str,
    Field(pattern=STEP_NAME),
    _matching(
        STEP_NAME,
        "a step's name has lower-case letters, digits, - and _, a letter first, and "
        "at most 40 of them",
    ),
]
OutputName = Annotated[
    str,
    Field(pattern=OUTPUT_NAME),
    _matching(
        OUTPUT_NAME,
        "an output's name has letters, digits, -, _ and ., and a letter or _ first",
    ),
]
FlagName = Annotated[
    str,
    Field(pattern=FLAG_NAME),
    _matching(
        FLAG_NAME,
        "a flag is named without its dashes: letters, digits, -, _ and .",
    ),
]
VariableName = Annotated[
    str,
    Field(pattern=VARIABLE_NAME),
    _matching(
        VARIABLE_NAME,
        "an environment variable's name has letters, digits and _, and no digit first",
    ),
]
ScriptName = Annotated[
    str,
    Field(pattern=SCRIPT),
    _matching(
        SCRIPT,
        "takes a script of the task's folder (train or train.py), a module "
        "(domains.x.train) or a Pants target (src/domains/x:train)",
    ),
]
Address = Annotated[str, BeforeValidator(_address)]
Place = Annotated[str, BeforeValidator(_place)]
Argument = Annotated[Value, PlainValidator(_value, json_schema_input_type=Value)]
RelativePath = Annotated[str, BeforeValidator(_relative)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FromStep(_Part):
    """An input that is another step's output."""

    step: Annotated[str, Field(description="The step that writes it.")]
    output: Annotated[str, Field(description="The name of the step's output.")]


class FromPath(_Part):
    """An input that is a file or folder of the tree."""

    path: Annotated[
        RelativePath, Field(description="Where it is, relative to the tree's root.")
    ]


class FromDataset(_Part):
    """An input that is one of the pipeline's datasets."""

    dataset: Annotated[str, Field(description="The dataset's name.")]


Input = Annotated[
    Annotated[FromStep, Tag("FromStep")]
    | Annotated[FromPath, Tag("FromPath")]
    | Annotated[FromDataset, Tag("FromDataset")],
    Discriminator(
        _kind_of_input,
        custom_error_type="spec",
        custom_error_message=f"takes {_INPUT_FORMS}",
    ),
    BeforeValidator(
        _input,
        json_schema_input_type=Annotated[str, Field(pattern=STEP_OUTPUT)]
        | FromStep
        | FromPath
        | FromDataset,
    ),
]


class Dataset(_Part):
    """Data from outside the pipeline."""

    address: Annotated[
        Address,
        Field(
            description="Where it is: a path relative to the tree's root, or an "
            "address that begins with s3://, az://, gs:// or https://."
        ),
    ]
    digest: Annotated[
        Annotated[
            str,
            Field(pattern=DIGEST),
            _matching(DIGEST, "takes sha256: and 64 digits of 0-9 and a-f"),
        ]
        | None,
        Field(description="The content that is expected, as sha256:HEX."),
    ] = None


class Resources(_Part):
    """What a step asks of the machine that it runs on."""

    cpu: Annotated[
        float | None, Field(gt=0, description="Cores; the engine's own if left out.")
    ] = None
    memory: Annotated[
        Annotated[
            int,
            BeforeValidator(
                _bytes,
                json_schema_input_type=Annotated[int, Field(gt=0)]
                | Annotated[str, Field(pattern=SIZE)],
            ),
        ]
        | None,
        Field(
            description="Bytes, or a size such as 4GB or 4GiB; the engine's own if "
            "left out."
        ),
    ] = None
    gpu: Annotated[int, Field(ge=0, description="GPUs of each node.")] = 0
    nodes: Annotated[int, Field(ge=1, description="Machines.")] = 1
    processes: Annotated[int, Field(ge=1, description="Processes of each node.")] = 1


class Step(_Part):
    """One command line of a script, with what it reads and what it writes."""

    script: Annotated[
        ScriptName,
        Field(
            description="A script of the task's folder (train or train.py), a module "
            "(domains.x.train) or a Pants target (src/domains/x:train)."
        ),
    ]
    args: Annotated[
        dict[FlagName, Argument],
        Field(
            description="Flags without their dashes, and their values. A list is "
            "several values, true a flag without one; null and false leave it out."
        ),
    ] = {}
    positional: Annotated[
        list[Argument], Field(description="What follows the flags.")
    ] = []
    inputs: Annotated[
        dict[Name, Input],
        Field(
            description="What the step reads, by the names that ${inputs.NAME} takes. "
            "An input that is null is there in profiles that name it."
        ),
    ] = {}
    outputs: Annotated[
        dict[OutputName, RelativePath],
        BeforeValidator(
            _named_paths,
            json_schema_input_type=dict[OutputName, str] | list[OutputName],
        ),
        Field(
            description="What the step writes: paths relative to its output folder, by "
            "the names that ${outputs.NAME} takes; or names that are the paths."
        ),
    ] = {}
    map: Annotated[
        str | None,
        Field(
            description="An input of this step, whose top-level entries are run one by "
            "one, each with its own result."
        ),
    ] = None
    shards: Annotated[
        int,
        Field(ge=1, description="How many processes share the entries of map."),
    ] = 1
    resources: Annotated[Resources, Field(description="What it asks for.")] = (
        Resources()
    )
    timeout: Annotated[
        Annotated[
            float,
            BeforeValidator(
                _seconds,
                json_schema_input_type=Annotated[float, Field(gt=0)]
                | Annotated[str, Field(pattern=DURATION)],
            ),
        ]
        | None,
        Field(description="The longest it may take: seconds, or 90s, 10m, 2h, 1d."),
    ] = None
    retries: Annotated[
        int, Field(ge=0, description="How often it is tried again when it fails.")
    ] = 0
    env: Annotated[
        dict[
            VariableName,
            Annotated[
                str | None,
                BeforeValidator(
                    _variable, json_schema_input_type=str | int | float | None
                ),
            ],
        ],
        BeforeValidator(
            _variables,
            json_schema_input_type=dict[VariableName, str | int | float | None]
            | list[VariableName],
        ),
        Field(
            description="The environment variables that it sees, with their values; "
            "null, or a list of names, takes the caller's."
        ),
    ] = {}
    portable: Annotated[
        bool,
        Field(
            description="Whether its result does not depend on the system below its "
            "packages."
        ),
    ] = False

    @model_validator(mode="before")
    @classmethod
    def _leave_out(cls, data: Any) -> Any:
        """Leave out inputs that are null, and the arguments that stand for them."""
        inputs = data.get("inputs") if isinstance(data, Mapping) else None
        if not isinstance(inputs, Mapping):
            return data
        absent = {name for name, given in inputs.items() if given is None}
        if not absent:
            return data
        data = {**data, "inputs": {k: v for k, v in inputs.items() if k not in absent}}
        args, positional = data.get("args"), data.get("positional")
        if isinstance(args, Mapping):
            data["args"] = {k: _unless(absent, v) for k, v in args.items()}
        if isinstance(positional, list):
            data["positional"] = [_unless(absent, value) for value in positional]
        return data


def _unless(absent: set[str], value: Any) -> Any:
    try:
        reference = sole_reference(value)
    except ValueError:
        return value  # the checks name it
    return (
        None if reference in {Reference("inputs", name) for name in absent} else value
    )


class Profile(_Part):
    """A named set of overrides, such as a small one for pull requests."""

    params: Annotated[
        dict[Name, Argument], Field(description="Parameters with other values.")
    ] = {}
    inputs: Annotated[
        dict[
            Annotated[
                str,
                Field(pattern=STEP_INPUT),
                _matching(STEP_INPUT, "takes STEP.INPUT"),
            ],
            Input | None,
        ],
        Field(description="Inputs from elsewhere, by STEP.INPUT; null leaves one out."),
    ] = {}
    datasets: Annotated[
        dict[Name, Dataset], Field(description="Datasets that are elsewhere.")
    ] = {}
    without: Annotated[
        list[StepName],
        Field(description="Steps that it leaves out; no other step needs them."),
    ] = []


class Pipeline(_Part):
    """A directed acyclic graph of steps."""

    description: Annotated[str, Field(description="What it is for, in a line.")] = ""
    params: Annotated[
        dict[Name, Argument],
        Field(description="Values that arguments take as ${params.NAME}."),
    ] = {}
    datasets: Annotated[
        dict[Name, Dataset], Field(description="Data from outside, by name.")
    ] = {}
    steps: Annotated[
        dict[StepName, Step], Field(min_length=1, description="The steps, by name.")
    ]
    deliver: Annotated[
        dict[
            Place,
            Annotated[
                FromStep,
                BeforeValidator(
                    _delivered,
                    json_schema_input_type=Annotated[str, Field(pattern=STEP_OUTPUT)]
                    | FromStep,
                ),
            ],
        ],
        Field(
            description="Where outputs are put when their steps are done: an address "
            "(a folder, s3://, az:// or gs://), and STEP/OUTPUT."
        ),
    ] = {}
    profiles: Annotated[
        dict[Name, Profile], Field(description="Sets of overrides, by name.")
    ] = {}
