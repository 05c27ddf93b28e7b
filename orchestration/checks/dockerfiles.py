"""Dockerfiles: what they build on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from orchestration.checks import images
from orchestration.checks.findings import Finding, found
from orchestration.checks.look import Look

_ARGUMENT = re.compile(r"ARG\s+(\w+)=[\"']?([^\s\"']+)", re.IGNORECASE)
_FROM = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def takes(look: Look, file: str) -> bool:
    """Whether a file is a Dockerfile."""
    name = PurePosixPath(file).name
    is_named = name.startswith("Dockerfile.") or name.endswith(".Dockerfile")
    return name == "Dockerfile" or is_named


def find(look: Look, file: str) -> Iterator[Finding]:
    """Find images that are another one tomorrow."""
    defaults: dict[str, str] = {}
    stages = {"scratch"}
    for number, line in enumerate(look.text(file).splitlines(), start=1):
        argument = _ARGUMENT.match(line)
        if argument is not None:
            defaults[argument[1]] = argument[2]
        start = _FROM.match(line)
        if start is None:
            continue
        # One without a default is the builder's to give.
        image = _VARIABLE.sub(lambda m: defaults.get(m[1], m[0]), start[1])
        problem = images.moving(image) if image not in stages else None
        if problem is not None and "$" not in image:
            yield found(file, number, problem, images.HINT)
        if start[2]:
            stages.add(start[2])
