"""The step key: everything that a step's result depends on, as one document's digest.

The document itself stays in the record, so that a later difference can be named. Its
fields are values of JSON, so nothing is joined without a delimiter, and it is written
in one way: sorted, without spaces, in ASCII.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.locks import parse_lock

_FORMAT = "step/1"


@dataclass(frozen=True)
class StepCode:
    """What a step runs, of the tree.

    Attributes:
        task: The task that the script belongs to, whichever pipeline names it.
        module: The script's module.
        files: SHA-256 and executable bit of every first-party file that it reaches.
        requirements: The locked packages that it reaches, as a requirements file.
        packages: The same by name, as :func:`locked_packages` gives them.
    """

    task: str
    module: str
    files: Mapping[str, tuple[str, bool]]
    requirements: str
    packages: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Platform:
    """What a step runs on.

    Attributes:
        python: The interpreter's version and implementation.
        machine: Operating system and processor type.
        system: What lies below the packages: the base image's digest, or the host's
            operating system.
    """

    python: str
    machine: str
    system: str


def step_document(
    step: str,
    code: StepCode,
    platform: Platform,
    portable: bool,
    arguments: Sequence[str],
    processes: int,
    variables: Mapping[str, str],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    mapped: str | None = None,
    item: str | None = None,
) -> dict[str, Any]:
    """Write down what a step's result depends on.

    Args:
        step: The step's name.
        code: What it runs.
        platform: What it runs on.
        portable: Its result does not depend on the system below its packages.
        arguments: Its command line after the module.
        processes: How many processes share the work.
        variables: Values of the declared environment variables. The document has their
            digests only, as they may be secret.
        inputs: References of the inputs' content, by name.
        outputs: Paths of the outputs, by name.
        mapped: The input whose entries are items, for a step that maps.
        item: The item, for one of them.
    """
    document: dict[str, Any] = {
        "format": _FORMAT,
        "task": code.task,
        "step": step,
        "module": code.module,
        "code": {name: list(state) for name, state in sorted(code.files.items())},
        "packages": {name: list(pins) for name, pins in code.packages.items()},
        "python": platform.python,
        "platform": platform.machine,
        "arguments": list(arguments),
        "processes": processes,
        "variables": {
            name: hashlib.sha256(os.fsencode(value)).hexdigest()
            for name, value in sorted(variables.items())
        },
        "inputs": dict(sorted(inputs.items())),
        "outputs": dict(sorted(outputs.items())),
    }
    if not portable:
        document["system"] = platform.system
    if mapped is not None:
        document["map"] = mapped
    if item is not None:
        document["item"] = item
    return document


def key_of(document: Mapping[str, Any]) -> str:
    """Give the step key: the SHA-256 of a document."""
    return hashlib.sha256(canonical(document)).hexdigest()


def canonical(document: Mapping[str, Any]) -> bytes:
    """Write a document in the one way that its key is of."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def locked_packages(requirements: str) -> dict[str, list[str]]:
    """Give each package's pins, and the digest of its files' hashes, by name."""
    packages: dict[str, list[str]] = {}
    for package in parse_lock("requirements", requirements).packages:
        hashes = hashlib.sha256("\n".join(package.hashes).encode()).hexdigest()
        packages.setdefault(package.name, []).extend([package.requirement, hashes])
    return packages
