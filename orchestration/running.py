"""Run a pipeline: each step when what it reads is there, unless it is cached."""

from __future__ import annotations

import heapq
import shutil
from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from common.errors import RunError, UserError
from orchestration.engines.engine import Engine, Provided
from orchestration.engines.workers import Workers
from orchestration.file_digests import FileDigests
from orchestration.launcher.job import Job, JobResult
from orchestration.launcher.launch import RECORD_FORMAT
from orchestration.pipelines.keys import canonical
from orchestration.pipelines.planning import (
    ItemPlan,
    Outputs,
    Planner,
    StepPlan,
    items_of,
)
from orchestration.pipelines.spec import Step
from orchestration.step_end import StepEnd, cached_end, input_references
from orchestration.store.content import Content, read_content
from orchestration.store.store import Store

# States of steps that leave nothing to go on with.
_WITHOUT = ("failed", "skipped", "stopped")
# A damaged artifact is made again this often before a step counts as failed.
_REPAIRS = 3


@dataclass(frozen=True)
class Shard:
    """A part of the items of a step that maps.

    Attributes:
        number: Which part, from 1.
        of: How many parts there are.
    """

    number: int
    of: int

    def of_items(self, items: Sequence[ItemPlan]) -> list[ItemPlan]:
        """Give the items of this part that run.

        They are dealt out by their places among all items, and not among the missing
        ones: other parts may be at work, and these get fewer.
        """
        mine = items[self.number - 1 :: self.of]
        return [item for item in mine if item.outputs is None]


class Watcher(Protocol):
    """Is told how a run goes."""

    def started(self, step: str, reason: str, items: int | None) -> None:
        """A step has begun to run; with how many items, if it maps."""

    def advanced(self, step: str, done: int, items: int | None) -> None:
        """So many items of a step are done, of so many."""

    def ended(self, step: str, end: StepEnd) -> None:
        """A step has ended."""


@dataclass
class _Running:
    """A step at work."""

    plan: StepPlan
    provided: Provided
    code_reference: str
    waiting: deque[ItemPlan | None]
    items: int | None = None
    attempts: dict[str | None, int] = field(default_factory=dict)
    under_way: int = 0
    outputs: dict[str, Outputs] = field(default_factory=dict)
    seconds: float = 0.0
    ran: int = 0
    ended: int = 0
    failure: JobResult | None = None
    failed_log: Path | None = None
    moved: set[str] = field(default_factory=set)


