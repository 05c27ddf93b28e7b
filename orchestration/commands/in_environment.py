"""What exec, shell and notebook share: where they work, on the host or in the image."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.command_line import Parser, warn
from common.errors import UserError
from orchestration.checkout import Checkout
from orchestration.environments import provide_environment
from orchestration.images.building import prepare_builder
from orchestration.images.engine import Engine
from orchestration.screen import Screen
from orchestration.target_graph import read_tree
from orchestration.tasks import Task, choose_tasks, find_tasks
from orchestration.workspaces import provide_workspace


@dataclass(frozen=True)
class Surroundings:
    """Where a task's commands run.

    Attributes:
        task: The task.
        folder: The working folder: the task's closure, and the folders that it shows.
        variables: Environment variables of the commands, beside the user's own.
        prefix: What goes before a command, such as ``docker run ...``.
    """

    task: Task
    folder: Path
    variables: Mapping[str, str]
    prefix: tuple[str, ...] = ()

    def command(self, words: Sequence[str]) -> list[str]:
        """Spell a command so that it runs here."""
        return [*self.prefix, *words]

    def become(self, words: Sequence[str]) -> None:
        """Replace this process by a command that runs here.

        Raises:
            UserError: There is no such command.
        """
        os.chdir(self.folder)
        os.environ.update(self.variables)
        command = self.command(words)
        try:
            os.execvp(command[0], command)
        except FileNotFoundError:
            raise UserError(f"there is no {command[0]} on PATH") from None


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate a command's own arguments from those after ``--``."""
    words = list(arguments)
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def parser(name: str, description: str, example: str) -> Parser:
    """Make a parser with the flags that the three commands have in common."""
    made = Parser(name, description, example)
    made.add_argument("task", metavar="TASK", help="a task, such as digit_recognition")
    made.add_argument(
        "--docker",
        action="store_true",
        help="in the task's image, which is built if it is missing",
    )
    made.add_argument(
        "--gpus", metavar="GPUS", help="with --docker: GPUs to pass on, such as all"
    )
    for folder in ("data", "outputs"):
        made.add_argument(
            f"--{folder}",
            type=Path,
            metavar="FOLDER",
            help=f"what {folder}/ shows; the tree's own if left out",
        )
    return made


def surround(
    args: argparse.Namespace, live: bool = False, options: Sequence[str] = ()
) -> Surroundings:
    """Provide what a task's commands run in.

    Args:
        args: What :func:`parser` has parsed.
        live: Show the files themselves, so that an edit is seen (on the host).
        options: More options for ``docker run``.

    Raises:
        UserError: The request is wrong, or there is no Docker.
        RunError: The environment or the image cannot be made.
    """
    if args.gpus is not None and not args.docker:
        raise UserError("--gpus is for --docker; on the host all GPUs are there anyway")
    checkout = Checkout.of_this_code()
    tree = read_tree(checkout)
    (task,) = choose_tasks(find_tasks(checkout.root, tree), [args.task])
    folders = {
        name: _folder(given or checkout.root / name)
        for name, given in (("data", args.data), ("outputs", args.outputs))
    }
    if not args.docker:
        environment = provide_environment(checkout.cache, task.requirements, warn)
        shown = folders
        if live and (checkout.root / "notebooks").is_dir():
            shown = {**folders, "notebooks": checkout.root / "notebooks"}
        folder = provide_workspace(checkout, tree, task.files, shown, live)
        return Surroundings(task, folder, _variables(environment, folder))
    engine = Engine()
    builder = prepare_builder(
        checkout, tree, engine, os.environ.get("STRATA_PYTHON_IMAGE")
    )
    image = builder.image(task)
    if not engine.has(image.name):
        with Screen().steps(f"building {task.name}") as tell:
            builder.build(task, tell)
    code = provide_workspace(checkout, tree, task.files, {})
    mounts = {str(code / "src"): "/opt/code/src:ro"}
    mounts |= {str(path): f"/workspace/{name}" for name, path in folders.items()}
    if live and (checkout.root / "notebooks").is_dir():
        mounts[str(checkout.root / "notebooks")] = "/workspace/notebooks"
    command = ["docker", "run", "--rm", "--init", "--interactive"]
    if sys.stdin.isatty() and sys.stdout.isatty():
        command.append("--tty")
    # What is written in the mounted folders belongs to whoever started this.
    command += ["--user", f"{os.getuid()}:{os.getgid()}", "--env", "HOME=/tmp"]
    if args.gpus is not None:
        command += ["--gpus", args.gpus]
    for source, place in mounts.items():
        command += ["--volume", f"{source}:{place}"]
    return Surroundings(task, code, {}, (*command, *options, image.name))


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{path} is a file; it takes a folder") from None
    return path.resolve()


def _variables(environment: Path, folder: Path) -> dict[str, str]:
    return {
        "PATH": os.pathsep.join(
            [str(environment / "bin"), os.environ.get("PATH", os.defpath)]
        ),
        "PYTHONPATH": str(folder / "src"),
        # The folder serves more than one command; nothing is left in it.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "VIRTUAL_ENV": str(environment),
    }
