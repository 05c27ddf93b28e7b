"""Submit jobs of any kind, wait for them, cancel them."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from common.errors import RunError
from orchestration.azure.connection import reported
from orchestration.azure.documents import AzureFile, load

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_DONE, _CANCELED, _FAILED = "Completed", "Canceled", "Failed"
# What Azure Resource Manager says when it is not the job that is not there.
_ABOVE = ("ResourceGroupNotFound", "ResourceNotFound", "SubscriptionNotFound")


@dataclass(frozen=True)
class Submitted:
    """A job that the service has.

    Attributes:
        name: Its name.
        status: Its status, as the service calls it.
        studio: Where a browser shows it; None if the service says nothing.
        is_new: Whether it was submitted just now.
    """

    name: str
    status: str
    studio: str | None
    is_new: bool


def find_job(client: MLClient, name: str) -> Submitted | None:
    """Look for a job; None if the workspace has none of that name.

    Raises:
        UserError: As :func:`orchestration.azure.connection.reported`.
        RunError: As well.
    """
    from azure.core.exceptions import ResourceNotFoundError

    with reported(f"job {name}"):
        try:
            return _submitted(client.jobs.get(name), is_new=False)
        except ResourceNotFoundError as error:
            if getattr(error.error, "code", None) in _ABOVE:
                raise
            return None


def submit(client: MLClient, file: AzureFile, data: Mapping[str, Any]) -> Submitted:
    """Submit a job: a command, a pipeline, or any other kind that the service knows.

    The data hold its name, so that a request that is sent again stands for the same
    job, whoever sends it.

    Args:
        client: The workspace's client.
        file: Where the data come from: paths in them are relative to it.
        data: The job.

    Raises:
        FileError: The data do not fit the schema.
        UserError: The service refuses it.
        RunError: The service, or the way to it, failed.
    """
    from azure.ai.ml import load_job

    name = str(data["name"])
    job = load(load_job, file, data)
    with reported(f"job {name}"):
        # Its colours and empty lines would mix with ours.
        with contextlib.redirect_stderr(io.StringIO()):
            return _submitted(client.jobs.create_or_update(job), is_new=True)


def wait(client: MLClient, name: str, output: TextIO) -> Submitted:
    """Show what a job logs until it ends.

    Args:
        client: The workspace's client.
        name: The job.
        output: Where to write it.

    Returns:
        The job, which is done.

    Raises:
        RunError: The job failed or was cancelled, or the service cannot be reached.
        KeyboardInterrupt: After Ctrl-C; the job goes on.
    """
    from azure.ai.ml.exceptions import JobException

    with reported(f"waiting for job {name}, which goes on"):
        failure = ""
        try:
            with contextlib.redirect_stdout(output):
                client.jobs.stream(name)
        except JobException as error:
            if isinstance(error.__cause__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            failure = _failure(str(error.message))
        job = _submitted(client.jobs.get(name), is_new=False)
    if job.status == _DONE:
        return job
    ended = {_CANCELED: "was cancelled", _FAILED: "failed"}
    how = ended.get(job.status, f"ended as {job.status}")
    link = f"; see {job.studio}" if job.studio else ""
    raise RunError(f"job {name} {how}{f': {failure}' if failure else ''}{link}")


def cancel(client: MLClient, name: str) -> None:
    """Ask the service to cancel a job, and wait until it has.

    Raises:
        UserError: There is no such job.
        RunError: The service cannot be reached.
    """
    with reported(f"cancelling job {name}"):
        client.jobs.begin_cancel(name).result()


def _submitted(job: Any, is_new: bool) -> Submitted:
    # Some of its statuses are members of an enumeration.
    status = str(getattr(job.status, "value", job.status))
    return Submitted(str(job.name), status, job.studio_url, is_new)


def _failure(message: str) -> str:
    """Give the service's own message out of what the package wraps around it."""
    _, _, document = message.partition(":")
    try:
        found = json.loads(document)
        return str(found["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return " ".join(message.split())
