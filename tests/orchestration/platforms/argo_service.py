"""An Argo server on loopback, as far as we use it; it executes what it takes.

Paths, bodies and errors are those of Argo's published API description (/api/v1) of how
workflows are created, looked at and terminated, and their logs read. Faults are put in
by the test.
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.orchestration.faults import Fault, FaultyHandler
from tests.orchestration.platforms.workflows import Pod

NAMESPACE = "models"
# What must never be seen anywhere.
TOKEN = "c2VydmljZS1hY2NvdW50LXRva2Vu"
Execute = Callable[[str], Sequence[Pod]]


@dataclass(frozen=True)
class Request:
    """A request that arrived: its method, its path and its body, if that is JSON."""

    method: str
    path: str
    body: Any


@dataclass
class ArgoService:
    """The server's state.

    Attributes:
        url: Its address.
        execute: Executes a workflow, given as YAML; None leaves it running.
        workflows: The workflows, by name.
        logs: What containers wrote, by the names of their pods.
        requests: All that arrived.
        faults: What goes wrong; each counts down.
        token: The token that is good.
        when_looked_at: Is called when somebody asks how a workflow goes.
        break_after_create: No request is answered any more once one has created
            something.
    """

    url: str = ""
    execute: Execute | None = None
    workflows: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    token: str = TOKEN
    when_looked_at: Callable[[], object] = lambda: None
    break_after_create: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)
    threads: list[threading.Thread] = field(default_factory=list)

    def asked(self, method: str, path: str = "") -> list[Request]:
        """Give the requests of a method whose path has a regular expression in it."""
        found = [one for one in self.requests if one.method == method]
        return [one for one in found if re.search(path, one.path)]

    def create(self, workflow: dict[str, Any]) -> tuple[int, Any]:
        """Take a workflow."""
        name = workflow["metadata"]["name"]
        if name in self.workflows:
            said = f'workflows.argoproj.io "{name}" already exists'
            return 409, {"code": 6, "message": said}
        workflow = copy.deepcopy(workflow)
        workflow["metadata"]["uid"] = f"uid-of-{name}"
        workflow["status"] = {"phase": "Running", "nodes": {}}
        self.workflows[name] = workflow
        if self.execute is not None:
            self.resume(name)
        return 200, workflow

    def resume(self, name: str) -> None:
        """Execute a workflow that was left running."""
        thread = threading.Thread(target=self._run, args=(name,))
        self.threads.append(thread)
        thread.start()

    def resume_once(self, name: str) -> None:
        """Execute a workflow unless it is executed already."""
        if not self.threads:
            self.resume(name)

    def join(self) -> None:
        """Wait until workflows that are executed have ended."""
        for thread in self.threads:
            thread.join()

    def add_node(
        self,
        name: str,
        task: str,
        kind: str,
        phase: str,
        message: str = "",
        attempt: int | None = None,
    ) -> None:
        """Put a node into a workflow's status, as Argo writes one."""
        nodes = self.workflows[name]["status"]["nodes"]
        number = len(nodes)
        suffix = "" if attempt is None else f"({attempt})"
        nodes[f"{name}-{number}"] = {
            "id": f"{name}-{number}",
            "name": f"{name}.{task}{suffix}",
            "displayName": f"{task}{suffix}",
            "type": kind,
            "templateName": task,
            "phase": phase,
            "message": message,
            "finishedAt": f"2026-01-02T03:04:{number:02}Z",
        }

    def end(
        self, name: str, pods: Sequence[Pod], phase: str, message: str = ""
    ) -> None:
        """Have a workflow end.

        Args:
            name: The workflow.
            pods: Its containers.
            phase: How it ends.
            message: Why.
        """
        status = self.workflows[name]["status"]
        for pod in pods:
            said = f"Error (exit code {pod.status})" if pod.status else ""
            how = "Failed" if pod.status else "Succeeded"
            self.logs[f"{name}-{pod.task}-{len(status['nodes'])}"] = pod.output
            self.add_node(name, pod.task, "Pod", how, said)
        status |= {"phase": phase, "message": message}

    def _run(self, name: str) -> None:
        assert self.execute is not None
        pods = self.execute(yaml.safe_dump(self.workflows[name]))
        failed = [pod.task for pod in pods if pod.status]
        with self.lock:
            if failed:
                self.end(name, pods, "Failed", f"child '{failed[0]}' failed")
            else:
                self.end(name, pods, "Succeeded")


class _Handler(FaultyHandler):
    server: _Server

    def handle_one(self) -> None:
        service = self.server.service
        url = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw) if raw else None
        service.requests.append(Request(self.command, url.path, body))
        fault = self.next_fault(service.faults, url.path)
        if fault is not None and not fault.after:
            self.fail(fault)
            return
        if service.break_after_create and service.workflows:
            self.fail(Fault(self.command, ""))
            return
        status, answer = self._answer(url.path, parse_qs(url.query), body)
        if service.break_after_create and service.workflows:
            fault = Fault(self.command, "")
        if fault is not None:
            self.fail(fault)
            return
        self.reply(status, {}, answer)

    do_GET = do_PUT = do_POST = handle_one

    def _answer(
        self, path: str, query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any]:
        service = self.server.service
        if self.headers.get("Authorization") != f"Bearer {service.token}":
            return 401, {"code": 16, "message": "token not valid for running mode"}
        found = re.fullmatch(rf"/api/v1/workflows/{NAMESPACE}(/[^/]+)?(/\w+)?", path)
        if found is None:
            return 404, {"code": 5, "message": "Not Found"}
        with service.lock:
            if self.command == "POST" and found[1] is None:
                assert body["namespace"] == NAMESPACE
                return service.create(body["workflow"])
            name = str(found[1]).removeprefix("/")
            if name not in service.workflows:
                said = f'workflows.argoproj.io "{name}" not found'
                return 404, {"code": 5, "message": said}
            workflow = service.workflows[name]
            if found[2] == "/log":
                assert query["logOptions.container"] == ["main"]
                return 200, _log(service.logs, int(query["logOptions.tailLines"][0]))
            if found[2] == "/terminate":
                workflow["spec"]["shutdown"] = "Terminate"
                service.end(name, [], "Failed", "Stopped with strategy 'Terminate'")
        if self.command == "GET":
            service.when_looked_at()
        return 200, workflow


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, service: ArgoService) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service = service

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that a fault has cut."""


def _log(logs: dict[str, str], lines: int) -> bytes:
    """Give the last lines of all pods: a document for each line."""
    entries = [
        {"result": {"content": line, "podName": pod}}
        for pod, text in sorted(logs.items())
        for line in text.splitlines()[-lines:]
    ]
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


@contextmanager
def serve_argo() -> Iterator[ArgoService]:
    """Serve until the block ends; workflows that are executed come to their end."""
    service = ArgoService()
    server = _Server(service)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield service
    finally:
        service.join()
        server.shutdown()
        server.server_close()
        thread.join()
