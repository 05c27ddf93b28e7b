"""Locks of 3rdparty, and the part of one that some packages reach.

A lock is a requirements file as uv writes it: a package's pin, the hashes of its files,
then as comments who asked for it ("via"). The part that a closure reaches is itself a
requirements file, of pins and hashes alone, so that it changes with the packages and
with nothing else.

As a program it writes that part to standard output:

    python -m orchestration.locks 3rdparty/torch.lock NAMES_FILE...
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError

# A package's entry begins at the margin; what belongs to it is indented.
_ENTRY = re.compile(r"^[A-Za-z0-9].*(?:\n[ \t]+.*)*", re.MULTILINE)
# A requirement as the packaging specifications have it, as far as we look at it. The
# library for it takes longer to import than all of a lock to read.
_REQUIREMENT = re.compile(
    r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
    r"\s*(?:\[[A-Za-z0-9._, -]*\])?\s*(?:\(?\s*[=<>!~@].*|;.*)?",
    re.DOTALL,
)


@dataclass(frozen=True)
class LockedPackage:
    """One entry of a lock.

    Attributes:
        name: The package's canonical name.
        requirement: Its pin with the environments it is for, as in the lock.
        hashes: The hashes of its files, sorted.
        asked_by: Canonical names of the packages that need it, and inputs ("-r ...").
    """

    name: str
    requirement: str
    hashes: tuple[str, ...]
    asked_by: frozenset[str]


@dataclass(frozen=True)
class Lock:
    """A lock's packages, sorted; one may have entries for several environments."""

    path: str
    packages: tuple[LockedPackage, ...]

    def reached_from(self, names: Iterable[str]) -> Lock:
        """Take the packages of these names, those that they need, and no others.

        Args:
            names: Packages' names, in any spelling.

        Raises:
            UserError: The lock lacks one of them.
        """
        known = {package.name for package in self.packages}
        reached: set[str] = set()
        queue = sorted({canonicalize_name(name) for name in names})
        for name in queue:
            if name not in known:
                raise UserError(
                    f"{self.path} does not lock {name}; "
                    f"run 3rdparty/lock {Path(self.path).stem}"
                )
        while queue:
            name = queue.pop()
            if name not in reached:
                reached.add(name)
                queue.extend(p.name for p in self.packages if name in p.asked_by)
        return Lock(self.path, tuple(p for p in self.packages if p.name in reached))

    def requirements(self) -> str:
        """Give the packages as a requirements file with hashes, spelt one way."""
        lines = []
        for package in self.packages:
            hashes = [f"    --hash={value}" for value in package.hashes]
            lines.append(" \\\n".join([package.requirement, *hashes]) + "\n")
        return "".join(lines)


def parse_lock(path: str, text: str) -> Lock:
    """Read a lock.

    Args:
        path: Where it is, for messages.
        text: Its text.

    Raises:
        UserError: An entry is no pin with hashes.
    """
    packages = []
    for entry in _ENTRY.findall(text):
        lines = (line.strip().rstrip("\\").rstrip() for line in entry.splitlines())
        first, *rest = lines
        try:
            name = canonicalize_name(name_of(first))
        except ValueError:
            raise UserError(f"{path} is no lock: {first!r}") from None
        values = (s.removeprefix("--hash=") for s in rest if s[:7] == "--hash=")
        hashes = sorted(values)
        if "==" not in first or not hashes:
            raise UserError(f"{path}: {name} is not pinned with hashes")
        notes = (line.removeprefix("#").strip() for line in rest if line[:1] == "#")
        askers = (note.removeprefix("via").strip() for note in notes)
        asked_by = frozenset(_canonical(asker) for asker in askers if asker)
        packages.append(LockedPackage(name, first, tuple(hashes), asked_by))
    return Lock(path, tuple(sorted(packages, key=lambda p: (p.name, p.requirement))))


def name_of(requirement: str) -> str:
    """Give the name of the package that a requirement is for, as it is written.

    Raises:
        ValueError: It is no requirement.
    """
    found = _REQUIREMENT.fullmatch(requirement.strip())
    if found is None:
        raise ValueError(f"no requirement: {requirement!r}")
    return found[1]


def canonicalize_name(name: str) -> str:
    """Give a package's name in the one way that the packaging specifications have."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _canonical(asker: str) -> str:
    # An input stays as it is; a package loses its extras.
    return asker if asker[0] == "-" else canonicalize_name(asker.partition("[")[0])


def main() -> None:
    """Write the part of a lock that is reached from the names in some files."""
    lock, *files = map(Path, sys.argv[1:])
    names = [name for file in files for name in file.read_text().split()]
    part = parse_lock(lock.as_posix(), lock.read_text()).reached_from(names)
    sys.stdout.write(part.requirements())


if __name__ == "__main__":
    main()
