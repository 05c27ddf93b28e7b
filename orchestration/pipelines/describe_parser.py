"""Print the arguments that a module's argparse parser takes, as JSON, and end there.

    python -P describe_parser.py MODULE

A program of its own, with nothing but Python's library, because it runs in a task's
environment, with the task's code on PYTHONPATH. The module runs as it would as a
program, up to where it parses its arguments.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
import warnings
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import argparse


def main() -> None:
    """Describe the parser of the module that is named, or say in a line why not."""
    module = sys.argv[1]
    # Whatever the module prints goes elsewhere.
    answer = os.dup(1)
    os.dup2(2, 1)

    def describe(parser: argparse.ArgumentParser, is_open: bool) -> NoReturn:
        os.write(answer, json.dumps(_described(parser, is_open)).encode())
        # Nothing that the module would do on its way out.
        os._exit(0)

    def parse_args(
        parser: argparse.ArgumentParser, *given: object, **named: object
    ) -> NoReturn:
        describe(parser, is_open=False)

    def parse_known_args(
        parser: argparse.ArgumentParser, *given: object, **named: object
    ) -> NoReturn:
        # A parser's own parse_args, which may refuse what is left; or a script that
        # has a use for what is left.
        caller = sys._getframe(1).f_code.co_name
        describe(parser, is_open=caller != "parse_args")

    def patch(argparse_module: Any) -> None:
        parser = argparse_module.ArgumentParser
        parser.parse_args, parser.parse_known_args = parse_args, parse_known_args

    if "argparse" in sys.modules:
        patch(sys.modules["argparse"])
    else:
        sys.meta_path.insert(0, _WhenImported("argparse", patch))
    try:
        importlib.import_module(module)
        # Without a parser it would go on to its work. Nothing here has imported it.
        if "argparse" not in sys.modules:
            _fail("it has no argparse parser")
        sys.modules.pop(module)
        sys.argv = [module]
        warnings.simplefilter("ignore")
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except (Exception, SystemExit) as error:
        _fail(f"{type(error).__name__}: {error}")
    _fail("it ended without parsing arguments")


class _WhenImported(MetaPathFinder, Loader):
    """Changes a module as soon as somebody imports it."""

    def __init__(self, name: str, change: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._change = change

    def find_spec(
        self, fullname: str, path: object, target: object = None
    ) -> ModuleSpec | None:
        """Find the module, and nothing else."""
        return ModuleSpec(fullname, self) if fullname == self._name else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Import the module as it would have been, and change it."""
        sys.meta_path.remove(self)
        module = importlib.import_module(spec.name)
        self._change(module)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: it has been imported."""


def _fail(problem: str) -> NoReturn:
    os.write(2, f"\n{' '.join(problem.split())}\n".encode())
    os._exit(1)


def _described(parser: argparse.ArgumentParser, is_open: bool) -> dict[str, object]:
    import argparse

    flags: list[dict[str, object]] = []
    positionals: list[dict[str, object]] = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._VersionAction):
            continue
        if isinstance(action, argparse._SubParsersAction):
            is_open = True  # a command's own flags are not known here
        described: dict[str, object] = {
            "names": list(action.option_strings) or [action.dest],
            "nargs": action.nargs,
            "required": action.required,
            "choices": _choices(action),
        }
        (flags if action.option_strings else positionals).append(described)
    return {"flags": flags, "positionals": positionals, "open": is_open}


def _choices(action: argparse.Action) -> list[str] | None:
    choices = action.choices
    if choices is None:
        choices = getattr(action.type, "choices", None)
    return None if choices is None else [str(choice) for choice in choices]


if __name__ == "__main__":
    main()
