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
from typing import Any

from common.errors import UserError
from orchestration.launcher.job import JobInput
from orchestration.pipelines.keys import Platform, StepCode, canonical
from orchestration.pipelines.planning import place_of
from orchestration.pipelines.spec import (
    FromDataset,
    FromPath,
    Pipeline,
)
from orchestration.store.content import Content
from orchestration.store.store import Store

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
        key = input_key(source)
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


def input_key(source: FromPath | FromDataset) -> str:
    """Give the name under which a plan has an input from outside."""
    if isinstance(source, FromPath):
        return f"path:{source.path}"
    return f"dataset:{source.dataset}"


def _code(values: Mapping[str, Any]) -> StepCode:
    files = {name: (state[0], state[1]) for name, state in values["files"].items()}
    return StepCode(**{**values, "files": files})
