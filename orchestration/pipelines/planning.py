"""What of a pipeline is cached and what runs, before anything does."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Literal, Protocol

from common.errors import UserError
from orchestration.launcher.job import JobInput
from orchestration.launcher.launch import references
from orchestration.pipelines.arguments import command_arguments
from orchestration.pipelines.checks import order
from orchestration.pipelines.keys import Platform, StepCode, key_of, step_document
from orchestration.pipelines.spec import (
    FromDataset,
    FromPath,
    FromStep,
    Pipeline,
    Step,
)
from orchestration.pipelines.why import nearest_record
from orchestration.store.content import Content
from orchestration.store.parallel import in_parallel
from orchestration.store.store import Store

# Reference and size of each output of a step, by name.
Outputs = Mapping[str, Mapping[str, Any]]

_CONSIDERED = 50
_NAMED = 3


@dataclass(frozen=True)
class ItemPlan:
    """One item of a step that maps.

    Attributes:
        name: The entry of the mapped input.
        key: Its key.
        document: What the key is of.
        arguments: Its command line after the module.
        inputs: Its inputs.
        outputs: What its record has; None if it runs.
    """

    name: str
    key: str
    document: Mapping[str, Any]
    arguments: tuple[str, ...]
    inputs: Mapping[str, JobInput]
    outputs: Outputs | None


@dataclass(frozen=True)
class StepPlan:
    """One step: cached, to run, or waiting to see what an earlier one gives.

    Attributes:
        name: The step.
        state: cached; runs; or waits, when the content of an input is not known yet.
        reason: Why it is not cached.
        code: What it runs.
        key: Its key; None while it waits.
        document: What the key is of.
        arguments: Its command line after the module.
        variables: Declared environment variables.
        inputs: Its inputs, by name.
        outputs: What its record has, if it is cached.
        items: Its items, if it maps.
    """

    name: str
    state: Literal["cached", "runs", "waits"]
    reason: str
    code: StepCode
    key: str | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, JobInput] = field(default_factory=dict)
    outputs: Outputs = field(default_factory=dict)
    items: tuple[ItemPlan, ...] | None = None

    @property
    def missing_items(self) -> list[ItemPlan]:
        """The items that run."""
        return [item for item in self.items or () if item.outputs is None]


def items_of(step: str) -> str:
    """Give the name under which a step's items have their records."""
    return f"{step}.items"


class Scripts(Protocol):
    """Knows what scripts reach: the tree, or a plan that was made of it."""

    def code(self, task: str, script: str) -> StepCode:
        """Give what a script of a task reaches.

        Raises:
            UserError: There is no such script.
        """


class Inputs(Protocol):
    """Knows what steps read from outside."""

    def read(self, where: str, name: str, source: FromPath | FromDataset) -> JobInput:
        """Give an input with its content.

        Raises:
            UserError: It is not there.
        """

    def content(self, source: JobInput) -> Content:
        """Give what an input is made of."""


