"""Follow a run on a platform until it has ended, and say how its steps did."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from common.command_line import warn
from common.errors import RunError
from orchestration.pipelines.planning import Outputs, Planner
from orchestration.platforms.nodes import Node
from orchestration.platforms.notes import RUNNING
from orchestration.platforms.remote import Remote, RemoteState
from orchestration.running import Watcher
from orchestration.step_end import StepEnd
from orchestration.store.store import Document, Store

_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.5, 10.0, 1.5
# So long a platform, or the way to it, may be away while its run goes on.
_PATIENCE_SECONDS = 900.0


class Follower:
    """Follows one run.

    How steps go is read from the store, where their containers say it; whether the run
    has ended, and why where no container came so far, is for the platform to say. What
    counts in the end are the records in the store.

    Args:
        remote: The run on its platform.
        planner: Plans it, as its containers do.
        store: Where results are.
        run: The run.
        nodes: What the platform starts.
        watcher: Is told how it goes.
        ended: Steps that need not be followed, as they have ended before.
    """

    def __init__(
        self,
        remote: Remote,
        planner: Planner,
        store: Store,
        run: str,
        nodes: Collection[Node],
        watcher: Watcher,
        ended: Mapping[str, StepEnd],
    ) -> None:
        self._remote = remote
        self._planner = planner
        self._store = store
        self._run = run
        self._watcher = watcher
        self._steps = {node.step for node in nodes} - set(ended)
        self._started: set[str] = set()
        self._notes: dict[str, Document] = {}
        self.ends: dict[str, StepEnd] = dict(ended)

    def wait(self) -> RemoteState:
        """Wait until the platform says that the run has ended.

        Raises:
            UserError: The platform refuses to say how it goes.
            RunError: It cannot be reached for long, or does not know the run.
        """
        pause, lost_since = _FIRST_PAUSE, None
        while True:
            state, is_new = None, False
            try:
                state = self._remote.state()
                is_new = self._look()
                lost_since = None
            except RunError as error:
                if lost_since is None:
                    warn(f"{error}; asking again ...")
                    lost_since = time.monotonic()
                elif time.monotonic() - lost_since > _PATIENCE_SECONDS:
                    raise
            else:
                if state is None:
                    raise RunError(f"{self._remote.name} is not there any more")
                if state.ended is not None:
                    # What was said between the two questions.
                    self._look()
                    return state
            pause = _FIRST_PAUSE if is_new else min(pause * _GROWTH, _LONGEST_PAUSE)
            time.sleep(pause)

    def settle(self, state: RemoteState) -> None:
        """Say of each step how it has ended.

        Args:
            state: How the run has.

        Raises:
            RunError: It is done, and a result is not there.
        """
        if state.ended == "done":
            self._check_done()
        else:
            self._end_others(state)

    def _look(self) -> bool:
        """Read what containers have said, and pass it on; whether anything is new."""
        through = [n for n, note in self._notes.items() if note["state"] != RUNNING]
        found = self._store.notes(self._run, without=through)
        is_new = any(self._notes.get(name) != note for name, note in found.items())
        self._notes |= found
        for step in self._planner.order:
            if step in self._steps and step not in self.ends:
                self._tell(step)
        return is_new

    def _tell(self, step: str) -> None:
        whole, parts = self._notes.get(step), self._parts(step)
        notes = parts if whole is None else [*parts, whole]
        if not notes:
            return
        if step not in self._started and notes[0]["state"] != "cached":
            self._started.add(step)
            self._watcher.started(step, str(notes[0]["reason"]), None)
        counts = [one for one in map(_count, parts or notes) if one is not None]
        if counts and step in self._started:
            done, items = (sum(numbers) for numbers in zip(*counts, strict=True))
            self._watcher.advanced(step, done, items)
        if whole is not None and whole["state"] != RUNNING:
            self._end(step, _joined(whole, parts))

    def _parts(self, step: str) -> list[Document]:
        """Give what the shards of a step have said."""
        return [
            note for name, note in self._notes.items() if name.startswith(f"{step}.")
        ]

    def _end(self, step: str, end: StepEnd) -> None:
        self.ends[step] = end
        self._watcher.ended(step, end)

    def _check_done(self) -> None:
        """Look all results up that the platform says are there."""
        known: dict[str, Outputs] = {
            name: end.outputs for name, end in self.ends.items()
        }
        for step in self._planner.order:
            if step not in self._steps:
                continue
            plan = self._planner.step(step, known)
            if plan.state != "cached":
                raise RunError(
                    f"{self._remote.name} is done, as the platform says, but the "
                    f"store has no result of {step}: {plan.reason}"
                )
            known[step] = plan.outputs
            if step not in self.ends:
                # Its container could not leave word.
                end = StepEnd(plan.code.task, "done", "", plan.key, plan.outputs)
                self._end(step, end)

    def _end_others(self, state: RemoteState) -> None:
        """End the steps that the run has left, each as far as it came."""
        for step in self._planner.order:
            if step not in self._steps or step in self.ends:
                continue
            task = self._planner.code(step).task
            parts = self._parts(step)
            failed = [note for note in parts if note["state"] == "failed"]
            if failed:
                end = _joined(failed[0], parts)
            elif step in state.failures:
                said = [state.failures[step], self._remote.last_lines(step)]
                end = StepEnd(task, "failed", message="\n".join(filter(None, said)))
            else:
                begun = parts or step in self._notes
                end = StepEnd(task, "stopped" if begun else "skipped")
            self._end(step, end)


def _count(note: Document) -> tuple[int, int] | None:
    """Give how many items are done and how many there are; None if it does not map."""
    if note["state"] == RUNNING:
        return None if note["of"] is None else (int(note["done"]), int(note["of"]))
    return None if "ran" not in note else (int(note["ran"]), int(note["ran"]))


def _joined(whole: Document, parts: Collection[Document]) -> StepEnd:
    """Say of a step what it and the parts of its items did."""
    end = StepEnd.from_document(whole)
    own = [StepEnd.from_document(note) for note in parts if note["state"] != RUNNING]
    others = [one for one in own if one != end]
    return replace(
        end,
        reason=next((one.reason for one in own if one.reason), end.reason),
        seconds=end.seconds + sum(one.seconds for one in others),
        ran=end.ran + sum(one.ran for one in others),
    )
