"""How a step ended, and how a run's document says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from orchestration.pipelines.planning import Outputs, StepPlan


@dataclass(frozen=True)
class StepEnd:
    """How a step ended.

    Attributes:
        task: The task that its script belongs to.
        state: cached, done, failed, stopped, shared (a part of its items is done), or
            skipped (what it needs failed, or the run ended).
        reason: Why it ran.
        key: Its key, if it came so far.
        outputs: Reference and size of each output.
        seconds: How long its commands took; 0 if none ran.
        message: Why it failed; the first line says it, the others are its log's last.
        log: The log's reference in the store, if it is there.
        items: Key of each item that there is a result of, for a step that maps.
        ran: How many of its items ran.
        inputs: Reference of each input, by name.
    """

    task: str
    state: str
    reason: str = ""
    key: str | None = None
    outputs: Outputs = field(default_factory=dict)
    seconds: float = 0.0
    message: str = ""
    log: str | None = None
    items: Mapping[str, str] | None = None
    ran: int = 0
    inputs: Mapping[str, str] = field(default_factory=dict)

    def to_document(self, step: str) -> dict[str, Any]:
        """Write it down, with the step's name, for a run's document."""
        document: dict[str, Any] = {
            "task": self.task,
            "step": step,
            "state": self.state,
            "key": self.key,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
            "inputs": dict(self.inputs),
            "outputs": {key: dict(value) for key, value in self.outputs.items()},
            "message": self.message,
            "log": self.log,
        }
        if self.items is not None:
            document |= {"items": dict(self.items), "ran": self.ran}
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> StepEnd:
        """Read what :meth:`to_document` wrote, whatever else is there."""
        names = {one.name for one in fields(cls)}
        return cls(**{name: one for name, one in document.items() if name in names})


def cached_end(plan: StepPlan) -> StepEnd:
    """Say of a step that its results were there."""
    return StepEnd(
        plan.code.task,
        "cached",
        "",
        plan.key,
        plan.outputs,
        inputs=input_references(plan),
    )


def input_references(plan: StepPlan) -> dict[str, str]:
    """Give the reference of each input of a step, by name."""
    return {name: one.reference for name, one in sorted(plan.inputs.items())}
