"""What has to be right in a pipeline beyond the form of each part."""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from common.errors import UserError
from orchestration.names import nearest
from orchestration.pipelines.references import (
    Reference,
    parse_text,
    references,
    sole_reference,
)
from orchestration.pipelines.spec import (
    FromDataset,
    FromPath,
    FromStep,
    Input,
    Pipeline,
    Step,
)

if TYPE_CHECKING:
    from orchestration.pipelines.spec import Value

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Problem:
    """Something that is wrong in a pipeline.

    Attributes:
        where: The place in the file, such as ``steps.train.args``.
        message: What is wrong there, and what is nearest to it.
        severity: error, or warning for what does no harm.
    """

    where: str
    message: str
    severity: str = ERROR


def check_pipeline(
    pipeline: Pipeline, unknown_steps: Collection[str] = ()
) -> list[Problem]:
    """Find everything that is wrong in a pipeline whose parts have the right form.

    Args:
        pipeline: The pipeline.
        unknown_steps: Steps that could not be read; what refers to them is not judged.

    Returns:
        The problems, in the order of the file.
    """
    return [
        *_steps_of_one_name(pipeline),
        *_cycles(pipeline),
        *(
            problem
            for name, step in pipeline.steps.items()
            for problem in _step(pipeline, name, step, unknown_steps)
        ),
        *(
            problem
            for name, profile in pipeline.profiles.items()
            for key, given in profile.inputs.items()
            if given is not None
            for problem in _source(
                pipeline, f"profiles.{name}.inputs.{key}", given, unknown_steps
            )
        ),
        *_deliveries(pipeline, unknown_steps),
        *([] if unknown_steps else _unused(pipeline)),
    ]


def order(pipeline: Pipeline) -> list[str]:
    """Sort the steps so that each comes after those that it needs.

    Of those that could come next, it is always the first one in the file.

    Raises:
        UserError: Steps need each other.
    """
    found = _sorted_steps(_needed(pipeline))
    if len(found) < len(pipeline.steps):
        raise UserError("; ".join(problem.message for problem in _cycles(pipeline)))
    return found


def _sorted_steps(needed: Mapping[str, Sequence[str]]) -> list[str]:
    """Sort steps, without those that need each other and what needs these."""
    names = list(needed)
    position = {name: number for number, name in enumerate(names)}
    users: dict[str, list[str]] = {name: [] for name in names}
    for name, before in needed.items():
        for one in before:
            users[one].append(name)
    missing = {name: len(before) for name, before in needed.items()}
    ready = [position[name] for name in names if not missing[name]]
    found = []
    while ready:
        name = names[heapq.heappop(ready)]
        found.append(name)
        for user in users[name]:
            missing[user] -= 1
            if not missing[user]:
                heapq.heappush(ready, position[user])
    return found


def _needed(pipeline: Pipeline) -> dict[str, list[str]]:
    """Name the steps that each step needs, each once, in the order of its inputs."""
    steps = pipeline.steps
    return {
        name: list(
            dict.fromkeys(
                given.step
                for given in step.inputs.values()
                if isinstance(given, FromStep) and given.step in steps
            )
        )
        for name, step in steps.items()
    }


def _cycles(pipeline: Pipeline) -> Iterator[Problem]:
    """Name a cycle for each group of steps that need each other."""
    needed = _needed(pipeline)
    # To search from every step takes as long as the square of their number.
    reported = set(_sorted_steps(needed))
    for name in needed:
        if name in reported:
            continue
        cycle = _cycle_through(name, needed)
        if cycle and not reported & set(cycle):
            path = " -> ".join([*cycle, cycle[0]])
            yield Problem(f"steps.{name}", f"the steps need each other: {path}")
        reported.update(cycle)


def _cycle_through(start: str, needed: Mapping[str, Sequence[str]]) -> list[str]:
    """Give a shortest cycle through a step, in the order in which steps would run."""
    came_from: dict[str, str] = {}
    queue = [start]
    for name in queue:
        for before in needed[name]:
            if before == start:
                # Backwards from here, each step is needed by the next.
                cycle = [name]
                while cycle[-1] != start:
                    cycle.append(came_from[cycle[-1]])
                return [start, *cycle[:-1]]
            if before not in came_from:
                came_from[before] = name
                queue.append(before)
    return []


def _steps_of_one_name(pipeline: Pipeline) -> Iterator[Problem]:
    yield from _of_one_name("steps", pipeline.steps)


