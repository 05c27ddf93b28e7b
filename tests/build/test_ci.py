"""`.ci/run` runs every step and fails when one of them did."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

# How a step's command begins, and what the step is called.
STEPS = {
    "./pants test": "./pants test ::",
    "./pants tailor": "./pants tailor --check ::",
    "./pants update-build-files": "./pants update-build-files --check ::",
    "./pants lint": "./pants lint ::",
    "./pants check": "./pants check ::",
    "./strata check": "./strata check",
    "./pants dependencies": "layers_hold",
    "./pants run src/domains/digit_recognition:train": (
        "./pants run src/domains/digit_recognition:train"
    ),
}
# Stands where a launcher would: what begins with BROKEN fails, all else succeeds.
LAUNCHER = """#!/bin/sh
case "./${0##*/} $*" in "$BROKEN"*) exit 1 ;; esac
"""


def run_ci(root: Path, broken: str) -> subprocess.CompletedProcess[str]:
    script = root / "tree/.ci/run"
    script.parent.mkdir(parents=True)
    script.write_bytes(Path(".ci/run").read_bytes())
    for name in ("pants", "strata"):
        (root / "tree" / name).write_text(LAUNCHER)
        (root / "tree" / name).chmod(0o755)
    for folder in ("azurite", "mnist/data"):
        (root / "cache/strata" / folder).mkdir(parents=True)
    # Programs that it would install otherwise; the engine answers at once.
    tools = root / "tools"
    tools.mkdir()
    for name in ("docker", "dockerd", "docker-registry", "debootstrap", "faketime"):
        (tools / name).write_text("#!/bin/sh\n")
        (tools / name).chmod(0o755)
    return subprocess.run(
        ["bash", str(script)],
        env={
            "PATH": f"{tools}:{os.environ['PATH']}",
            "STRATA_PYTHON_IMAGE": "any",
            "XDG_CACHE_HOME": str(root / "cache"),
            "BROKEN": broken,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_succeeds_when_every_step_does(tmp_path: Path) -> None:
    done = run_ci(tmp_path, broken="none")

    assert done.returncode == 0, done.stdout
    assert f"{len(STEPS) + 6} passed, 0 failed" in done.stdout


@pytest.mark.parametrize("command", STEPS)
def test_it_fails_when_a_step_does_and_runs_the_others(
    tmp_path: Path, command: str
) -> None:
    done = run_ci(tmp_path, broken=command)

    assert done.returncode == 1
    assert f"failed: {STEPS[command]}\n" in done.stdout
    assert f"{len(STEPS) + 5} passed, 1 failed" in done.stdout
