"""Executes rendered workflows as processes of this machine, as Argo would in pods."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

# Which part of a container's paths is where here.
_LAUNCHER, _SCRATCH = "/opt/launcher", "/scratch"


@dataclass(frozen=True)
class Pod:
    """What one container did.

    Attributes:
        task: The DAG's task.
        shard: Its item, if it has one.
        status: The exit status.
        output: What it wrote.
    """

    task: str
    shard: str | None
    status: int
    output: str


def execute(text: str, environment: Path, scratch: Path) -> list[Pod]:
    """Execute a Workflow's DAG; a task runs when all that it depends on has succeeded.

    Args:
        text: The workflow.
        environment: What takes the place of the image's.
        scratch: What takes the place of the scratch volume.
    """
    spec = yaml.safe_load(text)["spec"]
    templates = {template["name"]: template for template in spec["templates"]}
    tasks = templates[spec["entrypoint"]]["dag"]["tasks"]
    done: dict[str, bool] = {}
    pods: list[Pod] = []
    while ready := [
        task
        for task in tasks
        if task["name"] not in done
        and all(done.get(name) for name in task.get("dependencies", ()))
    ]:
        for task in ready:
            template = templates[task["template"]]
            own = [
                _pod(task["name"], item, template["container"], environment, scratch)
                for item in task.get("withItems", [None])
            ]
            done[task["name"]] = not any(pod.status for pod in own)
            pods += own
    return pods


def _pod(
    task: str,
    item: str | None,
    container: Mapping[str, Any],
    environment: Path,
    scratch: Path,
) -> Pod:
    words = [*container["command"], *container["args"]]
    assert words[0] == "python"
    filled = [_fill(word, item, scratch) for word in words[1:]]
    variables = {
        entry["name"]: _fill(entry["value"], item, scratch)
        for entry in container["env"]
        if "value" in entry
    }
    # The launcher's own code and packages are those of the tests.
    assert variables["PYTHONPATH"].startswith(f"{_LAUNCHER}/code:")
    variables["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    variables["PATH"] = os.environ["PATH"]
    done = subprocess.run(
        [sys.executable, *filled, "--environment", str(environment)],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return Pod(task, item, done.returncode, done.stdout + done.stderr)


def _fill(text: str, item: str | None, scratch: Path) -> str:
    filled = text.replace(_SCRATCH, str(scratch)).replace("{{workflow.name}}", "one")
    if item is not None:
        filled = filled.replace("{{inputs.parameters.shard}}", item)
    assert "{{" not in filled
    return filled