class Planner:
    """Looks up what the steps of one pipeline depend on.

    Args:
        task: The pipeline's task.
        pipeline: The pipeline, checked, with its profile applied.
        scripts: Know what they reach.
        reader: Reads inputs.
        store: Where records are.
        platform: What the steps run on.
        forced: Steps that run whatever is cached.
    """

    def __init__(
        self,
        task: str,
        pipeline: Pipeline,
        scripts: Scripts,
        reader: Inputs,
        store: Store,
        platform: Platform,
        forced: Collection[str] = (),
    ) -> None:
        self._task = task
        self.pipeline = pipeline
        self.order = order(pipeline)
        self._upstream = {
            name: frozenset(
                source.step
                for source in step.inputs.values()
                if isinstance(source, FromStep)
            )
            for name, step in pipeline.steps.items()
        }
        self._scripts = scripts
        self._reader = reader
        self._store = store
        self._platform = platform
        self._forced = frozenset(forced)

    def plan(
        self,
        known: Mapping[str, Outputs] | None = None,
        only: Collection[str] | None = None,
    ) -> Iterator[StepPlan]:
        """Plan steps in order, each as far as the earlier ones are cached.

        Args:
            known: Outputs that are to be taken for those of these steps.
            only: The steps; None for all.
        """
        outputs: dict[str, Outputs] = dict(known or {})
        for name in self.order:
            if only is not None and name not in only:
                continue
            plan = self.step(name, outputs)
            if plan.state == "cached":
                outputs.setdefault(name, plan.outputs)
            yield plan

    def upstream(self, name: str) -> frozenset[str]:
        """Give the steps whose outputs a step reads."""
        return self._upstream[name]

    def downstream(self, *names: str) -> set[str]:
        """Give steps, and those that read what they give, over any others."""
        found = set(names)
        for one in self.order:
            if self.upstream(one) & found:
                found.add(one)
        return found

    def above(self, *names: str) -> set[str]:
        """Give steps, and those that they read from, over any others."""
        found = set(names)
        for one in reversed(self.order):
            if one in found:
                found |= self.upstream(one)
        return found

    def content(self, source: JobInput) -> Content:
        """Give what an input is made of."""
        return self._reader.content(source)

    def code(self, name: str) -> StepCode:
        """Give what a step runs.

        Raises:
            UserError: There is no such script.
        """
        return self._scripts.code(self._task, self.pipeline.steps[name].script)

    def is_forced(self, name: str) -> bool:
        """Whether a step runs whatever is cached."""
        return name in self._forced

    def step(self, name: str, upstream: Mapping[str, Outputs]) -> StepPlan:
        """Plan one step.

        Args:
            name: The step.
            upstream: Outputs of the earlier steps, as far as they are known.

        Raises:
            UserError: A script, an input or a declared variable is missing.
        """
        step = self.pipeline.steps[name]
        code = self.code(name)
        inputs: dict[str, JobInput] = {}
        waits_for = []
        for input_name, source in sorted(step.inputs.items()):
            if isinstance(source, FromStep):
                if source.step not in upstream:
                    waits_for.append(source.step)
                    continue
                inputs[input_name] = self._from_step(input_name, source, upstream)
            else:
                inputs[input_name] = self._reader.read(
                    f"{name}.inputs.{input_name}", input_name, source
                )
        if waits_for:
            names = ", ".join(sorted(set(waits_for)))
            return StepPlan(name, "waits", f"what {names} will give", code)
        variables = _variables(step)
        if step.map is not None:
            return self._mapped(name, step, code, inputs, variables)
        arguments = self._arguments(step, inputs)
        document = self._document(name, step, code, arguments, variables, inputs)
        key = key_of(document)
        plan = StepPlan(
            name, "runs", "", code, key, document, arguments, variables, inputs
        )
        return self._settled(plan)

    def _settled(self, plan: StepPlan) -> StepPlan:
        """Look whether there is a record, and if not, why."""
        assert plan.key is not None
        if plan.name in self._forced:
            return replace(plan, reason="it is forced to")
        record = self._store.record(plan.code.task, plan.name, plan.key)
        if record is None:
            return replace(plan, reason=self._reason(plan))
        if self._store.missing(references(record)):
            return replace(plan, reason="the store has lost an output of it")
        return replace(plan, state="cached", outputs=record["outputs"])

    def _reason(self, plan: StepPlan) -> str:
        records = self._store.records(plan.code.task, plan.name, _CONSIDERED)
        nearest = nearest_record(records, plan.document)
        if nearest is None:
            return "it has never run"
        found = [str(difference) for difference in nearest[1]]
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        return "; ".join(found[:_NAMED]) + more

    def _mapped(
        self,
        name: str,
        step: Step,
        code: StepCode,
        inputs: dict[str, JobInput],
        variables: dict[str, str],
    ) -> StepPlan:
        assert step.map is not None
        mapped = inputs[step.map]
        arguments = self._arguments(step, inputs)
        document = self._document(name, step, code, arguments, variables, inputs)
        plan = StepPlan(
            name,
            "runs",
            "",
            code,
            key_of(document),
            document,
            arguments,
            variables,
            inputs,
        )
        plan = self._settled(plan)
        if plan.state == "cached":
            return plan
        content = self._reader.content(mapped)
        if not mapped.reference.startswith("tree:"):
            raise UserError(f"{name}.map: {step.map} is a file; it takes a folder")
        items = tuple(self._items(plan, step, inputs, content))
        ran = sum(item.outputs is None for item in items)
        reason = f"{ran:,} of {len(items):,} items: {plan.reason}"
        return replace(plan, items=items, reason=reason)

    def _items(
        self,
        plan: StepPlan,
        step: Step,
        inputs: dict[str, JobInput],
        content: Content,
    ) -> Iterator[ItemPlan]:
        """Plan each item; what they share is one document, whose key they have."""
        assert step.map is not None
        shared = self.shared_document(plan)
        shared_key = key_of(shared)
        store, records = self._store, items_of(plan.name)
        forced = plan.name in self._forced
        there = set() if forced else store.keys(plan.code.task, records)
        parts = content.items()
        found: dict[str, Any] = {}
        documents = {
            item: {
                "format": shared["format"],
                "shared": shared_key,
                "item": item,
                "input": part.reference,
            }
            for item, part in parts.items()
        }
        keys = {item: key_of(document) for item, document in documents.items()}
        known = [item for item, key in keys.items() if key in there]
        read = in_parallel(
            lambda item: store.record(plan.code.task, records, keys[item]),
            known,
            store.objects.workers,
        )
        for item, record in zip(known, read):
            if record is not None:
                found[item] = record["outputs"]
        wanted = {
            o["reference"] for outputs in found.values() for o in outputs.values()
        }
        lost = store.missing(sorted(wanted)) if wanted else set()
        for item, part in parts.items():
            outputs = found.get(item)
            if outputs and any(o["reference"] in lost for o in outputs.values()):
                outputs = None
            own = {**inputs, step.map: _item_input(inputs[step.map], item, part)}
            yield ItemPlan(
                item,
                keys[item],
                documents[item],
                self._arguments(step, own),
                own,
                outputs,
            )

    def shared_document(self, plan: StepPlan) -> dict[str, Any]:
        """Give what all items of a step that maps depend on."""
        mapped = self.pipeline.steps[plan.name].map
        assert mapped is not None
        inputs = {k: v for k, v in plan.document["inputs"].items() if k != mapped}
        return {**plan.document, "inputs": inputs}

    def _from_step(
        self, name: str, source: FromStep, upstream: Mapping[str, Outputs]
    ) -> JobInput:
        reference = upstream[source.step][source.output]["reference"]
        path = self.pipeline.steps[source.step].outputs[source.output]
        return JobInput(reference, place_of(name, reference, path))

    def _arguments(self, step: Step, inputs: Mapping[str, JobInput]) -> tuple[str, ...]:
        places = {name: one.place for name, one in inputs.items()}
        outputs = {name: f"outputs/{path}" for name, path in step.outputs.items()}
        return tuple(command_arguments(step, self.pipeline.params, places, outputs))

    def _document(
        self,
        name: str,
        step: Step,
        code: StepCode,
        arguments: tuple[str, ...],
        variables: Mapping[str, str],
        inputs: Mapping[str, JobInput],
    ) -> dict[str, Any]:
        return step_document(
            name,
            code,
            self._platform,
            step.portable,
            arguments,
            step.resources.processes,
            variables,
            {input_name: one.reference for input_name, one in inputs.items()},
            step.outputs,
            step.map,
        )


def place_of(name: str, reference: str, path: str) -> str:
    """Say where a command finds an input: a file keeps the suffix that it has."""
    is_folder = reference.startswith("tree:")
    return f"inputs/{name}{'' if is_folder else PurePosixPath(path).suffix}"


def _item_input(mapped: JobInput, item: str, part: Content) -> JobInput:
    path = None if mapped.path is None else f"{mapped.path}/{item}"
    return JobInput(part.reference, f"{mapped.place}/{item}", path)


def _variables(step: Step) -> dict[str, str]:
    """Give the declared environment variables' values: stated, or the caller's."""
    found = {}
    for variable, value in sorted(step.env.items()):
        given = os.environ.get(variable) if value is None else value
        if given is not None:
            found[variable] = given
    return found
