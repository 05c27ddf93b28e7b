"""What containers leave in the store, for who follows a run, on how steps go."""

from __future__ import annotations

import time
from typing import Any

from common.command_line import warn
from common.errors import RunError, UserError
from orchestration.running import Shard
from orchestration.step_end import StepEnd
from orchestration.store.store import Store

RUNNING = "running"
_EVERY_SECONDS = 5.0


def note_name(step: str, shard: Shard | None) -> str:
    """Give the name of what is said of a step, or of a part of its items."""
    return step if shard is None else f"{step}.{shard.number}-{shard.of}"


class NoteWriter:
    """Leaves word of a step in the store.

    A note that cannot be written is no reason to lose the work: it is said, and the
    step goes on.

    Args:
        store: The store.
        run: The run.
        shard: The part of the items that is run here; None for the step.
    """

    def __init__(self, store: Store, run: str, shard: Shard | None) -> None:
        self._store = store
        self._run = run
        self._shard = shard
        self._reason = ""
        self._next = 0.0

    def started(self, step: str, reason: str, items: int | None) -> None:
        """Say that it runs, and why."""
        self._reason = reason
        self._say(step, {"done": 0, "of": items})

    def advanced(self, step: str, done: int, items: int | None) -> None:
        """Say now and then how many items are done."""
        if time.monotonic() >= self._next:
            self._say(step, {"done": done, "of": items})

    def ended(self, step: str, end: StepEnd) -> None:
        """Say how it ended."""
        self._write(step, end.to_document(step))

    def _say(self, step: str, said: dict[str, Any]) -> None:
        self._next = time.monotonic() + _EVERY_SECONDS
        self._write(step, {"state": RUNNING, "reason": self._reason, **said})

    def _write(self, step: str, document: dict[str, Any]) -> None:
        try:
            self._store.note(self._run, note_name(step, self._shard), document)
        except (RunError, UserError) as error:
            warn(f"{step}: who follows the run is not told how it goes: {error}")
