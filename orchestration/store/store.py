"""The artifact store: what finished steps made, under digests, and their records.

Layout: files in ``cas/<sha256>``, folders' manifests in ``trees/<sha256>``, records in
``records/<task>/<step>/<key>.json``, runs in
``runs/<pipeline>/<yyyy>/<mm>/<dd>/<time>-<id>.json``, and how the steps of a run on a
platform go in ``notes/<id>/<part>.json``. Files are written before the manifest that
names them, and both before a record that does, so that whatever is killed at any point
leaves what was there, or what it was about to write, whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from common.errors import UserError
from orchestration.store.content import Content, Entry
from orchestration.store.errors import CorruptArtifact, StoreError
from orchestration.store.objects import (
    Blob,
    Objects,
    WrongBytes,
    open_objects,
    pass_on,
)
from orchestration.store.parallel import Meter, Progress, in_parallel

Document = dict[str, Any]

_REFERENCE = re.compile(r"(file|executable|tree):([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_FILE_MODE, _EXECUTABLE_MODE = 0o644, 0o755


@dataclass(frozen=True, order=True)
class RunName:
    """What the name of a run's document says.

    Attributes:
        started: Date and time, as ``yyyy/mm/dd/hhmmss.ffffff``, in UTC.
        pipeline: The pipeline.
        identity: The run's id.
    """

    started: str
    identity: str
    pipeline: str

    @property
    def object(self) -> str:
        """The document's name in the store."""
        return f"runs/{self.pipeline}/{self.started}-{self.identity}.json"

    @classmethod
    def parse(cls, name: str) -> RunName | None:
        """Read the name of a document; None if it is none of a run."""
        found = re.fullmatch(
            r"runs/(.+)/(\d{4}/\d\d/\d\d/\d{6}\.\d{6})-([^/]+)\.json", name
        )
        return cls(found[2], found[3], found[1]) if found else None


