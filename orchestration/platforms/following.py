"""Follow a run on a platform until it has ended, and say how its steps did."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from common.command_line import warn
from common.errors import RunError
from orchestration.pipelines.planning import Outputs, Planner, StepPlan
from orchestration.platforms.nodes import Node
from orchestration.platforms.notes import RUNNING
from orchestration.platforms.remote import Remote, RemoteState
from orchestration.run_summary import DONE
from orchestration.running import Watcher
from orchestration.step_end import StepEnd, cached_end
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
        self._steps = {node.step for node in nodes}
        self._started: set[str] = set()
        self._noticed: set[str] = set()
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
                    return state
                for notice in sorted(set(state.notices) - self._noticed):
                    self._noticed.add(notice)
                    warn(f"{self._remote.name}: {notice}")
            pause = _FIRST_PAUSE if is_new else min(pause * _GROWTH, _LONGEST_PAUSE)
            time.sleep(pause)

    def settle(self, state: RemoteState) -> None:
        """Say of each step how it has ended, once the run has.

        Args:
            state: How the run has ended.

        Raises:
            UserError: The store lets nobody read.
            RunError: The store cannot be read.
        """
        # What was said between the two last questions.
        self._look()
        known: dict[str, Outputs] = {}
        for step in self._planner.order:
            if step in self._planner.above(*self._steps):
                plan = self._planner.step(step, known)
                if plan.state == "cached":
                    known[step] = plan.outputs
                if step in self._steps:
                    self._settle_step(plan, state)

    def _settle_step(self, plan: StepPlan, state: RemoteState) -> None:
        step, task, parts = plan.name, plan.code.task, self._parts(plan.name)
        there = self.ends.get(step)
        failed = [note for note in parts if note["state"] == "failed"]
        if plan.state == "cached":
            # Its container may have been lost after it, or could not leave word.
            if there is None or (state.ended == "done" and there.state not in DONE):
                self._end(step, replace(cached_end(plan), state="done"))
        elif there is not None and (there.state not in DONE or state.ended != "done"):
            pass  # as it was told
        elif failed:
            self._end(step, _joined(failed[0], parts))
        elif state.ended == "failed" and step in state.failures:
            said = [state.failures[step], self._remote.last_lines(step)]
            message = "\n".join(filter(None, said))
            self._end(step, StepEnd(task, "failed", message=message))
        elif state.ended == "done" and plan.state == "runs":
            message = f"{self._remote.name} is done, and there is no result of it"
            message += f" in the store: {plan.reason}"
            self._end(step, StepEnd(task, "failed", message=message))
        else:
            begun = parts or step in self._notes
            self._end(step, StepEnd(task, "stopped" if begun else "skipped"))

    def _look(self) -> bool:
        """Read what containers have said, and pass it on; whether anything is new."""
        through = [name for name, note in self._notes.items() if not _goes_on(note)]
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
        if whole is not None and not _goes_on(whole):
            self._end(step, _joined(whole, parts))

    def _parts(self, step: str) -> list[Document]:
        """Give what the shards of a step have said."""
        return [
            note for name, note in self._notes.items() if name.startswith(f"{step}.")
        ]

    def _end(self, step: str, end: StepEnd) -> None:
        self.ends[step] = end
        self._watcher.ended(step, end)


def _goes_on(note: Document) -> bool:
    """Whether a container is at work, or was stopped, which the platform may repeat."""
    return note["state"] in (RUNNING, "stopped")


def _count(note: Document) -> tuple[int, int] | None:
    """Give how many items are done and how many there are; None if it does not map."""
    if note["state"] == RUNNING:
        return None if note["of"] is None else (int(note["done"]), int(note["of"]))
    return None if "ran" not in note else (int(note["ran"]), int(note["ran"]))


def _joined(whole: Document, parts: Collection[Document]) -> StepEnd:
    """Say of a step what it and the parts of its items did."""
    end = StepEnd.from_document(whole)
    own = [StepEnd.from_document(note) for note in parts if not _goes_on(note)]
    others = [one for one in own if one != end]
    return replace(
        end,
        reason=next((one.reason for one in own if one.reason), end.reason),
        seconds=end.seconds + sum(one.seconds for one in others),
        ran=end.ran + sum(one.ran for one in others),
    )
