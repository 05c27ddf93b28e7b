"""What a run leaves: its document in the store. While it lasts it has a folder."""

from __future__ import annotations

import fcntl
import getpass
import os
import platform
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import UserError
from orchestration.checkout import Checkout
from orchestration.names import nearest
from orchestration.store.store import Store

FORMAT = "run/1"
_LOCK = "lock"


def new_run_id(now: datetime) -> str:
    """Make a name for a run: when it began, and a part that no other has."""
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


@contextmanager
def run_folder(cache: Path, run_id: str) -> Iterator[Path]:
    """Give a run its folder for what lasts as long as it does.

    Folders of runs that were killed are removed.
    """
    runs = cache / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    folder = runs / run_id
    with ExitStack() as stack:
        # One at a time, so that a folder is never seen before its lock is held.
        with (runs / f".{_LOCK}").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            for other in sorted(runs.iterdir()):
                if other.is_dir():
                    _remove_if_dead(other)
            folder.mkdir()
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            lock = stack.enter_context((folder / _LOCK).open("w"))
            # The kernel drops it with the process.
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _remove_if_dead(folder: Path) -> None:
    try:
        with (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # it is at work
    except FileNotFoundError:
        pass  # killed before it had one
    shutil.rmtree(folder, ignore_errors=True)


def begin_document(
    checkout: Checkout, store: Store, run_id: str, **values: Any
) -> dict[str, Any]:
    """Write down what a run starts with: who, when, from which state of the tree."""
    head = checkout.head()
    is_changed = head.commit is not None and head.is_changed
    diff = checkout.diff() if is_changed else b""
    return {
        "format": FORMAT,
        "id": run_id,
        "state": "running",
        "started": datetime.now(UTC).isoformat(),
        "commit": head.commit,
        "branch": head.branch,
        "diff": store.add_text(diff) if diff else None,
        "host": platform.node(),
        "user": user_name(),
        "steps": {},
        **values,
    }


def user_name() -> str:
    """Give the user's name, or number where there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def find_run(store: Store, name: str) -> dict[str, Any]:
    """Find a run by its id, the id's beginning, or ``last``.

    Raises:
        UserError: There is none, or more than one.
    """
    known = store.runs()
    found = known[:1] if name == "last" else [one for one in known if one == name]
    found = found or [one for one in known if one.startswith(name)]
    if len(found) == 1:
        return dict(store.run(found[0]))
    if found:
        raise UserError(f"{name} could be {', '.join(found[:5])}")
    raise UserError(
        f"there is no run {name}{nearest(name, known)}; ./strata runs lists all"
    )
