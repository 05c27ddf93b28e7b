"""CI's definitions as data, and their blocks of shell as the two systems run them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from orchestration.pipelines.documents import read_document

FOLDER = Path("orchestration/ci")
SYSTEMS = ("github", "azure-devops")
NAMES = ("pull-request", "development", "weekly")
# What a run has from the outside, besides what a definition declares.
OUTSIDE = {
    "PIPELINE": "digit_recognition",
    "SINCE": "HEAD^1",
    "STRATA_REGISTRY": "example.azurecr.io",
}
# Notes how it was called; fails at the call that is asked for.
_STAND_IN = """#!/bin/bash
printf '%s\\n' "${0##*/}" "$@" "" >>"$CALLS"
while read -r line; do [[ $line ]] || number=$((number + 1)); done <"$CALLS"
if [[ $number == "$BROKEN" ]]; then exit 3; fi
echo '["apples","pears"]'
"""


@dataclass(frozen=True)
class Block:
    """A block of shell.

    Attributes:
        system: github or azure-devops.
        name: Where it is.
        text: The block.
        shell: What starts it, before the name of a file that has it.
    """

    system: str
    name: str
    text: str
    shell: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How a block ended.

    Attributes:
        status: Its exit status.
        calls: The commands that it called, with their arguments.
        output: What it printed.
        outputs: What it wrote for later jobs, on GitHub.
    """

    status: int
    calls: list[list[str]] = field(default_factory=list)
    output: str = ""
    outputs: str = ""


def load(path: Path) -> Any:
    """Read a definition.

    Raises:
        ValueError: It is no sound YAML.
    """
    document = read_document(path)
    if document.mistakes:
        raise ValueError(f"{path}: {document.mistakes}")
    return document.data


def files() -> list[Path]:
    """Every definition that there is."""
    return sorted(FOLDER.glob("**/*.yml"))


def jobs(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The jobs of a definition, by name."""
    found = definition.get("jobs", {})
    if isinstance(found, list):
        return {job["job"]: job for job in found}
    return dict(found)


def steps(definition: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The steps of a definition, with the names of their jobs."""
    for name, job in jobs(definition).items():
        for step in job["steps"]:
            yield name, step
    for step in definition.get("runs", definition).get("steps", ()):
        yield "set-up", step


def blocks(path: Path) -> list[Block]:
    """The blocks of shell of a definition.

    GitHub's documentation of ``shell`` says how it starts them; Azure's Bash@3 and
    AzureCLI@2 hand a block to bash as it is.
    """
    definition = load(path)
    system = path.relative_to(FOLDER).parts[0]
    stated = definition.get("defaults", {}).get("run", {}).get("shell")
    shell: tuple[str, ...] = ("bash", "--noprofile", "--norc")
    if system == "github":
        shell = (*shell, "-eo", "pipefail") if stated == "bash" else ("bash", "-e")
    found = []
    for number, (job, step) in enumerate(steps(definition)):
        given = [step.get(key) for key in ("run", "bash", "script")]
        given.append(step.get("inputs", {}).get("inlineScript"))
        for text in given:
            if text is not None:
                name = f"{system}/{path.stem}/{job}/{number}"
                found.append(Block(system, name, text, shell))
    return found


def all_blocks() -> list[Block]:
    """The blocks of all definitions."""
    return [block for path in files() for block in blocks(path)]


def run_block(
    block: Block,
    folder: Path,
    broken: int = 0,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Outcome:
    """Run a block in a folder where stand-ins are all that it can call.

    Args:
        block: The block.
        folder: An empty folder.
        broken: Which call fails, from 1; none if 0.
        variables: Further environment variables.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("pants", "strata", "az"):
        (folder / name).write_text(_STAND_IN)
        (folder / name).chmod(0o755)
    script, calls, outputs = (folder / name for name in ("block", "calls", "outputs"))
    script.write_text(block.text)
    calls.touch()
    outputs.touch()
    done = subprocess.run(
        [*block.shell, str(script)],
        cwd=folder,
        env={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "CALLS": str(calls),
            "BROKEN": str(broken),
            "GITHUB_OUTPUT": str(outputs),
            **OUTSIDE,
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    called = [call.split("\n") for call in calls.read_text().split("\n\n") if call]
    return Outcome(done.returncode, called, done.stdout, outputs.read_text())
