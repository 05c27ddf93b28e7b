"""``./strata exec``: run a task's script in the task's environment."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.commands.in_environment import parser, split, surround


def main(arguments: Sequence[str]) -> None:
    """Run a script; this process becomes it.

    Raises:
        UserError: The request is wrong, or there is no Docker.
        RunError: The environment or the image cannot be made.
    """
    own, of_script = split(arguments)
    described = parser(
        "strata exec",
        "Run a task's script in the task's environment: exactly the locked packages "
        "and the files that the task reaches. It runs in a folder that shows data/ "
        "and outputs/.",
        "./strata exec digit_recognition train -- --epochs 5",
    )
    described.add_argument("script", metavar="SCRIPT", help="a script of the task")
    args = described.parse_args(own)
    surroundings = surround(args)
    module = surroundings.task.module(args.script)
    surroundings.become(["python", "-m", module, *of_script])
