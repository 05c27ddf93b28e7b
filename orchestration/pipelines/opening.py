"""A pipeline by its name, with the tree and the store that it works on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from common.command_line import Parser
from common.errors import UserError
from orchestration.checkout import Checkout
from orchestration.chosen_store import add_store, open_store
from orchestration.names import nearest
from orchestration.pipelines.code import Scripts
from orchestration.pipelines.inputs import InputReader
from orchestration.pipelines.keys import Platform
from orchestration.pipelines.loading import find_pipelines, load_pipeline
from orchestration.pipelines.planning import Planner
from orchestration.pipelines.spec import Pipeline
from orchestration.store.store import Store
from orchestration.target_graph import Tree, read_tree


@dataclass(frozen=True)
class Opened:
    """A pipeline, ready to be planned.

    Attributes:
        checkout: The checkout.
        tree: Its state.
        name: The pipeline's name, which is its task's.
        pipeline: The pipeline, with profile and settings applied.
        store: Where results are kept.
        scripts: The tree's scripts.
    """

    checkout: Checkout
    tree: Tree
    name: str
    pipeline: Pipeline
    store: Store
    scripts: Scripts

    def planner(self, platform: Platform, forced: Sequence[str] = ()) -> Planner:
        """Plan it for a platform.

        Raises:
            UserError: There is no such step to force.
        """
        for step in forced:
            self.check_step(step)
        return Planner(
            self.name,
            self.pipeline,
            self.scripts,
            self.reader(),
            self.store,
            platform,
            forced,
        )

    def with_store(self, store: Store) -> Opened:
        """Keep results elsewhere."""
        return replace(self, store=store)

    def reader(self) -> InputReader:
        """Give what reads its inputs."""
        return InputReader(self.checkout, self.pipeline, self.store)

    def check_step(self, step: str) -> None:
        """Make sure that there is a step of this name.

        Raises:
            UserError: There is none.
        """
        if step not in self.pipeline.steps:
            known = list(self.pipeline.steps)
            raise UserError(
                f"{self.name} has no step {step}{nearest(step, known)}; "
                f"steps: {', '.join(known)}"
            )


def pipeline_parser(name: str, description: str, example: str) -> Parser:
    """Make a parser with the arguments that say which pipeline, and with what."""
    made = Parser(name, description, example)
    made.add_argument(
        "pipeline", metavar="PIPELINE", help="a pipeline, such as digit_recognition"
    )
    made.add_argument("--profile", metavar="NAME", help="one of its profiles")
    made.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter, or STEP.ARGUMENT, with another value; any number of times",
    )
    add_store(made)
    return made


def open_pipeline(args: argparse.Namespace) -> Opened:
    """Load what :func:`pipeline_parser` has parsed.

    Raises:
        UserError: There is no such pipeline, or something is wrong in it.
    """
    checkout = Checkout.of_this_code()
    tree = read_tree(checkout)
    found = find_pipelines(checkout.root, tree.files)
    name = args.pipeline.strip("/").removeprefix("src/domains/")
    name = name.removesuffix("/pipeline.yaml").removesuffix("/pipeline.json")
    if name not in found:
        raise UserError(
            f"there is no pipeline {args.pipeline}{nearest(name, list(found))}; "
            f"pipelines: {', '.join(found) or 'none'}"
        )
    pipeline = load_pipeline(Path(found[name]), name, args.profile, args.set)
    return Opened(
        checkout,
        tree,
        name,
        pipeline,
        open_store(args.store),
        Scripts(checkout.root, tree),
    )