class PipelineRun:
    """One run of a pipeline.

    Args:
        planner: Says what is cached.
        engine: Starts launchers.
        store: Where results are kept.
        folder: The run's folder.
        memory: Where digests of inputs are remembered.
        jobs: How many commands run side by side.
        keep_going: After a failure, go on with what does not depend on it.
        selected: The steps that may run; None for all.
        known: Outputs that are taken for those of steps that are not selected.
        provenance: What records say of the run.
        watcher: Is told how it goes.
        cached: Steps that have just been planned and are cached; they are not looked up
            once more.
        shard: The part of the items that it runs; None for all, which joins them.
    """

    def __init__(
        self,
        planner: Planner,
        engine: Engine,
        store: Store,
        folder: Path,
        memory: Path,
        jobs: int,
        keep_going: bool,
        selected: Collection[str] | None,
        known: Mapping[str, Outputs],
        provenance: Mapping[str, str],
        watcher: Watcher,
        cached: Mapping[str, StepPlan],
        shard: Shard | None = None,
    ) -> None:
        self._shard = shard
        self._planner = planner
        self._engine = engine
        self._store = store
        self._folder = folder
        self._memory = memory
        self._keep_going = keep_going
        self._selected = set(planner.order if selected is None else selected)
        self._outputs: dict[str, Outputs] = dict(known)
        self._provenance = provenance
        self._watcher = watcher
        self._workers: Workers[tuple[str, ItemPlan | None]] = Workers(
            jobs, engine.launcher
        )
        self._cached = dict(cached)
        self._positions = {name: i for i, name in enumerate(planner.order)}
        self._readers: dict[str, list[str]] = defaultdict(list)
        for name in planner.order:
            for need in planner.upstream(name):
                self._readers[need].append(name)
        self._pending: set[str] = set()
        # Those of which something has changed: to look at all after each step would
        # take as long as the square of their number.
        self._candidates: list[tuple[int, str]] = []
        self._add_pending(self._selected)
        self._failed = False
        self._references: dict[str, str] = {}
        self._running: dict[str, _Running] = {}
        self._repairs = 0
        self.ends: dict[str, StepEnd] = {}

    def execute(self) -> Mapping[str, StepEnd]:
        """Run it.

        Returns:
            How each step ended, by name, in the order of the pipeline.

        Raises:
            UserError: Something that a step needs is missing.
            RunError: The store, an environment or an image cannot be had.
        """
        try:
            while True:
                self._start_ready()
                self._feed()
                if not self._running:
                    break
                (name, item), result = self._workers.next_result()
                self._take(self._running[name], item, result)
        except BaseException:
            self._workers.stop()
            for running in list(self._running.values()):
                self._stop_step(running)
            raise
        self._workers.stop()
        for name in sorted(self._pending, key=self._positions.__getitem__):
            self._skip(name)
        return {n: self.ends[n] for n in self._planner.order if n in self.ends}

    def _add_pending(self, names: Collection[str]) -> None:
        self._pending.update(names)
        self._consider(self._pending)

    def _consider(self, names: Collection[str]) -> None:
        for name in names:
            heapq.heappush(self._candidates, (self._positions[name], name))

    def _start_ready(self) -> None:
        while self._candidates and (self._keep_going or not self._failed):
            _, name = heapq.heappop(self._candidates)
            if name not in self._pending:
                continue
            if self._depends_on_failed(name):
                self._pending.remove(name)
                self._skip(name)
            elif self._is_ready(name):
                self._pending.remove(name)
                plan = self._cached.pop(name, None)
                try:
                    self._start(plan or self._planner.step(name, self._outputs))
                except (UserError, RunError) as error:
                    task = self._planner.code(name).task
                    self._end(name, StepEnd(task, "failed", message=str(error)))

    def _depends_on_failed(self, name: str) -> bool:
        return any(
            need in self.ends and self.ends[need].state in _WITHOUT
            for need in self._planner.upstream(name)
        )

    def _is_ready(self, name: str) -> bool:
        return all(need in self._outputs for need in self._planner.upstream(name))

    def _start(self, plan: StepPlan) -> None:
        if plan.state == "cached":
            self._end(plan.name, cached_end(plan))
            return
        step = self._planner.pipeline.steps[plan.name]
        provided = self._engine.provide(step, plan)
        code = self._code_reference(plan, step, provided)
        running = _Running(plan, provided, code, deque([None]))
        self._move_inputs(running)
        if plan.items is not None:
            running.waiting = deque(
                plan.missing_items
                if self._shard is None
                else self._shard.of_items(plan.items)
            )
            running.items = len(running.waiting)
            for item in plan.items:
                if item.outputs is not None:
                    running.outputs[item.name] = item.outputs
            # Kept whole, so that what the items share can be compared later.
            shared = self._planner.shared_document(plan)
            self._store.add_text(canonical(shared))
        self._running[plan.name] = running
        self._watcher.started(plan.name, plan.reason, running.items)
        if not running.waiting:
            self._finish(running)

    def _code_reference(self, plan: StepPlan, step: Step, provided: Provided) -> str:
        """Store the code of a step, once in a run, and give its name."""
        folder = Path(provided.code)
        if provided.code not in self._references:
            code = _read_code(folder)
            if not _is_code_of(plan, code):
                # A command of an earlier run has written to it.
                shutil.rmtree(folder)
                self._engine.provide(step, plan)
                code = _read_code(folder)
            if not _is_code_of(plan, code):
                raise RunError(f"{folder} has not the code that was planned")
            self._store.add(folder, code)
            self._references[provided.code] = code.reference
        return self._references[provided.code]

    def _move_inputs(self, running: _Running) -> None:
        """Store the inputs that a command cannot use where they lie."""
        mapped = self._planner.pipeline.steps[running.plan.name].map
        for name, one in sorted(running.plan.inputs.items()):
            if one.path is not None and self._engine.reaches(Path(one.path)):
                continue
            content = None
            if one.path is not None:
                content = self._planner.content(one)
                self._store.add(Path(one.path), content)
                running.moved.add(name)
            if name == mapped:
                content = content or self._planner.content(one)
                for part in content.items().values():
                    if not part.is_file:
                        self._store.add_manifest(part)

    def _feed(self) -> None:
        """Hand out as much work as there are hands for, so that memory stays flat."""
        for running in self._running.values():
            while running.waiting and running.under_way < 2 * self._workers.count:
                if self._is_given_up(running):
                    break
                item = running.waiting.popleft()
                running.under_way += 1
                self._workers.submit(
                    (running.plan.name, item), self._job(running, item)
                )
        idle = [one for one in self._running.values() if not one.under_way]
        for running in idle:
            # Given up before any of it was begun.
            del self._running[running.plan.name]
            self._stop_step(running)

    def _is_given_up(self, running: _Running) -> bool:
        """Whether nothing more of a step is begun: what is lost, or what failed."""
        if running.failure is not None and running.failure.state == "corrupt":
            return True
        failed = self._failed or running.failure is not None
        return failed and not self._keep_going

    def _job(self, running: _Running, item: ItemPlan | None) -> Job:
        plan, provided = running.plan, running.provided
        step = self._planner.pipeline.steps[plan.name]
        assert plan.key is not None
        own = plan if item is None else item
        assert own.key is not None
        return Job(
            task=plan.code.task,
            step=plan.name if item is None else items_of(plan.name),
            item=None if item is None else item.name,
            key=own.key,
            document=own.document,
            module=plan.code.module,
            arguments=own.arguments,
            processes=step.resources.processes,
            inputs={
                name: replace(one, path=None) if name in running.moved else one
                for name, one in own.inputs.items()
            },
            outputs=step.outputs,
            variables=plan.variables,
            timeout=step.timeout,
            store=self._store.address,
            scratch=str(self._folder),
            memory=str(self._memory),
            code=provided.code,
            code_reference=running.code_reference,
            environment=provided.environment,
            packages=provided.packages,
            log=str(self._log(plan.name, item)),
            provenance=self._provenance,
            forced=self._planner.is_forced(plan.name),
        )

    def _log(self, step: str, item: ItemPlan | None) -> Path:
        name = step if item is None else f"{step}.{item.key[:24]}"
        return self._folder / f"{name}.log"

    def _take(
        self, running: _Running, item: ItemPlan | None, result: JobResult
    ) -> None:
        running.under_way -= 1
        running.seconds += result.seconds
        name = running.plan.name
        step = self._planner.pipeline.steps[name]
        item_name = None if item is None else item.name
        if result.state == "failed":
            tries = running.attempts.get(item_name, 0) + 1
            running.attempts[item_name] = tries
            if tries <= step.retries:
                running.waiting.append(item)
            else:
                running.failure = running.failure or result
                running.failed_log = running.failed_log or self._log(name, item)
                self._failed = True
        elif result.state == "corrupt":
            running.failure = running.failure or result
        else:
            if item is not None:
                running.outputs[item.name] = result.outputs
                self._log(name, item).unlink(missing_ok=True)
            running.ran += result.state == "done"
            if item is None:
                running.outputs[""] = result.outputs
            running.ended += 1
            self._watcher.advanced(name, running.ended, running.items)
        if running.under_way or (running.waiting and not self._is_given_up(running)):
            return
        if running.failure is not None:
            del self._running[name]
            if self._can_repair(running):
                self._repairs += 1
                self._again(name)
            else:
                self._fail(running)
        elif running.waiting:
            del self._running[name]
            self._stop_step(running)
        else:
            self._finish(running)

    def _can_repair(self, running: _Running) -> bool:
        """Whether what the store has lost can be made again in this run."""
        assert running.failure is not None
        return (
            running.failure.state == "corrupt"
            and self._repairs < _REPAIRS
            and self._planner.upstream(running.plan.name) <= self._selected
        )

    def _again(self, name: str) -> None:
        """Look once more at what a step needs: the store has lost something of it."""
        # What another step has found lost as well may be at work already.
        affected = {name, *self._planner.upstream(name)} - set(self._running)
        for one in sorted(affected):
            self._outputs.pop(one, None)
            self.ends.pop(one, None)
            self._cached.pop(one, None)
        self._add_pending(affected)

    def _fail(self, running: _Running) -> None:
        assert running.failure is not None
        log = None
        if running.failed_log is not None and running.failed_log.exists():
            log = self._store.add_text(running.failed_log.read_bytes())
        self._end(
            running.plan.name,
            StepEnd(
                running.plan.code.task,
                "failed",
                running.plan.reason,
                running.plan.key,
                seconds=running.seconds,
                message=running.failure.message,
                log=log,
                items=self._done_items(running),
                ran=running.ran,
                inputs=input_references(running.plan),
            ),
        )

    def _stop_step(self, running: _Running) -> None:
        """End a step that is not through; what it has done stays."""
        plan = running.plan
        self._end(
            plan.name,
            StepEnd(
                plan.code.task,
                "stopped",
                plan.reason,
                plan.key,
                seconds=running.seconds,
                items=self._done_items(running),
                ran=running.ran,
                inputs=input_references(plan),
            ),
        )

    def _done_items(self, running: _Running) -> dict[str, str] | None:
        if running.plan.items is None:
            return None
        done = running.outputs
        return {one.name: one.key for one in running.plan.items if one.name in done}

    def _finish(self, running: _Running) -> None:
        plan = running.plan
        self._running.pop(plan.name, None)
        items = None
        if plan.items is None:
            outputs = running.outputs[""]
            state = "done" if running.ran else "cached"
        elif self._shard is not None:
            outputs, items, state = {}, self._done_items(running), "shared"
        else:
            outputs = self._join(running)
            items = {item.name: item.key for item in plan.items}
            state = "done"
        self._end(
            plan.name,
            StepEnd(
                plan.code.task,
                state,
                plan.reason,
                plan.key,
                outputs,
                running.seconds,
                items=items,
                ran=running.ran,
                inputs=input_references(plan),
            ),
        )

    def _join(self, running: _Running) -> Outputs:
        """Make the outputs of a step that maps from those of its items."""
        plan = running.plan
        step = self._planner.pipeline.steps[plan.name]
        assert plan.items is not None and plan.key is not None
        outputs = {}
        for name, path in sorted(step.outputs.items()):
            suffix = Path(path).suffix
            parts = {}
            for item in plan.items:
                reference = running.outputs[item.name][name]["reference"]
                content = self._store.content(reference)
                parts[item.name + (suffix if content.is_file else "")] = content
            joined = Content.joined(parts)
            self._store.add_manifest(joined)
            outputs[name] = {"reference": joined.reference, "size": joined.size}
        now = datetime.now(UTC).isoformat()
        record = {
            "format": RECORD_FORMAT,
            "key": plan.document,
            "outputs": outputs,
            "items": {item.name: item.key for item in plan.items},
            "code": running.code_reference,
            "finished": now,
            "seconds": round(running.seconds, 3),
            **self._provenance,
        }
        self._store.add_record(
            plan.code.task, plan.name, plan.key, record, replace=True
        )
        return outputs

    def _skip(self, name: str) -> None:
        self._end(name, StepEnd(self._planner.code(name).task, "skipped"))

    def _end(self, name: str, end: StepEnd) -> None:
        self.ends[name] = end
        self._failed |= end.state == "failed"
        self._consider(self._readers[name])
        if end.state in ("cached", "done"):
            self._outputs[name] = end.outputs
        self._watcher.ended(name, end)


def _read_code(folder: Path) -> Content:
    return read_content(folder, FileDigests(Path("/"), None), "followed")


def _is_code_of(plan: StepPlan, code: Content) -> bool:
    found = {e.path: (e.digest, e.kind == "executable") for e in code.entries}
    return found == {name: tuple(state) for name, state in plan.code.files.items()}
