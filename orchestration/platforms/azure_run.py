"""Runs on Azure Machine Learning, as pipeline jobs, through its own package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from common.errors import RunError, UserError
from orchestration.azure.connection import connect, reported
from orchestration.azure.documents import AzureFile
from orchestration.azure.jobs import cancel, find_job, submit
from orchestration.pipelines.documents import read_document
from orchestration.platforms.azureml import job_names
from orchestration.platforms.nodes import Node
from orchestration.platforms.remote import RemoteState
from orchestration.stages import Stage

# The statuses of jobs after which nothing happens any more, as the service calls them.
# NotResponding is one of them for azure-ai-ml as well.
_ENDED: dict[str, Literal["done", "failed", "stopped"]] = {
    "Completed": "done",
    "Failed": "failed",
    "NotResponding": "failed",
    "Canceled": "stopped",
}


class AzureRun:
    """A run on Azure Machine Learning.

    Args:
        stage: Whose workspace it is in.
        name: The job's name.
        nodes: What it starts.
        file: The pipeline job, to be submitted; None for one that is there.
        properties: Properties that it gets beside those of the file.

    Raises:
        StageError: The stage names no workspace.
    """

    def __init__(
        self,
        stage: Stage,
        name: str,
        nodes: Sequence[Node],
        file: Path | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.link = ""
        self._steps = {job: node.step for node in nodes for job in job_names(node)}
        self._file = file
        self._properties = dict(properties or {})
        self._client = connect(stage)

    def submit(self) -> bool:
        """Submit the job; one of its name, which has the run's in it, is the same."""
        assert self._file is not None
        # Ours, of values that were checked: digests in it only look like secrets.
        document = read_document(self._file)
        file = AzureFile(self._file, self._file.name, document.data, document)
        own = {"name": self.name, "properties": self._properties}
        try:
            job = submit(self._client, file, {**file.data, **own})
        except UserError:
            # When the answer was lost and it was sent again, it is there already.
            there = find_job(self._client, self.name)
            if there is None:
                raise
            job = there
        self.link = job.studio or ""
        return job.is_new

    def state(self) -> RemoteState | None:
        """Ask the service."""
        job = find_job(self._client, self.name)
        if job is None:
            return None
        self.link = job.studio or self.link
        ended = _ENDED.get(job.status)
        failures = self._failures() if ended == "failed" else {}
        message = f"{job.status}; see {self.link}" if self.link else job.status
        notices = ("somebody has paused it",) if job.status == "Paused" else ()
        return RemoteState(ended, message, notices, failures)

    def last_lines(self, step: str) -> str:
        """Give nothing: the studio shows the logs of jobs."""
        return ""

    def stop(self) -> None:
        """Have the service cancel it."""
        cancel(self._client, self.name)

    def _failures(self) -> dict[str, str]:
        """Name the steps whose jobs failed, as far as the service lists them."""
        try:
            with reported(f"job {self.name}"):
                children = list(self._client.jobs.list(parent_job_name=self.name))
        except (UserError, RunError):
            return {}
        return {
            self._steps[child.display_name]: f"its job {child.name} failed"
            for child in children
            # What the package cannot read, it gives as None.
            if child is not None
            and child.status == "Failed"
            and child.display_name in self._steps
        }
