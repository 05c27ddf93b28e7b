"""What a pipeline reads from outside: files and folders of the tree, and datasets.

A dataset elsewhere is brought here once for each state of it, as the server tells
states apart; its content, and never what the server says, is what a step's key has.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import requests

from common.errors import RunError, UserError
from orchestration.atomic_files import make_folder_once
from orchestration.checkout import Checkout
from orchestration.file_digests import FileDigests
from orchestration.launcher.job import JobInput
from orchestration.launcher.launch import memory_of
from orchestration.names import nearest
from orchestration.pipelines.spec import FromDataset, FromPath, Pipeline
from orchestration.store.content import Content, read_content
from orchestration.store.objects import open_objects
from orchestration.store.store import Store

_SECONDS = 60
_CHUNK = 1 << 20


class InputReader:
    """Reads inputs, each once.

    Args:
        checkout: The checkout that paths are relative to.
        pipeline: Whose inputs they are.
        store: Has the outputs of steps.
    """

    def __init__(self, checkout: Checkout, pipeline: Pipeline, store: Store) -> None:
        self._checkout = checkout
        self._pipeline = pipeline
        self._store = store
        self._read: dict[str, Content] = {}

    def read(self, where: str, name: str, source: FromPath | FromDataset) -> JobInput:
        """Give an input with its content as it is now.

        Args:
            where: What asks for it, for messages.
            name: The input's name in its step.
            source: The path or the dataset.

        Raises:
            UserError: It is not there, or is not what its digest says.
            RunError: It cannot be brought here.
        """
        if isinstance(source, FromPath):
            path = self._checkout.root / source.path
            return self._at(where, name, path, source.path)
        dataset = self._pipeline.datasets[source.dataset]
        path = self._checkout.root / dataset.address
        if "://" in dataset.address:
            path = self._fetch(dataset.address)
        found = self._at(f"datasets.{source.dataset}", name, path, dataset.address)
        digest = found.reference.partition(":")[2]
        if dataset.digest not in (None, f"sha256:{digest}"):
            raise UserError(
                f"datasets.{source.dataset}: {dataset.address} is not what its digest "
                f"says; it is sha256:{digest}"
            )
        return found

    def content(self, source: JobInput) -> Content:
        """Give what an input is made of.

        Raises:
            StoreError: The store lacks it.
        """
        if source.path is not None:
            return self._read[source.path]
        return self._store.content(source.reference)

    def _at(self, where: str, name: str, path: Path, shown: str) -> JobInput:
        if str(path) not in self._read:
            if not path.exists():
                siblings = sorted(p.name for p in path.parent.glob("*"))
                raise UserError(
                    f"{where}: there is no {shown}{nearest(path.name, siblings)}"
                )
            digests = FileDigests(
                Path("/"), memory_of(self._checkout.cache / "inputs", path)
            )
            self._read[str(path)] = read_content(path, digests, "followed")
            digests.save()
        reference = self._read[str(path)].reference
        suffix = "" if reference.startswith("tree:") else path.suffix
        return JobInput(reference, f"inputs/{name}{suffix}", str(path))

    def _fetch(self, address: str) -> Path:
        if address.startswith("https://"):
            return self._download(address)
        objects = open_objects(address)
        listed = sorted((one.name, one.size, one.tag) for one in objects.list(""))
        if not listed:
            raise UserError(f"{address}: there is nothing")

        def fill(new: Path) -> None:
            for name, _, _ in listed:
                target = new / "content" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                objects.download(name, target)

        return self._kept(address, json.dumps(listed), fill)

    def _download(self, address: str) -> Path:
        name = address.partition("?")[0].rstrip("/").rpartition("/")[2] or "file"
        try:
            with requests.get(address, stream=True, timeout=_SECONDS) as answer:
                answer.raise_for_status()
                tags = ("ETag", "Last-Modified", "Content-Length")
                state = json.dumps([answer.headers.get(tag) for tag in tags])

                def fill(new: Path) -> None:
                    (new / "content").mkdir()
                    with (new / "content" / name).open("wb") as file:
                        for part in answer.iter_content(_CHUNK):
                            file.write(part)

                return self._kept(address, state, fill) / name
        except requests.RequestException as error:
            problem = type(error).__name__
            if error.response is not None:
                problem = f"status {error.response.status_code}"
            shown = address.partition("?")[0]
            raise RunError(f"{shown} cannot be read: {problem}") from None

    def _kept(self, address: str, state: str, fill: Callable[[Path], None]) -> Path:
        name = hashlib.sha256(json.dumps([address, state]).encode()).hexdigest()
        folder = self._checkout.cache / "datasets" / name[:24]
        return make_folder_once(folder, fill) / "content"