class Store:
    """Artifacts, records and runs.

    Args:
        objects: What they are kept in.
    """

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    @classmethod
    def open(cls, address: str) -> Store:
        """Open a store; one that is not there yet is empty.

        Args:
            address: A folder, or what :func:`open_objects` takes.

        Raises:
            UserError: It is no address of a store.
        """
        return cls(open_objects(address))

    @property
    def address(self) -> str:
        """Where it is, without any secret."""
        return self.objects.address

    def missing(self, references: Iterable[str]) -> set[str]:
        """Give those that are not there whole.

        An artifact of which something is lacking, has another size, or is known to be
        damaged is missing; what is damaged is removed.
        """
        wanted = sorted(set(references))
        contents = in_parallel(self._contents_if_there, wanted, self.objects.workers)
        blobs: dict[tuple[str, int | None], Blob] = {}
        for content in contents:
            for entry in content or ():
                blobs[entry.name, entry.size] = entry
        sound = self.objects.sound([blobs[key] for key in sorted(blobs, key=str)])
        return {
            reference
            for reference, content in zip(wanted, contents)
            if content is None or any(blob.name not in sound for blob in content)
        }

    def add(
        self, path: Path, content: Content, progress: Progress | None = None
    ) -> None:
        """Store a file or folder; what is there already is not written again.

        Args:
            path: The file or folder.
            content: What :func:`read_content` read of it.
            progress: Is told how many bytes there are, and how many are stored.

        Raises:
            StoreError: A file is no longer what was read, or the store fails.
        """
        sources = {
            _blob(entry): path / entry.path if entry.path else path
            for entry in content.files
        }
        there = self._there(list(sources))
        lacking = sorted(
            (blob for blob in sources if blob.name not in there),
            key=lambda blob: -(blob.size or 0),
        )
        meter = Meter(progress, sum(blob.size or 0 for blob in sources))
        meter.add(sum(blob.size or 0 for blob in sources if blob.name in there))

        def upload(blob: Blob) -> None:
            source = sources[blob]
            try:
                self.objects.upload(source, blob, meter.add)
            except (WrongBytes, FileNotFoundError):
                raise StoreError(
                    f"{source} was changed while it was stored; run the step again"
                ) from None

        in_parallel(upload, lacking, self.objects.workers)
        if not content.is_file:
            self._add_manifest(content.manifest())

    def add_text(self, data: bytes) -> str:
        """Store bytes as a file, and give its reference."""
        digest = hashlib.sha256(data).hexdigest()
        blob = Blob(f"cas/{digest}", digest, len(data))
        if not self._there([blob]):
            self.objects.put(blob.name, data)
        return f"file:{digest}"

    def add_manifest(self, content: Content) -> None:
        """Store a folder's manifest, for files that the store has already."""
        self._add_manifest(content.manifest())

    def text(self, reference: str) -> bytes:
        """Give the bytes of an artifact that is a small file, such as a log.

        Raises:
            CorruptArtifact: It is not there, or is damaged; it was removed.
        """
        _, digest = split_reference(reference)
        name = f"cas/{digest}"
        data = self.objects.get(name)
        if data is None or hashlib.sha256(data).hexdigest() != digest:
            self.objects.discard(Blob(name, digest, None))
            raise CorruptArtifact(reference, digest, "it is not in the store whole")
        return data

    def content(self, reference: str) -> Content:
        """Say what an artifact is made of.

        Raises:
            CorruptArtifact: It is not there, or its manifest is damaged.
            UserError: It is no reference.
        """
        kind, digest = split_reference(reference)
        if kind == "tree":
            content = self._manifest(digest)
            if content is None:
                raise CorruptArtifact(reference, digest, "it is not in the store whole")
            return content
        size = self.objects.size(f"cas/{digest}")
        if size is None:
            raise CorruptArtifact(reference, digest, "it is not in the store")
        entry = Entry("", "file" if kind == "file" else "executable", digest, size)
        return Content((entry,))

    def restore(
        self, reference: str, path: Path, progress: Progress | None = None
    ) -> None:
        """Write an artifact as a file or folder, which appears whole or not at all.

        Files are copies that may be written (0644, or 0755), on file systems that can
        do that with shared blocks; every byte is compared with its digest.

        Args:
            reference: The artifact.
            path: What it becomes. Missing parents are made.
            progress: Is told how many bytes there are, and how many are written.

        Raises:
            CorruptArtifact: Something of it is lacking or damaged. It was removed.
            UserError: There is something at the path, or it is no reference.
        """
        content = self.content(reference)
        path = Path(os.path.abspath(path))
        if os.path.lexists(path):
            raise UserError(f"{path} is there already; nothing was restored")
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".strata-{secrets.token_hex(8)}")
        try:
            self._fill(reference, content, new, progress)
            if os.path.lexists(path):
                raise UserError(f"{path} has come to be meanwhile")
            new.rename(path)
        except BaseException:
            if new.is_dir():
                shutil.rmtree(new, ignore_errors=True)
            else:
                new.unlink(missing_ok=True)
            raise

    def write_file(self, entry: Entry, target: Path) -> None:
        """Write a file of an artifact as a new file.

        Args:
            entry: The file.
            target: What it becomes, which must not exist. It is left as far as it came
                when this fails.

        Raises:
            CorruptArtifact: It is lacking or damaged. It was removed.
        """
        self._write_file(f"file:{entry.digest}", entry, target, lambda count: None)

    def send(self, entry: Entry, target: Objects, name: str, scratch: Path) -> None:
        """Write a file of an artifact as an object elsewhere.

        Args:
            entry: The file.
            target: Takes it.
            name: What it is called there.
            scratch: A folder that it may pass through.

        Raises:
            CorruptArtifact: It is lacking or damaged. It was removed.
        """
        with self._whole(f"file:{entry.digest}", entry) as blob:
            pass_on(self.objects, blob, target, name, scratch, lambda count: None)

    def record(self, task: str, step: str, key: str) -> Document | None:
        """Give what a finished step left; None if it has not finished."""
        name = _record_name(task, step, key)
        return parse_record(self.objects.get(name))

    def records(
        self, task: str, step: str, newest: int | None = None
    ) -> list[Document]:
        """Give the records of a step, the newest first.

        Args:
            task: The task's name.
            step: The step's.
            newest: Read only so many, of those that were written last; None reads all.
        """
        found_keys = sorted(
            self._listed(task, step), key=lambda one: one[1], reverse=True
        )
        names = [_record_name(task, step, key) for key, _ in found_keys[:newest]]
        read = in_parallel(self.objects.get, names, self.objects.workers)
        found = [record for record in map(parse_record, read) if record is not None]
        return sorted(found, key=lambda r: str(r.get("finished", "")), reverse=True)

    def add_record(
        self, task: str, step: str, key: str, document: Document, replace: bool = False
    ) -> bool:
        """Keep what a step left, after its artifacts have been added.

        Args:
            task: The task's name.
            step: The step's.
            key: The step's key.
            document: The record.
            replace: Write it in place of one that is there.

        Returns:
            Whether it is kept; False if another was first.
        """
        name = _record_name(task, step, key)
        data = _as_json(document)
        self.objects.settle()
        if not replace:
            if self.objects.create(name, data):
                return True
            if parse_record(self.objects.get(name)) is not None:
                return False
        self.objects.put(name, data)
        return True

    def keys(self, task: str, step: str) -> set[str]:
        """Give the keys of all records of a step."""
        return {key for key, _ in self._listed(task, step)}

    def steps(self) -> dict[tuple[str, str], int]:
        """Count the records, by task and step."""
        counts: dict[tuple[str, str], int] = {}
        for record in self.objects.list("records"):
            parts = split_record_name(record.name)
            if parts is not None:
                counts[parts[:2]] = counts.get(parts[:2], 0) + 1
        return dict(sorted(counts.items()))

    def remember_run(self, pipeline: str, run_id: str, document: Document) -> None:
        """Keep what ran with what; it may be written again while it runs.

        Args:
            pipeline: The pipeline's name.
            run_id: The run's id.
            document: With ``started``, the time in ISO 8601, which stays the same.
        """
        name = _run_name(pipeline, run_id, document)
        self.objects.settle()
        self.objects.put(name, _as_json(document))

    def remembered_run(
        self, pipeline: str, run_id: str, document: Document
    ) -> Document | None:
        """Give what is kept of a run that began when a document says; None if nothing.

        It is :meth:`run` for who knows where to look.
        """
        name = _run_name(pipeline, run_id, document)
        return parse_document(self.objects.get(name))

    def runs(self, pipeline: str | None = None) -> list[str]:
        """Give the ids of all runs, of a pipeline if it is given, the newest first."""
        return [name.identity for name in self._runs(pipeline)]

    def run_documents(self, pipeline: str | None, limit: int) -> list[Document]:
        """Give what is kept of the newest runs; those that are damaged are left out."""
        names = [name.object for name in self._runs(pipeline)[:limit]]
        read = in_parallel(self.objects.get, names, self.objects.workers)
        return [one for one in map(parse_document, read) if one is not None]

    def run(self, run_id: str) -> Document:
        """Give what is kept of a run.

        Raises:
            UserError: There is no such run.
            StoreError: What is kept of it is damaged.
        """
        for name in self._runs(None):
            if name.identity == run_id:
                document = parse_document(self.objects.get(name.object))
                if document is None:
                    raise StoreError(f"what is kept of the run {run_id} is damaged")
                return document
        raise UserError(f"{self.address}: there is no run {run_id}")

    def note(self, run_id: str, name: str, document: Document) -> None:
        """Leave word, for who follows a run, of how a part of it goes.

        Args:
            run_id: The run's id.
            name: The part; what was said of it before is replaced.
            document: What there is to say.
        """
        _check_name(run_id)
        _check_name(name)
        self.objects.put(f"notes/{run_id}/{name}.json", _as_json(document))

    def notes(self, run_id: str, without: Collection[str] = ()) -> dict[str, Document]:
        """Give what was said of the parts of a run, by name, sorted.

        Args:
            run_id: The run's id.
            without: Parts that are not looked up again.
        """
        _check_name(run_id)
        folder = f"notes/{run_id}"
        listed = [
            one.name.removeprefix(f"{folder}/").removesuffix(".json")
            for one in self.objects.list(folder)
        ]
        names = sorted(set(listed) - set(without))
        objects = [f"{folder}/{name}.json" for name in names]
        read = in_parallel(self.objects.get, objects, self.objects.workers)
        found = zip(names, map(parse_document, read), strict=True)
        return {name: document for name, document in found if document is not None}

    def _listed(self, task: str, step: str) -> Iterator[tuple[str, float]]:
        """Give the key of each record of a step, and when it was written."""
        folder = _record_name(task, step, "key").rpartition("/")[0]
        for record in self.objects.list(folder):
            name = record.name.removeprefix(f"{folder}/")
            if name.endswith(".json") and "/" not in name:
                yield name.removesuffix(".json"), record.modified

    def _there(self, blobs: Sequence[Blob]) -> set[str]:
        """Give the names of those that are there and will not go."""
        sound = self.objects.sound(blobs)
        return self.objects.rely_on([blob for blob in blobs if blob.name in sound])

    def _runs(self, pipeline: str | None) -> list[RunName]:
        folder = "runs" if pipeline is None else f"runs/{pipeline}"
        parsed = [RunName.parse(found.name) for found in self.objects.list(folder)]
        runs = [name for name in parsed if name is not None]
        wanted = [name for name in runs if pipeline in (None, name.pipeline)]
        return sorted(wanted, reverse=True)

    def _contents_if_there(self, reference: str) -> list[Blob] | None:
        """Give the files of an artifact; None if its manifest is not there."""
        kind, digest = split_reference(reference)
        if kind != "tree":
            return [Blob(f"cas/{digest}", digest, None)]
        content = self._manifest(digest)
        return None if content is None else [_blob(entry) for entry in content.files]

    def _manifest(self, digest: str) -> Content | None:
        """Read a manifest; None if it is not there. A damaged one is removed."""
        name = f"trees/{digest}"
        data = self.objects.get(name)
        if data is None:
            return None
        if hashlib.sha256(data).hexdigest() == digest:
            try:
                return Content.parse(data)
            except ValueError:
                self.objects.delete([name])
                return None
        self.objects.discard(Blob(name, digest, None))
        return None

    def _add_manifest(self, data: bytes) -> None:
        # Once more if it is there: garbage that is used again is no garbage any more.
        self.objects.settle()
        self.objects.put(f"trees/{hashlib.sha256(data).hexdigest()}", data)

    def _fill(
        self, reference: str, content: Content, new: Path, progress: Progress | None
    ) -> None:
        meter = Meter(progress, content.size)
        if not content.is_file:
            _make_folders(new, content)

        def download(entry: Entry) -> None:
            target = new / entry.path if entry.path else new
            self._write_file(reference, entry, target, meter.add)

        in_parallel(download, content.files, self.objects.workers)

    def _write_file(
        self, reference: str, entry: Entry, target: Path, moved: Callable[[int], None]
    ) -> None:
        mode = _EXECUTABLE_MODE if entry.kind == "executable" else _FILE_MODE
        with self._whole(reference, entry) as blob:
            self.objects.download(blob, target, mode, moved)

    @contextmanager
    def _whole(self, reference: str, entry: Entry) -> Iterator[Blob]:
        """Give a file's object; remove it and say so if it turns out to be damaged."""
        blob = _blob(entry)
        try:
            yield blob
        except WrongBytes:
            self.objects.discard(blob)
            raise CorruptArtifact(
                reference,
                entry.digest,
                f"{entry.path or 'its file'} is lacking or damaged in the store",
            ) from None


