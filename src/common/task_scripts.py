"""What the scripts of all tasks have in common on their command lines.

Free of heavy imports, so that ``--help`` and a wrong flag are answered at once.
"""

from __future__ import annotations

import argparse
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

from common.command_line import one_of, say

# Named here and not where they are used, so that --help does not wait for torch.
DEVICES = ("auto", "cpu", "cuda")

_WIDTH, _COLUMN = 79, 15


@dataclass(frozen=True)
class TaskScripts:
    """The scripts of one task.

    Attributes:
        task: The task's folder below src/domains.
    """

    task: str

    @property
    def outputs(self) -> Path:
        """Where they write unless they are told otherwise, a folder for each."""
        return Path("outputs", self.task)

    def command(self, target: str, *arguments: str) -> str:
        """Spell the command that runs one of them."""
        words = ["./pants", "run", f"src/domains/{self.task}:{target}"]
        return shlex.join([*words, "--", *arguments] if arguments else words)

    def say_next(self, target: str, *arguments: str) -> None:
        """Propose the next command on the screen."""
        say(f"{'Next':<{_COLUMN}}{self.command(target, *arguments)}")


def say_done(title: str, result: str, output_path: Path) -> None:
    """Say on the screen what came out and where it is."""
    say(f"\n{title:<{_COLUMN}}{result}")
    say(f"{'Written to':<{_COLUMN}}{output_path}")
    names = ", ".join(sorted(path.name for path in output_path.iterdir()))
    for line in textwrap.wrap(names, _WIDTH - _COLUMN):
        say(f"{'':<{_COLUMN}}{line}")


def add_output_argument(parser: argparse.ArgumentParser, default: Path) -> None:
    """Add --output_path."""
    parser.add_argument(
        "--output_path",
        type=Path,
        default=default,
        metavar="FOLDER",
        help="where everything is written; an earlier run's folder is replaced",
    )


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Add --device."""
    parser.add_argument(
        "--device",
        type=one_of(*DEVICES),
        default="auto",
        metavar="{auto,cpu,cuda}",
        help="where to compute; auto takes a GPU where there is one",
    )


def as_json(arguments: argparse.Namespace) -> dict[str, object]:
    """Give parsed arguments as JSON values, by name."""
    return {name: _json(value) for name, value in sorted(vars(arguments).items())}


def _json(value: object) -> object:
    if isinstance(value, list):
        return [_json(item) for item in value]
    return str(value) if isinstance(value, Path) else value
