"""Executes rendered pipeline jobs as processes of this machine, as Azure ML would."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.orchestration.platforms.workflows import Pod

_BINDING = re.compile(r"\$\{\{parent\.jobs\.(\w+)\.outputs\.(\w+)\}\}")


def execute(
    text: str,
    environment: Path,
    scratch: Path,
    identity: Mapping[str, str] | None = None,
) -> list[Pod]:
    """Execute a pipeline job; a job runs when those whose outputs it takes have ended.

    Args:
        text: The pipeline job.
        environment: What takes the place of the image's.
        scratch: Where the jobs' outputs go.
        identity: What takes the place of the compute's identity.
    """
    jobs: dict[str, Any] = yaml.safe_load(text)["jobs"]
    done: dict[str, bool] = {}
    pods: list[Pod] = []
    while ready := [
        name
        for name, job in jobs.items()
        if name not in done and all(done.get(one) for one in _needs(job))
    ]:
        for name in ready:
            pods.append(_pod(name, jobs[name], environment, scratch, identity or {}))
            done[name] = pods[-1].status == 0
    return pods


def from_rest(job: Mapping[str, Any], resources: Mapping[str, Any]) -> str:
    """Write a pipeline job as its file says it, from what the service was sent.

    Args:
        job: The job's properties.
        resources: The workspace's resources, by path: the jobs' components among them.
    """
    jobs = {}
    for name, node in job["jobs"].items():
        component = resources[node["componentId"]]["properties"]["componentSpec"]
        inputs = node.get("inputs", {})
        jobs[name] = {
            "command": component["command"],
            "environment_variables": node["environment_variables"],
            "inputs": {key: {"path": one["value"]} for key, one in inputs.items()},
            "outputs": node["outputs"],
        }
    return yaml.safe_dump({"jobs": jobs}, sort_keys=False)


def _needs(job: dict[str, Any]) -> list[str]:
    return [_bound(given["path"])[0] for given in job.get("inputs", {}).values()]


def _bound(path: str) -> tuple[str, str]:
    found = _BINDING.fullmatch(path)
    assert found is not None, path
    return found[1], found[2]


def _pod(
    name: str,
    job: dict[str, Any],
    environment: Path,
    scratch: Path,
    identity: Mapping[str, str],
) -> Pod:
    folders = {}
    for output in job["outputs"]:
        folder = scratch / name / output
        folder.mkdir(parents=True)
        folders[f"outputs.{output}"] = folder
    for given, source in job.get("inputs", {}).items():
        folders[f"inputs.{given}"] = scratch.joinpath(*_bound(source["path"]))
    command = job["command"]
    for place, folder in folders.items():
        assert f"${{{{{place}}}}}" in command
        command = command.replace(f"${{{{{place}}}}}", str(folder))
    assert "{{" not in command
    words = shlex.split(command)
    variables = {key: str(value) for key, value in job["environment_variables"].items()}
    # The launcher's own code and packages are those of the tests.
    assert variables["PYTHONPATH"] == "code:code/src:packages"
    variables["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, *words[1:], "--environment", str(environment)],
        env={"PATH": os.environ["PATH"], **identity, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    shard = re.search(r"--shard (\S+)", command)
    output = done.stdout + done.stderr
    return Pod(name, shard[1] if shard else None, done.returncode, output)
