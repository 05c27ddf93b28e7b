"""Check the command lines of steps against their scripts' parsers, before a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.errors import UserErrors
from orchestration.atomic_files import write_atomically
from orchestration.engines.engine import Engine
from orchestration.pipelines.checks import ERROR
from orchestration.pipelines.keys import key_of
from orchestration.pipelines.opening import Opened
from orchestration.pipelines.planning import StepPlan
from orchestration.pipelines.script_flags import (
    PROGRAM,
    ScriptFlags,
    check_flags,
    describe_script,
)

_FORMAT = "asked/1"


def check_scripts(opened: Opened, plans: Sequence[StepPlan], engine: Engine) -> None:
    """Check the arguments of steps that are about to run.

    What a script takes is asked once for each state of its closure.

    Raises:
        UserErrors: Some are wrong; a line each.
        RunError: An environment cannot be made.
    """
    wrong = []
    params = opened.pipeline.params
    for plan in plans:
        step = opened.pipeline.steps[plan.name]
        name = key_of(
            {
                "format": _FORMAT,
                "module": plan.code.module,
                "code": {k: list(v) for k, v in plan.code.files.items()},
                "packages": dict(plan.code.packages),
            }
        )
        memory = opened.checkout.cache / "flags" / f"{name[:24]}.json"
        flags = _remembered(memory)
        if flags is None:
            provided = engine.provide(step, plan)
            flags = describe_script(
                engine.python(provided, PROGRAM),
                Path(provided.code),
                plan.code.module,
            )
            write_atomically(memory, flags.to_json().encode())
        for problem in check_flags(plan.name, step, flags, params):
            if problem.severity == ERROR:
                wrong.append(f"{problem.where}: {problem.message}")
    if wrong:
        raise UserErrors(wrong)


def _remembered(memory: Path) -> ScriptFlags | None:
    try:
        return ScriptFlags.from_json(memory.read_text())
    except (OSError, ValueError):
        return None
