"""Virtual environments that hold exactly what a requirements file with hashes names.

One is made by uv when it is first asked for, and kept in the cache folder under the
digest of its packages, the interpreter and the platform; tasks with the same set share
it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from uv import find_uv_bin

from common.errors import RunError
from orchestration.atomic_files import make_folder_once

_FORMAT = "environment/1"


@lru_cache(maxsize=64)
def environment_digest(requirements: str) -> str:
    """Give the SHA-256 that an environment of these packages is kept under here."""
    identity = {
        "format": _FORMAT,
        "requirements": requirements,
        "python": platform.python_version(),
        "platform": [sys.platform, platform.machine()],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def provide_environment(
    cache: Path, requirements: str, tell: Callable[[str], None]
) -> Path:
    """Give the virtual environment of these packages, making it if it is missing.

    Args:
        cache: Strata's cache folder.
        requirements: A requirements file's text: pins with hashes.
        tell: Is told when something takes long.

    Returns:
        The environment's folder, with ``bin/python`` in it.

    Raises:
        RunError: uv cannot install the packages.
    """
    digest = environment_digest(requirements)

    def fill(new: Path) -> None:
        (new / "requirements.txt").write_text(requirements)
        count = requirements.count("==")
        tell(f"installing {count} packages, once for this set of them ...")
        # Made under another name than it will have: nothing in it may name its place.
        python = str(sys._base_executable)  # type: ignore[attr-defined]
        _uv("venv", "--quiet", "--relocatable", "--python", python, str(new / "venv"))
        _uv(
            *("pip", "sync", "--require-hashes", "--compile-bytecode"),
            *("--python", str(new / "venv"), str(new / "requirements.txt")),
            # A set without packages is one as well: a script may need none.
            "--allow-empty-requirements",
        )

    return make_folder_once(cache / "environments" / digest[:24], fill) / "venv"


def _uv(*arguments: str) -> None:
    # Wheels that lie on this machine are not what the locks name.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("UV_FIND_LINKS", "VIRTUAL_ENV")
    }
    done = subprocess.run(
        [find_uv_bin(), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        # A person sees uv's own progress; otherwise it is kept for the error.
        stderr=None if sys.stderr.isatty() else subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in (done.stderr or "").splitlines() if line.strip()]
        raise RunError(
            "uv could not make the environment; check the network, or the index that "
            "uv is set to: " + " ".join(lines[-4:])
        )
