"""What a pipeline reads from outside: files and folders of the tree, and datasets."""

from __future__ import annotations

from pathlib import Path

from common.errors import UserError
from orchestration.checkout import Checkout
from orchestration.file_digests import FileDigests
from orchestration.launcher.job import JobInput
from orchestration.launcher.launch import memory_of
from orchestration.names import nearest
from orchestration.pipelines.spec import FromDataset, FromPath, Pipeline
from orchestration.store.content import Content, read_content
from orchestration.store.store import Store


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
            # Imported where it is needed: most commands read nothing from elsewhere.
            from orchestration.pipelines.datasets import fetch_dataset

            path = fetch_dataset(dataset.address, self._checkout.cache / "datasets")
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
