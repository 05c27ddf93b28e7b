"""Runs on Argo Workflows, through the Argo server's REST API (/api/v1).

Paths and bodies are those of Argo's published API description; hera's client speaks it.
Who somebody is comes from the environment alone: ARGO_TOKEN, as ``argo auth token``
prints it, or ARGO_TOKEN_FILE, a file that is read for each request, such as that of a
service account, which Kubernetes renews.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml
from hera.workflows import models
from hera.workflows.service import WorkflowsService
from pydantic import ValidationError
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util import Retry

from common.errors import RunError, UserError
from orchestration.platforms.argo import template_name
from orchestration.platforms.nodes import Node
from orchestration.platforms.remote import RemoteState
from orchestration.secret_values import hide_secrets
from orchestration.stages import Stage

# With pauses of 15 s together; a server that is busy says itself how long to wait.
_RETRIES, _BACKOFF_SECONDS = 5, 0.5
_RETRIED = (429, 500, 502, 503, 504)
_CONNECT_SECONDS, _READ_SECONDS = 20, 120
_RUN_LABEL = "strata/run"
_TOKEN, _TOKEN_FILE = "ARGO_TOKEN", "ARGO_TOKEN_FILE"
_SIGN_IN = f"give one in {_TOKEN} (argo auth token) or {_TOKEN_FILE}"
_NO_API = "what answers there does not speak Argo's API"
_LAST_LINES = 20
# How Argo ends workflows that somebody has asked it to end.
_STOPPED_BY = ("Terminate", "Stop")
# What every container's start goes through.
_STARTING = ("ContainerCreating", "PodInitializing")
# The name of an attempt is that of what is tried, with its number.
_ATTEMPT = re.compile(r"\(\d+\)$")


class _Refused(Exception):
    """An answer that is no success.

    Attributes:
        status: Its status.
        said: What it says.
        is_argos: Whether it has the form of Argo's own.
    """

    def __init__(self, status: int, said: str, is_argos: bool) -> None:
        super().__init__(status, said, is_argos)
        self.status = status
        self.said = said
        self.is_argos = is_argos


class ArgoRun:
    """A run on Argo.

    Args:
        stage: Whose server and namespace it is on.
        name: The workflow's name.
        run: The run.
        nodes: What it starts.
        text: The workflow, to be submitted; None for one that is there.

    Raises:
        StageError: The stage names no server.
        UserError: The token's file cannot be read.
    """

    def __init__(
        self,
        stage: Stage,
        name: str,
        run: str,
        nodes: Sequence[Node],
        text: str | None = None,
    ) -> None:
        server, namespace = stage.require("argo.server", "argo.namespace")
        self.name = name
        self.link = f"{server.rstrip('/')}/workflows/{namespace}/{name}"
        self._url = f"{server.rstrip('/')}/"
        self._namespace = namespace
        self._run = run
        self._steps = {template_name(node.name): node.step for node in nodes}
        self._text = text
        self._pods: dict[str, str] = {}
        self._log: list[dict[str, Any]] | None = None
        session = requests.Session()
        session.auth = _Token()
        session.hooks["response"].append(_refuse)
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter(max_retries=_retry()))
        self._session = session
        self._service = WorkflowsService(
            self._url, verify_ssl=True, namespace=namespace, session=session
        )

    def submit(self) -> bool:
        """Create the workflow; one of its name and run is the same, sent before."""
        assert self._text is not None
        workflow = models.Workflow.model_validate(yaml.safe_load(self._text))
        request = models.WorkflowCreateRequest(
            namespace=self._namespace, workflow=workflow
        )
        with self._reported():
            try:
                self._service.create_workflow(request)
                return True
            except _Refused as refusal:
                if refusal.status != 409:
                    raise
        try:
            with self._reported():
                there = self._service.get_workflow(self.name)
        except UserError as error:
            # It may be ours: that it was refused would be too much to say.
            raise RunError(f"{error} (it was there when it was sent)") from None
        if (there.metadata.labels or {}).get(_RUN_LABEL) != self._run:
            raise UserError(f"{self._where}: there is another workflow of this name")
        return False

    def state(self) -> RemoteState | None:
        """Ask the server."""
        with self._reported():
            try:
                workflow = self._service.get_workflow(self.name)
            except _Refused as refusal:
                # A proxy that has lost its server answers 404 as well.
                if refusal.status == 404 and refusal.is_argos:
                    return None
                raise
        status = workflow.status or models.WorkflowStatus()
        nodes = list((status.nodes or {}).values())
        message = hide_secrets(status.message or "")
        if status.phase == "Succeeded":
            return RemoteState("done", message)
        if status.phase not in ("Failed", "Error"):
            return RemoteState(None, message, self._notices(nodes))
        if workflow.spec.shutdown in _STOPPED_BY:
            return RemoteState("stopped", message)
        return RemoteState("failed", message, failures=self._failures(nodes))

    def _notices(self, nodes: Sequence[models.NodeStatus]) -> tuple[str, ...]:
        """Give what is said of containers that wait, such as for an image."""
        said = {
            f"{step}: {hide_secrets(node.message)}"
            for node in nodes
            if node.phase == "Pending"
            and node.message
            and (step := self._steps.get(node.template_name or ""))
            and not node.message.startswith(_STARTING)
        }
        return tuple(sorted(said))

    def _failures(self, nodes: Sequence[models.NodeStatus]) -> dict[str, str]:
        """Give what is said of each step's last attempt that has failed."""
        succeeded = {node.name for node in nodes if node.phase == "Succeeded"}
        failures: dict[str, str] = {}
        for node in sorted(nodes, key=_finished):
            step = self._steps.get(node.template_name or "")
            failed = node.type == "Pod" and node.phase in ("Failed", "Error")
            if failed and step and _ATTEMPT.sub("", node.name) not in succeeded:
                failures[step] = hide_secrets(node.message or str(node.phase).lower())
                # A pod's name ends like its node's, whatever is put in between.
                self._pods[step] = node.id.rpartition("-")[2]
        return failures

    def last_lines(self, step: str) -> str:
        """Ask for the end of the log of a step's failed container."""
        if self._log is None:
            self._log = self._read_log()
        end = f"-{self._pods.get(step, '')}"
        lines = [
            str(entry.get("content", ""))
            for entry in self._log
            if str(entry.get("podName", "")).endswith(end)
        ]
        return hide_secrets("\n".join(lines[-_LAST_LINES:]))

    def _read_log(self) -> list[dict[str, Any]]:
        """Read the end of all containers' logs; empty if it cannot be had."""
        # Not hera's: the answer is a line of JSON for each line of the log.
        options = {
            "logOptions.container": "main",
            "logOptions.tailLines": str(_LAST_LINES),
        }
        path = f"api/v1/workflows/{self._namespace}/{self.name}/log"
        try:
            with self._reported():
                answer = self._session.get(f"{self._url}{path}", params=options)
        except (UserError, RunError):
            return []
        return list(_entries(answer.text))

    def stop(self) -> None:
        """Have Argo terminate it."""
        request = models.WorkflowTerminateRequest(
            name=self.name, namespace=self._namespace
        )
        with self._reported():
            self._service.terminate_workflow(self.name, request)

    @property
    def _where(self) -> str:
        return f"workflow {self.name} at {self._url.rstrip('/')}"

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn what the client raises into one line, without anything secret."""
        try:
            yield
        except _Refused as refusal:
            raise _refusal(self._where, refusal) from None
        except requests.JSONDecodeError:
            raise RunError(f"{self._where}: {_NO_API}") from None
        except requests.RequestException as error:
            reason = hide_secrets(" ".join(str(error).split()))
            raise RunError(
                f"{self._where}: Argo cannot be reached: {reason[:400]}"
            ) from None
        except (ValidationError, ValueError, KeyError, TypeError):
            raise RunError(f"{self._where}: {_NO_API}") from None


class _Token(AuthBase):
    """Adds who we are to a request, and keeps ~/.netrc out of it."""

    def __call__(self, request: Any) -> Any:
        token, file = os.environ.get(_TOKEN), os.environ.get(_TOKEN_FILE)
        if file:
            try:
                token = Path(file).read_text()
            except OSError as error:
                raise UserError(f"{_TOKEN_FILE}: {file}: {error.strerror}") from None
        if token and token.strip():
            words = token.split()
            request.headers["Authorization"] = " ".join(
                words if len(words) > 1 else ["Bearer", *words]
            )
        return request


class _Adapter(HTTPAdapter):
    """Waits for an answer, but not for ever."""

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request, with limits."""
        kwargs["timeout"] = (_CONNECT_SECONDS, _READ_SECONDS)
        return super().send(*args, **kwargs)


