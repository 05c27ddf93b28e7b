"""Looking after a store: is all of it sound, what is garbage, copies elsewhere."""

from __future__ import annotations

import hashlib
import re
import secrets
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from orchestration.store.content import Content
from orchestration.store.errors import StoreError
from orchestration.store.objects import Blob, Found, WrongBytes, pass_on
from orchestration.store.parallel import Meter, Progress, in_parallel
from orchestration.store.store import (
    Document,
    RunName,
    Store,
    outputs_of,
    parse_document,
    parse_record,
    split_reference,
)

HOUR = timedelta(hours=1)
# A run whose document has not been written for so long has been killed.
_ALIVE = timedelta(days=7)
_FOLDERS = ("runs", "records", "trees", "cas")
_REFERENCE = re.compile(r"(?:file|executable|tree):[0-9a-f]{64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Verified:
    """What a look at everything found.

    Attributes:
        files: How many files were read.
        bytes: How long they are.
        trees: How many manifests were read.
        records: How many records were read.
        removed: The objects that were damaged, or named what is not there, and were
            removed, sorted.
        swept: How many unfinished files of killed writers were removed.
    """

    files: int
    bytes: int
    trees: int
    records: int
    removed: tuple[str, ...]
    swept: int


@dataclass(frozen=True)
class Collected:
    """What was removed, or would be.

    Attributes:
        runs: How many documents of runs.
        records: How many records.
        trees: How many manifests.
        files: How many files.
        bytes: What all of them have.
        swept: How many unfinished files of killed writers.
    """

    runs: int
    records: int
    trees: int
    files: int
    bytes: int
    swept: int


@dataclass(frozen=True)
class Usage:
    """How much there is of something.

    Attributes:
        count: How many objects.
        bytes: How long they are together.
    """

    count: int
    bytes: int


@dataclass(frozen=True)
class Copied:
    """What another store lacked.

    Attributes:
        files: How many files were copied.
        bytes: How long they are.
        trees: How many manifests.
        records: How many records.
        runs: How many documents of runs.
        left: The objects that were damaged or not complete and stay where they are.
    """

    files: int
    bytes: int
    trees: int
    records: int
    runs: int
    left: tuple[str, ...]


def verify(store: Store, progress: Progress | None = None) -> Verified:
    """Read everything, and remove what is damaged or names what is not there.

    A step whose record is removed runs again. A writer at work does no harm, nor takes
    any.

    Args:
        store: The store.
        progress: Is told how many bytes there are, and how many were read.
    """
    objects = store.objects
    swept = objects.sweep()
    # What names others is listed before them: what it names was there before it was.
    runs = list(objects.list("runs"))
    records = list(objects.list("records"))
    trees = list(objects.list("trees"))
    files = _by_name(objects.list("cas"))
    removed: list[str] = []
    meter = Meter(progress, sum(found.size for found in files.values()))

    def check_file(found: Found) -> None:
        expected = found.name.removeprefix("cas/")
        if _DIGEST.fullmatch(expected):
            digest = objects.digest(found.name)
            if digest not in (None, expected):
                objects.discard(Blob(found.name, expected, None))
                if objects.size(found.name) is None:
                    removed.append(found.name)
                    del files[found.name]
        meter.add(found.size)

    in_parallel(check_file, list(files.values()), objects.workers)

    def is_there(blob: Blob) -> bool:
        found = files.get(blob.name)
        size = objects.size(blob.name) if found is None else found.size
        return size is not None and blob.size in (None, size)

    whole: set[str] = set()

    def check_tree(found: Found) -> None:
        data = objects.get(found.name)
        if data is None:
            return
        content = _parse_tree(found.name, data)
        if content is not None and all(map(is_there, _blobs(content))):
            whole.add(found.name)
            return
        if content is None:
            objects.discard(Blob(found.name, found.name.removeprefix("trees/"), None))
        else:
            objects.delete([found.name])
        removed.append(found.name)

    in_parallel(check_tree, trees, objects.workers)

    def has(reference: str) -> bool:
        kind, digest = split_reference(reference)
        if kind == "tree":
            return f"trees/{digest}" in whole
        return is_there(Blob(f"cas/{digest}", digest, None))

    def check_record(found: Found) -> None:
        data = objects.get(found.name)
        record = parse_record(data)
        # Another may have added a folder since they were listed.
        complete = record is not None and (
            all(map(has, outputs_of(record))) or not store.missing(outputs_of(record))
        )
        if data is not None and not complete:
            objects.delete([found.name])
            removed.append(found.name)

    in_parallel(check_record, records, objects.workers)

    def check_run(found: Found) -> None:
        data = objects.get(found.name)
        if data is not None and parse_document(data) is None:
            objects.delete([found.name])
            removed.append(found.name)

    in_parallel(check_run, runs, objects.workers)
    return Verified(
        len(files),
        sum(found.size for found in files.values()),
        len(trees),
        len(records),
        tuple(sorted(removed)),
        swept,
    )


def collect(
    store: Store,
    older_than: timedelta | None = None,
    dry_run: bool = False,
    grace: timedelta = HOUR,
) -> Collected:
    """Remove what no run reaches that is kept.

    Nothing is removed that was written in the grace period, or since the grace period
    before the oldest run began that is still at work.

    Args:
        store: The store.
        older_than: Runs that began longer ago, and are not at work, are not kept. None
            keeps all.
        dry_run: Remove nothing.
        grace: How long what nothing reaches yet may be about to be reached.

    Raises:
        StoreError: The document of a run is damaged, so that nobody knows what it
            reaches; ``verify`` removes it.
    """
    objects = store.objects
    listed = {folder: _by_name(objects.list(folder)) for folder in reversed(_FOLDERS)}
    now = _now(store, dry_run)
    documents = _read_runs(store, listed["runs"])
    noted = _last_notes(objects.list("notes"))
    at_work = {
        name
        for name, document in documents.items()
        if document.get("state") == "running"
        and max(listed["runs"][name].modified, noted.get(_identity(name), 0.0))
        > now - _ALIVE.total_seconds()
    }
    begun = {name: _begun(name) for name in documents}
    dropped = {
        name
        for name in documents
        if older_than is not None and name not in at_work
        # Both: a clock may have been wrong when it began, or since.
        and begun[name] < now - older_than.total_seconds()
        and listed["runs"][name].modified < now - older_than.total_seconds()
    }
    fresh_since = now - grace.total_seconds()
    for name in at_work:
        if begun[name] > listed["runs"][name].modified + grace.total_seconds():
            fresh_since = float("-inf")  # the clock was set back: no time says anything
        fresh_since = min(fresh_since, begun[name] - grace.total_seconds())
    kept = {name: documents[name] for name in documents if name not in dropped}
    roots = {
        folder: {name for name, found in objs.items() if found.modified >= fresh_since}
        for folder, objs in listed.items()
    }
    reached = _reach(store, kept.values(), roots)
    garbage = {
        folder: sorted(listed[folder].keys() - reached)
        for folder in ("records", "trees", "cas")
    }
    garbage["runs"] = sorted(dropped)
    swept = 0
    if not dry_run:
        swept = objects.sweep()
        notes = objects.list("notes")
        objects.delete([one.name for one in notes if one.modified < fresh_since])
        objects.delete(garbage["runs"])
        objects.delete(garbage["records"])
        # What has come to be meanwhile may reach what nothing reached before.
        reached = _reach_of_newer(store, listed, fresh_since)
        for folder in ("trees", "cas"):
            there = _by_name(objects.list(folder))
            garbage[folder] = [
                name
                for name in garbage[folder]
                if name not in reached and there.get(name) == listed[folder][name]
            ]
            objects.delete(garbage[folder])
    return Collected(
        len(garbage["runs"]),
        len(garbage["records"]),
        len(garbage["trees"]),
        len(garbage["cas"]),
        sum(
            listed[folder][name].size for folder in _FOLDERS for name in garbage[folder]
        ),
        swept,
    )


def disk_usage(store: Store) -> dict[str, Usage]:
    """Say how much there is: of files, trees, records and runs."""
    names = {"cas": "files", "trees": "trees", "records": "records", "runs": "runs"}
    usage = {}
    for folder, name in names.items():
        sizes = [found.size for found in store.objects.list(folder)]
        usage[name] = Usage(len(sizes), sum(sizes))
    return usage


def copy(source: Store, target: Store, progress: Progress | None = None) -> Copied:
    """Copy what another store lacks: content first, records and runs last.

    Args:
        source: The store to copy from.
        target: The one to copy to.
        progress: Is told how many bytes there are to copy, and how many are copied.
    """
    lacking = {}
    for folder in _FOLDERS:
        there = _by_name(target.objects.list(folder))
        lacking[folder] = [
            found
            for found in source.objects.list(folder)
            if found.name not in there
            or (found.size != there[found.name].size and folder in ("cas", "runs"))
        ]
    left: list[str] = []
    meter = Meter(progress, sum(found.size for found in lacking["cas"]))
    with tempfile.TemporaryDirectory(prefix="strata-copy-") as scratch:

        def copy_file(found: Found) -> bool:
            digest = found.name.removeprefix("cas/")
            blob = Blob(found.name, digest, found.size)
            ends = source.objects, blob, target.objects, found.name
            try:
                pass_on(*ends, Path(scratch), meter.add)
            except (WrongBytes, FileNotFoundError):
                left.append(found.name)
                return False
            return True

        workers = min(source.objects.workers, target.objects.workers)
        files = in_parallel(copy_file, lacking["cas"], workers)

    target.objects.settle()

    def copy_tree(found: Found) -> bool:
        content = _read_tree(source, found.name)
        if content is not None:
            blobs = _blobs(content)
            if target.objects.sound(blobs) >= {blob.name for blob in blobs}:
                target.objects.put(found.name, content.manifest())
                return True
        left.append(found.name)
        return False

    trees = in_parallel(copy_tree, lacking["trees"], workers)
    target.objects.settle()

    def copy_record(found: Found) -> bool:
        data = source.objects.get(found.name)
        record = parse_record(data)
        if data is None or record is None or target.missing(outputs_of(record)):
            left.append(found.name)
            return False
        return target.objects.create(found.name, data)

    records = in_parallel(copy_record, lacking["records"], workers)

    def copy_run(found: Found) -> bool:
        data = source.objects.get(found.name)
        document = parse_document(data)
        if data is None or document is None:
            left.append(found.name)
            return False
        if target.objects.create(found.name, data):
            return True
        theirs = parse_document(target.objects.get(found.name)) or {}
        if theirs.get("state") in ("done", "failed", "stopped"):
            return False
        target.objects.put(found.name, data)
        return True

    runs = in_parallel(copy_run, lacking["runs"], workers)
    moved = sum(found.size for found, done in zip(lacking["cas"], files) if done)
    return Copied(
        sum(files), moved, sum(trees), sum(records), sum(runs), tuple(sorted(left))
    )


def _reach(
    store: Store, documents: Iterable[Document], roots: dict[str, set[str]]
) -> set[str]:
    """Give the names of all that is reached, roots among it.

    Whatever looks like an artifact's reference in a document counts, be it an output
    or an input.
    """
    reached = set().union(*roots.values())
    references: set[str] = set()
    records = set(roots["records"])
    for document in documents:
        references |= _references(document)
        records |= _records_of(document)

    def read(name: str) -> set[str]:
        return _references(parse_document(store.objects.get(name)))

    for found in in_parallel(read, sorted(records), store.objects.workers):
        references |= found
    trees = set(roots["trees"])
    for reference in references:
        kind, digest = split_reference(reference)
        if kind == "tree":
            trees.add(f"trees/{digest}")
        else:
            reached.add(f"cas/{digest}")

    def files(name: str) -> set[str]:
        content = _read_tree(store, name)
        return set() if content is None else {blob.name for blob in _blobs(content)}

    for names in in_parallel(files, sorted(trees), store.objects.workers):
        reached |= names
    return reached | records | trees


def _reach_of_newer(
    store: Store, before: dict[str, dict[str, Found]], fresh_since: float
) -> set[str]:
    """Give the names of all that is reached by what is there since it was listed.

    What a writer says that it relies on (``uses``) counts until it is older than what
    is kept anyway.
    """
    objects = store.objects
    newer: dict[str, set[str]] = {"cas": set()}
    for folder in ("runs", "records", "trees"):
        newer[folder] = {
            found.name
            for found in objects.list(folder)
            if before[folder].get(found.name) != found
        }
    uses = list(objects.list("uses"))
    old = [found.name for found in uses if found.modified < fresh_since]
    for used in uses:
        document = parse_document(objects.get(used.name)) or {}
        newer["cas"].update(document.get("names", ()))
    objects.delete(old)
    documents = _read_runs(store, newer["runs"])
    return _reach(store, documents.values(), newer)


def _records_of(document: Document) -> set[str]:
    """Give the names of the records that a run needs."""
    names = set()
    steps = document.get("steps")
    for step in steps.values() if isinstance(steps, dict) else ():
        if isinstance(step, dict):
            folder = f"records/{step.get('task')}/{step.get('step')}"
            items = step.get("items")
            keys = list(items.values()) if isinstance(items, dict) else []
            names.add(f"{folder}/{step.get('key')}.json")
            names |= {f"{folder}.items/{key}.json" for key in keys}
    return names


def _references(document: Any) -> set[str]:
    """Find all that look like artifacts' references, as values and as names."""
    if isinstance(document, str):
        return {document} if _REFERENCE.fullmatch(document) else set()
    if isinstance(document, dict):
        parts: Iterable[Any] = [*document, *document.values()]
    elif isinstance(document, list):
        parts = document
    else:
        return set()
    return set().union(*map(_references, parts))


def _read_runs(store: Store, names: Iterable[str]) -> dict[str, Document]:
    wanted = sorted(name for name in names if RunName.parse(name) is not None)
    read = in_parallel(store.objects.get, wanted, store.objects.workers)
    documents = {}
    for name, data in zip(wanted, read):
        document = parse_document(data)
        if data is not None and document is None:
            raise StoreError(
                f"{store.address}: {name} is damaged, so that nobody knows what it "
                "needs; ./strata store verify removes it"
            )
        if document is not None:
            documents[name] = document
    return documents


def _last_notes(notes: Iterable[Found]) -> dict[str, float]:
    """Give when something was last said of each run, in seconds since the epoch."""
    last: dict[str, float] = {}
    for found in notes:
        run = found.name.split("/")[1]
        last[run] = max(found.modified, last.get(run, 0.0))
    return last


def _identity(name: str) -> str:
    parsed = RunName.parse(name)
    assert parsed is not None
    return parsed.identity


def _begun(name: str) -> float:
    """Give when a run began, in seconds since the epoch, as its name says."""
    parsed = RunName.parse(name)
    assert parsed is not None
    told = datetime.strptime(parsed.started, "%Y/%m/%d/%H%M%S.%f")
    return told.replace(tzinfo=timezone.utc).timestamp()


def _now(store: Store, dry_run: bool) -> float:
    """Give the time, by the clock that is behind: ours, or that of the store."""
    if dry_run:
        return time.time()
    name = f"upkeep/{secrets.token_hex(12)}"
    store.objects.put(name, b"")
    found = _by_name(store.objects.list("upkeep"))
    store.objects.delete([name])
    return min(time.time(), found[name].modified) if name in found else time.time()


def _read_tree(store: Store, name: str) -> Content | None:
    """Read a manifest; None if it is damaged or not there."""
    data = store.objects.get(name)
    return None if data is None else _parse_tree(name, data)


def _parse_tree(name: str, data: bytes) -> Content | None:
    if f"trees/{hashlib.sha256(data).hexdigest()}" != name:
        return None
    try:
        return Content.parse(data)
    except ValueError:
        return None


def _blobs(content: Content) -> list[Blob]:
    return [Blob(f"cas/{e.digest}", e.digest, e.size) for e in content.files]


def _by_name(listing: Iterable[Found]) -> dict[str, Found]:
    return {found.name: found for found in listing}
