"""The command line ``./strata``: what there is, and the command that is asked for."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence

from common.command_line import run, say
from common.errors import UserError
from orchestration.names import nearest

# Named here and imported when asked for, so that --help is there at once.
COMMANDS = {
    "plan": "say what of a pipeline is cached, what would run, and why",
    "run": "run a pipeline; what has not changed is taken from the store",
    "follow": "follow a run that was submitted to a platform",
    "why": "say what differs, for a step that would run",
    "dag": "draw a pipeline",
    "runs": "list the runs that there were",
    "show": "show what a run did",
    "logs": "print what a step wrote",
    "get": "write an output of a run as a file or folder",
    "check": "find what is wrong in the tree's specifications, offline",
    "affected": "say which tasks, pipelines and images a change affects, and why",
    "image": "build the images of tasks, and push them",
    "exec": "run a task's script in the task's environment",
    "shell": "open a shell in a task's environment",
    "notebook": "open JupyterLab on a task's environment",
    "job": "submit a task's job to Azure Machine Learning",
    "render": "write a pipeline as Argo or Azure Machine Learning takes it",
    "azure": "set up a stage's workspace, and say what it lacks",
    "schema": "print the JSON Schema of pipeline.yaml, for editors",
    "store": "see what is stored, check it, and copy or remove it",
    "hooks": "have git build changed images after each commit",
}
_HELP = """usage: strata [--help] COMMAND ...

Pipelines whose steps run only when something that they depend on has changed;
experiments as images, and their environments at hand.

{commands}

strata COMMAND --help says more.

example:
  ./strata run digit_recognition --profile toy"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    Args:
        arguments: The command and its arguments; None takes those of the process.

    Raises:
        UserError: The request is wrong.
        RunError: The work failed.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        say(_help())
        if not words:
            _say_tasks()
        return
    name = words[0]
    if name not in COMMANDS:
        known = list(COMMANDS)
        raise UserError(
            f"there is no command {name}{nearest(name, known)}; --help lists all"
        )
    # What is imported stays: to look for garbage in it takes a tenth of the start.
    gc.disable()
    command = importlib.import_module(f"orchestration.commands.{name}")
    gc.freeze()
    gc.enable()
    command.main(words[1:])


def _help() -> str:
    width = max(map(len, COMMANDS)) + 4
    lines = [f"  {name:<{width}}{text}" for name, text in COMMANDS.items()]
    return _HELP.format(commands="\n".join(lines))


def _say_tasks() -> None:
    from orchestration.checkout import Checkout
    from orchestration.target_graph import read_tree
    from orchestration.tasks import find_tasks

    checkout = Checkout.of_this_code()
    say("\ntasks and their scripts:")
    for task in find_tasks(checkout.root, read_tree(checkout)).values():
        say(f"  {task.name}  {' '.join(sorted(task.script_names))}")


if __name__ == "__main__":
    sys.exit(run("strata", main))