def _retry() -> Retry:
    return Retry(
        total=_RETRIES,
        backoff_factor=_BACKOFF_SECONDS,
        status_forcelist=_RETRIED,
        # To create is safe as well: a second workflow of the name is refused.
        allowed_methods=None,
        raise_on_status=False,
    )


def _refuse(response: requests.Response, *args: Any, **kwargs: Any) -> None:
    """Raise for an answer that is no success, before hera looks into it.

    Raises:
        _Refused: It is none.
    """
    if response.ok:
        return
    try:
        said = response.json()
    except ValueError:
        said = None
    fields = said if isinstance(said, Mapping) else {}
    is_argos = "code" in fields and "message" in fields
    text = fields.get("message") or response.text or response.reason
    line = hide_secrets(" ".join(str(text).split()))[:400]
    raise _Refused(response.status_code, line, is_argos)


def _refusal(where: str, refusal: _Refused) -> Exception:
    """Give what to raise for an answer that is no success."""
    status, said = refusal.status, refusal.said
    if status == 401:
        return UserError(f"{where}: Argo refuses the token; {_SIGN_IN}: {said}")
    if status == 403:
        return UserError(f"{where}: whoever the token is of may not do that: {said}")
    if status == 404 and not refusal.is_argos:
        return RunError(f"{where}: {_NO_API}")
    if 400 <= status < 500 and status not in (408, 429):
        return UserError(f"{where}: {said}")
    return RunError(f"{where}: Argo answers {status}: {said}")


def _finished(node: models.NodeStatus) -> float:
    """Give when a node ended, in seconds since the epoch; 0 if nobody says."""
    return 0.0 if node.finished_at is None else node.finished_at.root.timestamp()


def _entries(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            entry = json.loads(line)["result"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(entry, dict):
            yield entry
