"""``./strata image``: build the images of tasks, and push them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.filesize import decimal

from common.command_line import Parser, positive_int, say, warn
from common.errors import UserError
from orchestration.changes import affected_since, describe_images
from orchestration.checkout import Checkout
from orchestration.images import publishing
from orchestration.images.building import Builder, prepare_builder
from orchestration.images.engine import Engine
from orchestration.images.registry import Registry
from orchestration.screen import Screen
from orchestration.target_graph import read_tree
from orchestration.tasks import Task, choose_tasks, find_tasks


@dataclass(frozen=True)
class Result:
    """What became of a task's image.

    Attributes:
        task: The task's name.
        image: The image's name and tag, with the registry's address where one is given.
        state: built, pushed, or unchanged.
        digest: The image as ``name@sha256:...``, if it is in the registry.
        bytes_pushed: The size of the layers that were transferred, compressed.
        tags: What else names it in the registry.
    """

    task: str
    image: str
    state: str
    digest: str | None
    bytes_pushed: int
    tags: tuple[str, ...]


def main(arguments: Sequence[str]) -> None:
    """Build the images that are missing, push them, and say what they are.

    Raises:
        UserError: The request is wrong, or there is no Docker.
        RunError: A build or a push failed.
    """
    args = _parser().parse_args(arguments)
    registry = Registry(args.registry) if args.registry else None
    if args.push and registry is None:
        raise UserError(
            "--push needs a registry: --registry HOST/PATH, or STRATA_REGISTRY"
        )
    checkout = Checkout.of_this_code()
    tree = read_tree(checkout)
    tasks = choose_tasks(find_tasks(checkout.root, tree), args.tasks)
    if args.changed_since is not None:
        affected = affected_since(
            checkout, tree, args.changed_since, describe_images, warn
        )
        names = {one.name for one in affected["images"]}
        tasks = [task for task in tasks if task.name in names]
    engine = Engine(args.stall_timeout)
    python_image = args.python_image or os.environ.get("STRATA_PYTHON_IMAGE")
    builder = prepare_builder(checkout, tree, engine, python_image)
    screen = Screen()
    results = [_provide(builder, task, registry, args.push, screen) for task in tasks]
    if args.json:
        say(json.dumps([asdict(result) for result in results], indent=2))
    else:
        _say_table(results)


def _provide(
    builder: Builder, task: Task, registry: Registry | None, push: bool, screen: Screen
) -> Result:
    image = builder.image(task)
    digest = registry.digest(image.repository, image.tag) if registry else None
    state, moved = "unchanged", 0
    if digest is None and not builder.engine.has(image.name):
        with screen.steps(f"building {task.name}") as tell:
            builder.build(task, tell)
        state = "built"
    if registry is not None and push and digest is None:
        with screen.transfer(f"pushing {task.name}") as show:
            digest, moved = publishing.push_image(
                builder.engine, registry, image, show, warn
            )
        state = "pushed"
    tags: list[str] = []
    if registry is not None and push and digest is not None:
        tags = _tags(builder, task)
        publishing.add_tags(registry, image, digest, tags)
    name = registry.full_name(image.repository) if registry else image.repository
    return Result(
        task.name,
        f"{name}:{image.tag}",
        state,
        f"{name}@{digest}" if digest else None,
        moved,
        tuple(tags),
    )


def _tags(builder: Builder, task: Task) -> list[str]:
    """Give the tags for the branch and, where nothing was changed since, the commit."""
    checkout = builder.checkout
    branch, commit = checkout.branch(), checkout.commit()
    tags = [publishing.tag_of_branch(branch)] if branch else []
    if commit is not None and not checkout.has_changes(builder.made_from(task)):
        tags.append(commit)
    return tags


def _say_table(results: Sequence[Result]) -> None:
    if not results:
        say("no image is affected")
    width = max((len(result.task) for result in results), default=0)
    for result in results:
        moved = f", {decimal(result.bytes_pushed)} moved" if result.bytes_pushed else ""
        say(f"{result.task:<{width}}  {result.state}{moved}")
        say(f"{'':<{width}}  {result.digest or result.image}")


def _parser() -> Parser:
    parser = Parser(
        "strata image",
        "Build the images of tasks, and push them. An image's tag is the digest of "
        "what it is made of; what is there under its tag is neither built nor pushed.",
        "./strata image digit_recognition --push --registry localhost:5000",
    )
    parser.add_argument(
        "tasks", nargs="*", metavar="TASK", help="tasks; all if none is named"
    )
    parser.add_argument(
        "--push",
        action="store_true",
        help="push what the registry lacks, and tag it with the branch and the commit",
    )
    parser.add_argument(
        "--registry",
        default=os.environ.get("STRATA_REGISTRY"),
        metavar="HOST/PATH",
        help="the registry; from STRATA_REGISTRY if left out",
    )
    parser.add_argument(
        "--changed-since",
        metavar="REF",
        help="only images of which something has changed since this commit",
    )
    parser.add_argument(
        "--python-image",
        metavar="IMAGE",
        help="build on this image; from STRATA_PYTHON_IMAGE, or docker/base's own",
    )
    parser.add_argument(
        "--stall-timeout",
        type=positive_int,
        default=60,
        metavar="SECONDS",
        help="how long a push may stand still before it is tried again",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON and nothing else"
    )
    return parser
