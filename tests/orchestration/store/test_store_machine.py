"""Whatever is done to a store, and wherever it is killed, it keeps what it promised."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from orchestration.file_digests import FileDigests
from orchestration.store import upkeep
from orchestration.store.content import Content, read_content
from orchestration.store.store import Store, outputs_of
from tests.orchestration.store.crashes import killed_at

TASK, STEP = "fruit/pears", "grow"
HOURS = 3600.0
keys = st.integers(0, 5).map("key{}".format)
# Few of each, so that artifacts share files.
trees = st.dictionaries(
    st.sampled_from(["a", "b/c", "b/d", "e"]), st.integers(0, 40).map("{0}{0}".format)
)


class Machine(RuleBasedStateMachine):
    """A store in a folder beside what it should have."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="strata-machine-"))
        self.store = Store.open(str(self.folder / "store"))
        # What has been said to be kept, and the keys of runs.
        self.records: dict[str, Content] = {}
        self.runs: dict[str, set[str]] = {}
        self.number = 0

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def written(self, tree: dict[str, str]) -> tuple[Path, Content]:
        self.number += 1
        top = self.folder / f"made-{self.number}"
        top.mkdir()
        for name, text in tree.items():
            (top / name).parent.mkdir(exist_ok=True)
            (top / name).write_text(text)
        return top, read_content(top, FileDigests(Path("/"), None), "inside")

    def keep(self, key: str, path: Path, content: Content) -> bool:
        self.store.add(path, content)
        output = {"reference": content.reference, "size": content.size}
        document = {"outputs": {"out": output}, "finished": "2026"}
        return self.store.add_record(TASK, STEP, key, document)

    @rule(key=keys, tree=trees)
    def finish_a_step(self, key: str, tree: dict[str, str]) -> None:
        kept = self.keep(key, *(made := self.written(tree)))
        assert kept == (key not in self.records)
        self.records.setdefault(key, made[1])

    @rule(key=keys, tree=trees, count=st.integers(0, 60))
    def be_killed_in_a_step(self, key: str, tree: dict[str, str], count: int) -> None:
        made = self.written(tree)
        killed_at(count, lambda: self.keep(key, *made))
        assert upkeep.verify(self.store).removed == ()
        record = self.store.record(TASK, STEP, key)
        if record is None:
            assert key not in self.records
        elif key not in self.records:
            assert outputs_of(record) == [made[1].reference]
            self.records[key] = made[1]

    @rule(name=st.sampled_from(["one", "two"]), used=st.sets(keys))
    def run(self, name: str, used: set[str]) -> None:
        steps = {key: {"task": TASK, "step": STEP, "key": key} for key in used}
        document = {"started": "2026-01-01T00:00:00+00:00", "state": "done"}
        self.store.remember_run("fruit", name, {**document, "steps": steps})
        self.runs[name] = used

    @rule()
    def grow_old(self) -> None:
        """As if two hours had passed."""
        for path in (self.folder / "store").rglob("*"):
            if path.is_file():
                then = path.stat().st_mtime - 2 * HOURS
                os.utime(path, (then, then))

    @rule()
    def collect(self) -> None:
        self.collected(lambda: upkeep.collect(self.store))

    @rule(count=st.integers(0, 80))
    def be_killed_while_collecting(self, count: int) -> None:
        self.collected(lambda: killed_at(count, lambda: upkeep.collect(self.store)))

    def collected(self, work: object) -> None:
        reached = set().union(*self.runs.values())
        assert callable(work)
        recent = {
            key
            for key in self.records
            if (self.record_file(key)).stat().st_mtime > time.time() - HOURS / 2
        }
        work()
        assert upkeep.verify(self.store).removed == ()
        left = self.store.keys(TASK, STEP)
        assert left >= self.records.keys() & (reached | recent)
        for key in self.records.keys() - left:
            del self.records[key]

    def record_file(self, key: str) -> Path:
        return self.folder / "store/records" / TASK / STEP / f"{key}.json"

    @precondition(lambda self: any(c.files for c in self.records.values()))
    @rule(data=st.data())
    def lose_a_file(self, data: st.DataObject) -> None:
        """Damage or remove a file, have it found, and the steps run again."""
        digests = {e.digest for c in self.records.values() for e in c.files}
        digest = data.draw(st.sampled_from(sorted(digests)))
        blob = self.folder / "store/cas" / digest
        how = data.draw(st.sampled_from(["changed", "longer", "removed"]))
        if how == "removed":
            blob.unlink()
        else:
            text = blob.read_bytes()
            blob.write_bytes(
                b"?" * len(text) if text and how == "changed" else text + b"?"
            )
        hit = {
            key: content
            for key, content in self.records.items()
            if digest in {entry.digest for entry in content.files}
        }
        lost = {content.reference for content in hit.values()}
        every = {content.reference for content in self.records.values()}
        if data.draw(st.booleans()):
            assert self.store.missing(every) == lost
        removed = upkeep.verify(self.store).removed
        gone = {name.rpartition("/")[2][:-5] for name in removed if "records" in name}
        assert gone == set(hit)
        for key in hit:
            del self.records[key]

    @rule()
    def verify(self) -> None:
        found = upkeep.verify(self.store)
        assert found.removed == ()
        assert found.records == len(self.records)

    @invariant()
    def has_what_it_promised(self) -> None:
        assert self.store.keys(TASK, STEP) == set(self.records)
        references = {content.reference for content in self.records.values()}
        assert self.store.missing(references) == set()
        for number, reference in enumerate(sorted(references)):
            self.store.restore(reference, self.folder / f"back-{number}")
            digests = FileDigests(Path("/"), None)
            back = read_content(self.folder / f"back-{number}", digests, "inside")
            assert back.reference == reference
            shutil.rmtree(self.folder / f"back-{number}")


def test_a_store_keeps_what_it_promised() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            # Half a minute where nobody waits for it.
            max_examples=50 if os.environ.get("CI") else 8,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_unfinished_files_are_swept_when_they_are_old(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    # After fsync, before the rename.
    assert killed_at(1, lambda: store.add_text(b"one"))
    left = list((tmp_path / "store/tmp").iterdir())
    assert len(left) == 1
    assert upkeep.verify(store).swept == 0
    then = time.time() - timedelta(days=2).total_seconds()
    os.utime(left[0], (then, then))
    assert upkeep.collect(store, dry_run=True).swept == 0
    assert upkeep.collect(store).swept == 1
    assert list((tmp_path / "store/tmp").iterdir()) == []
