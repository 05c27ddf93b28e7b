"""What a platform starts, in which order: containers that run the step launcher."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from orchestration.pipelines.checks import order
from orchestration.pipelines.spec import FromStep, Pipeline, Resources, Step

# Beyond a step's own timeout: to fetch what it reads and to store what it wrote.
_GRACE_SECONDS = 1800


@dataclass(frozen=True)
class Node:
    """One container, or as many as a step has shards.

    Attributes:
        name: Unique in the pipeline: the step's, with ``-items`` for what runs its
            items; the node of the step itself then joins their results.
        step: The step.
        shards: The values of ``--shard``, one a container; empty for one without.
        needs: The nodes that have to end well before.
        resources: What it asks for.
        seconds: When it is given up; None waits.
        variables: Declared environment variables: their values, and None for those that
            the platform has to provide.
    """

    name: str
    step: str
    shards: tuple[str, ...]
    needs: tuple[str, ...]
    resources: Resources
    seconds: int | None
    variables: tuple[tuple[str, str | None], ...]


def nodes_of(pipeline: Pipeline, without: Collection[str] = ()) -> list[Node]:
    """Lay out a pipeline for a platform.

    Args:
        pipeline: The pipeline.
        without: Steps whose results are in the store already.

    Returns:
        The nodes, each after those that it needs.
    """
    nodes = []
    for name in order(pipeline):
        if name in without:
            continue
        step = pipeline.steps[name]
        needs = tuple(
            sorted(
                {
                    source.step
                    for source in step.inputs.values()
                    if isinstance(source, FromStep) and source.step not in without
                }
            )
        )
        if step.map is not None and step.shards > 1:
            shards = tuple(f"{i}/{step.shards}" for i in range(1, step.shards + 1))
            items = _node(_free(f"{name}-items", pipeline), name, step, shards, needs)
            nodes.append(items)
            # It finds the items' results in the store.
            needs = (items.name,)
        nodes.append(_node(name, name, step, (), needs))
    return nodes


def launcher_arguments(
    node: Node, store: str, plan: str, shard: str | None, run: str | None
) -> list[str]:
    """Give the arguments of :mod:`orchestration.platforms` for a container.

    Args:
        node: What it runs.
        store: The store's address.
        plan: The plan's reference.
        shard: Its shard, or what the platform puts in its place.
        run: The run's name, or what the platform puts in its place.
    """
    arguments = ["--store", store, "--plan", plan, "--step", node.step]
    arguments += ["--shard", shard] if node.shards and shard else []
    return arguments + (["--run", run] if run else [])


def _free(name: str, pipeline: Pipeline) -> str:
    """Lengthen a name until no step has it, also where - and _ are the same."""
    taken = {step.replace("_", "-") for step in pipeline.steps}
    while name.replace("_", "-") in taken:
        name += "s"
    return name


def _node(
    name: str,
    step_name: str,
    step: Step,
    shards: tuple[str, ...],
    needs: tuple[str, ...],
) -> Node:
    seconds = None
    if step.timeout is not None and step.map is None:
        seconds = round(step.timeout * (step.retries + 1)) + _GRACE_SECONDS
    return Node(
        name,
        step_name,
        shards,
        needs,
        step.resources,
        seconds,
        tuple(sorted(step.env.items())),
    )
