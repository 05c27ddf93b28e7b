"""A pipeline with all that a machine without the tree needs to run it.

What a step depends on is settled here, where the tree is: the pipeline with its profile
applied, what each script reaches, what steps run on, and the content of what they read
from outside, which lies in the store. A container then plans with the same planner as a
laptop does, and so comes to the same keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.errors import UserError
from orchestration.file_digests import FileDigests
from orchestration.launcher.job import JobInput
from orchestration.pipelines.keys import Platform, StepCode, canonical
from orchestration.pipelines.opening import Opened
from orchestration.pipelines.planning import place_of
from orchestration.pipelines.spec import (
    FromDataset,
    FromPath,
    FromStep,
    Pipeline,
)
from orchestration.store.content import Content, read_content
from orchestration.store.store import Store
from orchestration.workspaces import provide_workspace

_FORMAT = "plan/1"


@dataclass(frozen=True)
class SealedPlan:
    """A pipeline, ready to run elsewhere.

    Attributes:
        task: The pipeline's task.
        pipeline: The pipeline, with profile and settings applied.
        platform: What its steps run on.
        codes: What each script runs, by the name that steps have for it.
        closures: Each script's closure in the store.
        inputs: References of what steps read from outside, by path or dataset.
        suffixes: The endings of those that are files.
        commit: The commit that it was made from; empty where there is none.
    """

    task: str
    pipeline: Pipeline
    platform: Platform
    codes: Mapping[str, StepCode]
    closures: Mapping[str, str]
    inputs: Mapping[str, str]
    suffixes: Mapping[str, str]
    commit: str

    def to_json(self) -> bytes:
        """Write it in the one way that its name in the store is of."""
        return canonical(
            {
                "format": _FORMAT,
                "task": self.task,
                "pipeline": self.pipeline.model_dump(mode="json"),
                "platform": asdict(self.platform),
                "codes": {name: asdict(code) for name, code in self.codes.items()},
                "closures": dict(self.closures),
                "inputs": dict(self.inputs),
                "suffixes": dict(self.suffixes),
                "commit": self.commit,
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> SealedPlan:
        """Read what :meth:`to_json` has written.

        Raises:
            UserError: It is no plan.
        """
        try:
            document: dict[str, Any] = json.loads(data)
            form = document.pop("format")
        except (ValueError, KeyError, AttributeError):
            form = None
        if form != _FORMAT:
            raise UserError(f"it is no plan of this version, {_FORMAT}")
        codes = {name: _code(values) for name, values in document["codes"].items()}
        return cls(
            **{
                **document,
                # As it is in the file: enumerations and tuples are texts and lists.
                "pipeline": Pipeline.model_validate_json(
                    json.dumps(document["pipeline"])
                ),
                "platform": Platform(**document["platform"]),
                "codes": codes,
            }
        )

    def code(self, task: str, script: str) -> StepCode:
        """Give what a step's script reaches, as it was when the plan was made."""
        return self.codes[script]

    def reader(self, store: Store) -> SealedInputs:
        """Give what reads the inputs from a store."""
        return SealedInputs(self, store)


@dataclass(frozen=True)
class SealedInputs:
    """Inputs from outside as they were when a plan was made.

    Attributes:
        plan: The plan.
        store: Where they are.
    """

    plan: SealedPlan
    store: Store

    def read(self, where: str, name: str, source: FromPath | FromDataset) -> JobInput:
        """Give an input, to be taken from the store."""
        key = _key(source)
        reference = self.plan.inputs[key]
        return JobInput(
            reference, place_of(name, reference, f"x{self.plan.suffixes[key]}")
        )

    def content(self, source: JobInput) -> Content:
        """Give what an input is made of.

        Raises:
            StoreError: The store lacks it.
        """
        return self.store.content(source.reference)


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
            if isinstance(source, FromStep) or _key(source) in inputs:
                continue
            found = reader.read(f"{name}.inputs.{input_name}", input_name, source)
            assert found.path is not None
            inputs[_key(source)] = found.reference
            suffixes[_key(source)] = Path(found.path).suffix
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


def _key(source: FromPath | FromDataset) -> str:
    if isinstance(source, FromPath):
        return f"path:{source.path}"
    return f"dataset:{source.dataset}"


def _code(values: Mapping[str, Any]) -> StepCode:
    files = {name: (state[0], state[1]) for name, state in values["files"].items()}
    return StepCode(**{**values, "files": files})
