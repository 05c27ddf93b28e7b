"""Jupyter beside a task's packages, on the host and in the task's image."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestration.checkout import Checkout
from orchestration.environments import provide_environment
from orchestration.locks import parse_lock

_LOCK = "3rdparty/notebook.lock"
_STARTER = "orchestration/notebook_kernel.py"
_PACKAGES, _SHARE, _SETTINGS = (
    "lib/python3.11/site-packages",
    "share/jupyter",
    "etc/jupyter",
)
# Where a container has what on the host lies in the cache.
_IN_IMAGE = Path("/opt/notebook")


@dataclass(frozen=True)
class Jupyter:
    """Where Jupyter is, as the commands that run it see it.

    Attributes:
        python: A Python that has Jupyter and nothing of the task, on the host.
        start: What goes before the name of one of its modules, to run it in the task's
            environment.
        lab: JupyterLab's application folder.
        variables: The environment variables by which it finds its parts.
        options: What ``docker run`` needs besides.
    """

    python: Path
    start: tuple[str, ...]
    lab: Path
    variables: dict[str, str]
    options: tuple[str, ...] = ()


def provide_jupyter(
    checkout: Checkout, kernels: Path, in_image: bool, tell: Callable[[str], None]
) -> Jupyter:
    """Provide Jupyter, and describe the kernel that is the task's Python.

    Args:
        checkout: The checkout.
        kernels: A folder for the kernel's description, which is made.
        in_image: Whether it is to run in a task's image.
        tell: Is told what takes long.

    Raises:
        RunError: The environment cannot be made.
    """
    lock = parse_lock(_LOCK, (checkout.root / _LOCK).read_text())
    home = provide_environment(checkout.cache, lock.requirements(), tell)
    places = {
        home / _PACKAGES: "packages",
        home / _SHARE: "share",
        home / _SETTINGS: "settings",
        checkout.root / _STARTER: "start.py",
        kernels: "kernels",
    }
    options: list[str] = []
    seen = {source: source for source in places}
    if in_image:
        seen = {source: _IN_IMAGE / name for source, name in places.items()}
        for source, place in seen.items():
            options += ["--volume", f"{source}:{place}:ro"]
    packages, share, settings, starter, shown = seen.values()
    variables = {
        "JUPYTER_PATH": f"{shown}:{share}",
        "JUPYTER_CONFIG_PATH": str(settings),
    }
    for name, value in variables.items():
        options += ["--env", f"{name}={value}"] if in_image else []
    start = ("python", "-P", str(starter), str(packages))
    _describe_kernel(kernels, start)
    return Jupyter(home / "bin/python", start, share / "lab", variables, tuple(options))


def _describe_kernel(share: Path, start: tuple[str, ...]) -> None:
    """Describe the kernel: the task's own Python, as Jupyter's kernel specs say it."""
    folder = share / "kernels/python3"
    folder.mkdir(parents=True)
    described = {
        "argv": [*start, "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python of the task",
        "language": "python",
    }
    (folder / "kernel.json").write_text(json.dumps(described))
    for path in (share, share / "kernels", folder):
        path.chmod(0o755)
