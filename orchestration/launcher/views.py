"""What a command may see of an environment that holds more than its own packages.

An image serves all scripts of a task and has the packages of all of them. A step sees
those that its own closure reaches: a package that its key does not know cannot be
imported.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path, PurePosixPath


def view_environment(environment: Path, packages: Collection[str], view: Path) -> None:
    """Make a virtual environment of links that shows some packages of another.

    Args:
        environment: The virtual environment that has them.
        packages: Canonical names of the packages to show. It may lack some: a lock
            names those of other systems as well.
        view: The folder to fill; it is empty.
    """
    (site,) = environment.glob("lib/python3.*/site-packages")
    owners = _owners(site)
    shown = view / site.relative_to(environment)
    shown.mkdir(parents=True)
    (view / "bin").mkdir()
    (view / "bin/python").symlink_to((environment / "bin/python").resolve())
    (view / "pyvenv.cfg").write_text((environment / "pyvenv.cfg").read_text())
    _link(site, shown, PurePosixPath(), owners, set(packages))


def _owners(site: Path) -> dict[PurePosixPath, set[str]]:
    """Find which packages have files at or below each path, as their RECORDs say."""
    owners: dict[PurePosixPath, set[str]] = defaultdict(set)
    for package in importlib.metadata.distributions(path=[str(site)]):
        # As the packaging specifications normalise names.
        name = re.sub(r"[-_.]+", "-", package.name).lower()
        for file in package.files or ():
            for path in (PurePosixPath(file), *PurePosixPath(file).parents):
                owners[path].add(name)
    return owners


def _link(
    site: Path,
    shown: Path,
    folder: PurePosixPath,
    owners: dict[PurePosixPath, set[str]],
    packages: set[str],
) -> None:
    for name in sorted(os.listdir(site / folder)):
        path = folder / name
        here = owners.get(path, set())
        if here and here <= packages:
            (shown / path).symlink_to(site / path)
        elif here & packages and (site / path).is_dir():
            (shown / path).mkdir()
            _link(site, shown, path, owners, packages)
