"""Whether a module that a command line names is there to be started."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable
from functools import lru_cache

from orchestration.checks.look import Look
from orchestration.locks import canonicalize_name
from orchestration.names import nearest

# They come with every environment.
_INSTALLERS = frozenset({"ensurepip", "pip", "venv"})
_LOCKED = re.compile(r"(?m)^([A-Za-z0-9][A-Za-z0-9._-]*)==")
_ROOTS = ("src/", "")


def module_path(module: str, files: Collection[str]) -> str | None:
    """Give the file that ``python -m`` runs for a module, if it is among some files."""
    inside = module.replace(".", "/")
    for root in _ROOTS:
        for path in (f"{root}{inside}.py", f"{root}{inside}/__main__.py"):
            if path in files:
                return path
    return None


def unknown_module(
    module: str, files: Collection[str], packages: Collection[str]
) -> str | None:
    """Name a module that cannot be started, with the nearest one; None if it can.

    Args:
        module: The module.
        files: The files that there are where it is started.
        packages: Canonical names of the packages that there are.
    """
    if module_path(module, files) is not None:
        return None
    first = module.partition(".")[0]
    if first in sys.stdlib_module_names or first in _INSTALLERS:
        return None
    known = modules_of(files)
    if first not in {one.partition(".")[0] for one in known}:
        if canonicalize_name(first) in packages:
            return None
    return f"no module {module}{nearest(module, known)}"


def modules_of(files: Iterable[str]) -> list[str]:
    """Name the modules that some files are."""
    return sorted(
        file.removeprefix("src/").removesuffix(".py").replace("/", ".")
        for file in files
        if file.endswith(".py")
    )


def packages_of(look: Look) -> frozenset[str]:
    """Give the canonical names of all packages that the tree's locks have."""
    locks = sorted(f for f in look.tree.files if f.endswith(".lock"))
    return _locked_in(tuple(look.text(lock) for lock in locks))


@lru_cache(maxsize=8)
def _locked_in(locks: tuple[str, ...]) -> frozenset[str]:
    return frozenset(
        canonicalize_name(name) for text in locks for name in _LOCKED.findall(text)
    )