def split_reference(reference: str) -> tuple[str, str]:
    """Split an artifact's name into its kind and its digest.

    Raises:
        UserError: It is no reference.
    """
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise UserError(
            f"{reference!r} names no artifact; file:, executable: or tree: and a "
            "SHA-256 do"
        )
    return found[1], found[2]


def split_record_name(name: str) -> tuple[str, str, str] | None:
    """Split a record's object name into task, step and key; None if it is none."""
    parts = name.removesuffix(".json").split("/")
    if not name.endswith(".json") or len(parts) < 4:
        return None
    return "/".join(parts[1:-2]), parts[-2], parts[-1]


def parse_document(data: bytes | None) -> Document | None:
    """Read a JSON object; None if it is not there or damaged."""
    try:
        document = json.loads(data or b"")
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def parse_record(data: bytes | None) -> Document | None:
    """Read a record; None if it is not there or damaged."""
    document = parse_document(data)
    if document is None or not isinstance(document.get("outputs"), Mapping):
        return None
    for output in document["outputs"].values():
        if not isinstance(output, Mapping):
            return None
        if not _REFERENCE.fullmatch(str(output.get("reference"))):
            return None
    return document


def outputs_of(record: Document) -> Sequence[str]:
    """Give the references of what a record's step made, sorted."""
    return sorted({output["reference"] for output in record["outputs"].values()})


def _as_json(document: Document) -> bytes:
    # On one line: json indents in Python, and this way it writes in C.
    return json.dumps(document, sort_keys=True).encode()


def _blob(entry: Entry) -> Blob:
    return Blob(f"cas/{entry.digest}", entry.digest, entry.size)


def _record_name(task: str, step: str, key: str) -> str:
    for part in (*task.split("/"), step, key):
        _check_name(part)
    return f"records/{task}/{step}/{key}.json"


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is no name in a store; letters, digits, _, . and - make one"
        )


def _run_name(pipeline: str, run_id: str, document: Document) -> str:
    for part in (run_id, *pipeline.split("/")):
        _check_name(part)
    try:
        started = datetime.fromisoformat(document["started"])
    except (KeyError, TypeError, ValueError):
        raise ValueError("a run needs the time when it started") from None
    when = started.astimezone(timezone.utc).strftime("%Y/%m/%d/%H%M%S.%f")
    return RunName(when, run_id, pipeline).object


def _make_folders(new: Path, content: Content) -> None:
    folders = {
        e.path if e.kind == "folder" else _parent(e.path) for e in content.entries
    }
    new.mkdir()
    for folder in sorted(folders):
        os.makedirs(new / folder, exist_ok=True)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
