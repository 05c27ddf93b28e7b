"""Settle, where the tree is, all that a pipeline's steps depend on."""

from __future__ import annotations

from pathlib import Path

from orchestration.file_digests import FileDigests
from orchestration.pipelines.keys import Platform, StepCode
from orchestration.pipelines.opening import Opened
from orchestration.pipelines.spec import FromStep
from orchestration.platforms.sealed_plan import SealedPlan, input_key
from orchestration.store.content import read_content
from orchestration.workspaces import provide_workspace


def seal(opened: Opened, platform: Platform, upload: bool = True) -> SealedPlan:
    """Settle all that a pipeline's steps depend on.

    Args:
        opened: The pipeline.
        platform: What its steps are to run on.
        upload: Have what they read from outside, and their code, in the store.

    Raises:
        UserError: A script or an input is missing.
        RunError: The store cannot be used.
    """
    reader = opened.reader()
    steps = opened.pipeline.steps
    codes: dict[str, StepCode] = {}
    closures: dict[str, str] = {}
    inputs: dict[str, str] = {}
    suffixes: dict[str, str] = {}
    for name, step in sorted(steps.items()):
        if step.script not in codes:
            code = opened.scripts.code(opened.name, step.script)
            # The image has the packages; their names and pins are what the key is of.
            codes[step.script] = StepCode(
                code.task, code.module, code.files, "", code.packages
            )
            closures[step.script] = _closure(opened, code, upload)
        for input_name, source in sorted(step.inputs.items()):
            if isinstance(source, FromStep) or input_key(source) in inputs:
                continue
            found = reader.read(f"{name}.inputs.{input_name}", input_name, source)
            assert found.path is not None
            inputs[input_key(source)] = found.reference
            suffixes[input_key(source)] = Path(found.path).suffix
            if upload:
                opened.store.add(Path(found.path), reader.content(found))
    return SealedPlan(
        opened.name,
        opened.pipeline,
        platform,
        codes,
        closures,
        inputs,
        suffixes,
        opened.checkout.head().commit or "",
    )


def _closure(opened: Opened, code: StepCode, upload: bool) -> str:
    folder = provide_workspace(opened.checkout, opened.tree, sorted(code.files), {})
    content = read_content(folder, FileDigests(Path("/"), None), "followed")
    if upload:
        opened.store.add(folder, content)
    return content.reference
