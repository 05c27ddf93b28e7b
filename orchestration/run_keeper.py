"""A run's document, kept in the store while the run goes on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from orchestration.running import Watcher
from orchestration.step_end import StepEnd
from orchestration.store.store import Store

RUNNING = "running"
# Between two writes. To write at the end of each step would take as long as the square
# of their number.
_EVERY_SECONDS = 1.0
# Also when nothing happens: a run that is not written down for days is taken for dead.
_SIGN_OF_LIFE_SECONDS = 3600.0


class RunKeeper:
    """Writes a run's document down: at first, soon after each change, and at last.

    Args:
        store: The store.
        pipeline: The pipeline's name.
        document: The run's document, with the ended steps by name under ``steps``;
            an entry there is not changed once it is made.
        is_shared: Others may be keeping it as well; who knows how the run has ended is
            right.
    """

    def __init__(
        self,
        store: Store,
        pipeline: str,
        document: dict[str, Any],
        is_shared: bool = False,
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._document = document
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._is_shared = is_shared
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> RunKeeper:
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        self._write()

    def add_step(self, name: str, step: Mapping[str, Any]) -> None:
        """Take how a step ended."""
        self._document["steps"][name] = step
        if step["state"] != "cached":  # they come all at once, and leave nothing new
            self._changed.set()

    def write_soon(self) -> None:
        """Have what is known by now written."""
        self._changed.set()

    def end(self, **values: Any) -> None:
        """Take how the run ended; nothing more is written until all is."""
        self._stop()
        self._document |= values

    def _stop(self) -> None:
        self._stopped.set()
        self._changed.set()
        self._thread.join()

    def _serve(self) -> None:
        while not self._stopped.is_set():
            self._changed.wait(_SIGN_OF_LIFE_SECONDS)
            if self._stopped.is_set():
                return
            self._changed.clear()
            try:
                self._write()
            except Exception:
                # Once more soon. What counts is the last write, which nobody catches.
                self._changed.set()
            self._stopped.wait(_EVERY_SECONDS)

    def _write(self) -> None:
        # The steps are copied in one go, as others end while it is written.
        document = {**self._document, "steps": dict(self._document["steps"])}
        if self._is_shared and document["state"] == RUNNING:
            there = self._store.remembered_run(self._pipeline, document["id"], document)
            if there is not None and there["state"] != RUNNING:
                return
        self._store.remember_run(self._pipeline, document["id"], document)


class KeepingWatcher:
    """Has each step written down as it ends, and passes on what it is told.

    Args:
        keeper: Keeps the run's document.
        watcher: Is told everything.
    """

    def __init__(self, keeper: RunKeeper, watcher: Watcher) -> None:
        self._keeper = keeper
        self._watcher = watcher

    def started(self, step: str, reason: str, items: int | None) -> None:
        """Keep what has ended until now, which this one may need."""
        self._keeper.write_soon()
        self._watcher.started(step, reason, items)

    def advanced(self, step: str, done: int, items: int | None) -> None:
        """Pass it on."""
        self._watcher.advanced(step, done, items)

    def ended(self, step: str, end: StepEnd) -> None:
        """Keep how a step ended, for those who look and for garbage collection."""
        self._keeper.add_step(step, end.to_document(step))
        self._watcher.ended(step, end)
