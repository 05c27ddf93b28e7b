"""What goes wrong with a store, in one line that holds no secret."""

from __future__ import annotations

from common.errors import RunError


class StoreError(RunError):
    """The store could not do what it was asked for."""


class CorruptArtifact(StoreError):
    """The store had other bytes than a digest says, or lacks some.

    They have been removed, so that the step that makes the artifact runs again.

    Attributes:
        reference: The artifact, or the file itself where no artifact was asked for.
        digest: The SHA-256 that the bytes should have had.
    """

    def __init__(self, reference: str, digest: str, problem: str) -> None:
        super().__init__(reference, digest, problem)
        self.reference = reference
        self.digest = digest
        self._problem = problem

    def __str__(self) -> str:
        return f"{self.reference}: {self._problem}; run its step again"