def _of_one_name(where: str, names: Collection[str]) -> Iterator[Problem]:
    """Find names that are one where an engine has but one of - and _ (and no dot)."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(re.sub("[-.]", "_", name).lower(), name)
        if other != name:
            yield Problem(
                f"{where}.{name}",
                f"{other} and {name} are one name where - and _ are the same",
            )


def _step(
    pipeline: Pipeline, name: str, step: Step, unknown_steps: Collection[str]
) -> Iterator[Problem]:
    where = f"steps.{name}"
    for key, given in step.inputs.items():
        yield from _source(pipeline, f"{where}.inputs.{key}", given, unknown_steps)
    yield from _of_one_name(f"{where}.inputs", step.inputs)
    yield from _of_one_name(f"{where}.outputs", step.outputs)
    mentioned: set[Reference] = set()
    arguments = [(f"{where}.args.{flag}", value) for flag, value in step.args.items()]
    arguments += [
        (f"{where}.positional.{i}", value) for i, value in enumerate(step.positional)
    ]
    sound = True
    for place, value in arguments:
        try:
            found = references(value)
        except ValueError as error:
            yield Problem(place, str(error))
            sound = False
            continue
        mentioned.update(found)
        for reference in dict.fromkeys(found):
            yield from _reference(pipeline, step, place, reference)
        yield from _embedded(pipeline, place, value)
    if sound:
        yield from _not_mentioned(where, step, mentioned)
    yield from _same_paths(where, step)
    if step.map is None:
        if step.shards > 1:
            yield Problem(f"{where}.shards", "only a step with map has shards")
    elif step.map not in step.inputs:
        known = list(step.inputs)
        yield Problem(
            f"{where}.map",
            f"the step has no input {step.map}{nearest(step.map, known)}",
        )


def _source(
    pipeline: Pipeline, where: str, given: Input, unknown_steps: Collection[str]
) -> Iterator[Problem]:
    if isinstance(given, FromDataset) and given.dataset not in pipeline.datasets:
        hint = nearest(given.dataset, list(pipeline.datasets))
        yield Problem(where, f"there is no dataset {given.dataset}{hint}")
    if not isinstance(given, FromStep) or given.step in unknown_steps:
        return
    step = pipeline.steps.get(given.step)
    if step is None:
        hint = nearest(given.step, [*pipeline.steps, *unknown_steps])
        path = f"{{path: {given.step}/{given.output}}}"
        hint = hint or f" (what the tree holds is written {path})"
        yield Problem(where, f"there is no step {given.step}{hint}")
    elif given.output not in step.outputs:
        hint = nearest(given.output, list(step.outputs))
        yield Problem(where, f"step {given.step} has no output {given.output}{hint}")


def _reference(
    pipeline: Pipeline, step: Step, place: str, reference: Reference
) -> Iterator[Problem]:
    if not reference.name:
        if not step.outputs:
            yield Problem(place, "the step declares no outputs")
        return
    names: dict[str, Collection[str]] = {
        "params": pipeline.params,
        "inputs": step.inputs,
        "outputs": step.outputs,
    }
    known = names[reference.kind]
    if reference.name not in known:
        one = reference.kind.removesuffix("s").replace("param", "parameter")
        of = "there is no" if reference.kind == "params" else "the step has no"
        hint = nearest(reference.name, list(known))
        yield Problem(place, f"{of} {one} {reference.name}{hint}")


def _embedded(pipeline: Pipeline, place: str, value: Value) -> Iterator[Problem]:
    """Find parameters that stand within a text and are none."""
    for text in value if isinstance(value, list) else [value]:
        if not isinstance(text, str) or sole_reference(text) is not None:
            continue
        for part in parse_text(text):
            if not isinstance(part, Reference) or part.kind != "params":
                continue
            inner = pipeline.params.get(part.name, "")
            if inner is None or isinstance(inner, list):
                kind = "null" if inner is None else "a list"
                yield Problem(place, f"{part} is {kind}, which cannot stand in a text")


def _not_mentioned(
    where: str, step: Step, mentioned: Collection[Reference]
) -> Iterator[Problem]:
    """Find inputs and outputs that the script is never told of."""
    for name in step.inputs:
        if Reference("inputs", name) not in mentioned:
            yield Problem(
                f"{where}.inputs.{name}",
                f"no argument has ${{inputs.{name}}}: the script is not told where "
                "it is",
            )
    if Reference("outputs", "") in mentioned:
        return
    for name in step.outputs:
        if Reference("outputs", name) not in mentioned:
            yield Problem(
                f"{where}.outputs.{name}",
                f"no argument has ${{outputs.{name}}}: the script is not told where "
                "to write it",
            )


def _deliveries(
    pipeline: Pipeline, unknown_steps: Collection[str]
) -> Iterator[Problem]:
    addresses = sorted(pipeline.deliver)
    paths = {
        source.path
        for step in pipeline.steps.values()
        for source in step.inputs.values()
        if isinstance(source, FromPath)
    }
    read = sorted(
        paths | {one.address.rstrip("/") for one in pipeline.datasets.values()}
    )
    for address, given in pipeline.deliver.items():
        where = f"deliver.{address}"
        yield from _source(pipeline, where, given, unknown_steps)
        for other in addresses:
            if address.startswith(f"{other}/"):
                yield Problem(where, f"it lies in {other}, where something else goes")
        for one in read:
            if f"{address}/".startswith(f"{one}/") or one.startswith(f"{address}/"):
                yield Problem(where, f"the pipeline reads {one}; deliver elsewhere")


def _same_paths(where: str, step: Step) -> Iterator[Problem]:
    outputs = list(step.outputs.items())
    for number, (name, path) in enumerate(outputs):
        for other, earlier in outputs[:number]:
            if path == earlier:
                problem = f"{other} and {name} are both {path}"
            elif PurePosixPath(path).is_relative_to(earlier):
                problem = f"{path} lies in {earlier}, which is {other}"
            elif PurePosixPath(earlier).is_relative_to(path):
                problem = f"{earlier}, which is {other}, lies in {path}"
            else:
                continue
            yield Problem(f"{where}.outputs.{name}", problem)


def _unused(pipeline: Pipeline) -> Iterator[Problem]:
    """Find parameters and datasets that nothing takes."""
    params: set[str] = set()
    sources: list[Input | None] = []
    for step in pipeline.steps.values():
        sources += step.inputs.values()
        for value in [*step.args.values(), *step.positional]:
            try:
                found = references(value)
            except ValueError:
                return  # what it refers to is not known
            params |= {one.name for one in found if one.kind == "params"}
    for profile in pipeline.profiles.values():
        sources += profile.inputs.values()
    datasets = {one.dataset for one in sources if isinstance(one, FromDataset)}
    for name in pipeline.params:
        if name not in params:
            yield Problem(f"params.{name}", "no argument takes it", WARNING)
    for name in pipeline.datasets:
        if name not in datasets:
            yield Problem(f"datasets.{name}", "no step takes it", WARNING)
