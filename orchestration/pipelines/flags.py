"""Check the command lines of steps against their scripts' parsers, before a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from common.errors import UserErrors
from orchestration.atomic_files import write_atomically
from orchestration.engines.engine import Engine
from orchestration.pipelines.checks import ERROR
from orchestration.pipelines.keys import StepCode, key_of
from orchestration.pipelines.opening import Opened
from orchestration.pipelines.planning import StepPlan
from orchestration.pipelines.script_flags import (
    PROGRAM,
    ScriptFlags,
    check_flags,
    describe_script,
)
from orchestration.store.parallel import in_parallel

_FORMAT = "asked/1"


def check_scripts(opened: Opened, plans: Sequence[StepPlan], engine: Engine) -> None:
    """Check the arguments of steps that are about to run.

    What a script takes is asked once for each state of its closure.

    Raises:
        UserErrors: Some are wrong; a line each.
        RunError: An environment cannot be made.
    """
    # Steps may share a script; each is asked once.
    asked = {plan.code.module: plan for plan in plans}
    answers = in_parallel(
        lambda one: _ask(opened, asked[one], engine), asked, os.cpu_count() or 1
    )
    flags = dict(zip(asked, answers))
    wrong = []
    for plan in plans:
        step, known = opened.pipeline.steps[plan.name], flags[plan.code.module]
        for problem in check_flags(plan.name, step, known, opened.pipeline.params):
            if problem.severity == ERROR:
                wrong.append(f"{problem.where}: {problem.message}")
    if wrong:
        raise UserErrors(wrong)


def flags_of_script(
    cache: Path, code: StepCode, provide: Callable[[], tuple[Sequence[str], Path]]
) -> ScriptFlags:
    """Give what a script takes, asked once for each state of its closure.

    Args:
        cache: Strata's cache folder.
        code: What the script reaches.
        provide: Has its environment and workspace there, if it has to be asked: gives
            what starts :data:`PROGRAM`, and the workspace.

    Raises:
        UserError: The script cannot be imported, or has no parser.
        RunError: It takes too long, or its environment cannot be made.
    """
    memory = _memory(cache, code)
    flags = _remembered(memory)
    if flags is None:
        start, folder = provide()
        flags = describe_script(start, folder, code.module)
        write_atomically(memory, flags.to_json().encode())
    return flags


def _memory(cache: Path, code: StepCode) -> Path:
    """Say where it is remembered what a script in this state takes."""
    name = key_of(
        {
            "format": _FORMAT,
            "module": code.module,
            "code": {k: list(v) for k, v in code.files.items()},
            "packages": dict(code.packages),
        }
    )
    return cache / "flags" / f"{name[:24]}.json"


def _ask(opened: Opened, plan: StepPlan, engine: Engine) -> ScriptFlags:
    def provide() -> tuple[Sequence[str], Path]:
        provided = engine.provide(opened.pipeline.steps[plan.name], plan)
        return engine.python(provided, PROGRAM), Path(provided.code)

    return flags_of_script(opened.checkout.cache, plan.code, provide)


def _remembered(memory: Path) -> ScriptFlags | None:
    try:
        return ScriptFlags.from_json(memory.read_text())
    except (OSError, ValueError):
        return None
