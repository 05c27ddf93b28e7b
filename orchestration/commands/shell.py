"""``./strata shell``: open a shell in a task's environment."""

from __future__ import annotations

import os
from collections.abc import Sequence

from orchestration.commands.in_environment import parser, surround


def main(arguments: Sequence[str]) -> None:
    """Open a shell; this process becomes it.

    Raises:
        UserError: The request is wrong, or there is no Docker.
        RunError: The environment or the image cannot be made.
    """
    args = parser(
        "strata shell",
        "Open a shell in a task's environment, in a folder with the files that the "
        "task reaches, data/ and outputs/. On the host these are the tree's own files.",
        "./strata shell digit_recognition",
    ).parse_args(arguments)
    surroundings = surround(args, live=True)
    shell = "bash" if args.docker else os.environ.get("SHELL", "sh")
    surroundings.become([shell])
