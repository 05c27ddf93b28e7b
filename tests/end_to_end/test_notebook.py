"""JupyterLab on a task's environment: real server, real kernel."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
import requests
from websocket import create_connection

from tests.end_to_end.conftest import free_port
from tests.end_to_end.orchard import Orchard

CODE = """\
import json
import tqdm
import domains.apples.helper
try:
    import domains.apples.unused
except ModuleNotFoundError as error:
    print(json.dumps({"unused": str(error), "tqdm": tqdm.__file__}))
"""


@pytest.fixture(params=["host", "docker"])
def where(request: pytest.FixtureRequest) -> list[str]:
    """The flags for JupyterLab on the host, and in the task's image."""
    if request.param == "host":
        return []
    request.getfixturevalue("engine")
    return ["--docker"]


@contextmanager
def notebook(orchard: Orchard, *flags: str) -> Iterator[tuple[str, str]]:
    """Start JupyterLab and end it with Ctrl-C; its address and token meanwhile."""
    port = free_port()
    with subprocess.Popen(
        ["./strata", "notebook", "apples", f"--port={port}", *flags],
        cwd=orchard.tree.root,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        address, _, token = next(
            line.strip() for line in lines if line.startswith("http")
        ).partition("/lab?token=")
        assert address == f"http://127.0.0.1:{port}"
        yield address, token
        process.send_signal(signal.SIGINT)
        assert list(lines)[-1] == "stopped\n"
    assert process.returncode == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=5)


def execute(address: str, token: str, code: str) -> str:
    """Execute code in a kernel of its own; what it printed, or its error.

    The messages are those of Jupyter's messaging protocol, version 5.3.
    """
    headers = {"Authorization": f"token {token}"}
    kernel = requests.post(
        f"{address}/api/kernels", json={"name": "python3"}, headers=headers, timeout=60
    ).json()["id"]
    channels = f"ws{address.removeprefix('http')}/api/kernels/{kernel}/channels"
    channel = create_connection(
        channels, header=[f"Authorization: token {token}"], timeout=60
    )
    own = uuid4().hex
    request = {
        "header": {
            "msg_id": own,
            "msg_type": "execute_request",
            "session": uuid4().hex,
            "username": "",
            "version": "5.3",
        },
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False},
        "channel": "shell",
    }
    channel.send(json.dumps(request))
    printed = ""
    while True:
        message = json.loads(channel.recv())
        content = message["content"]
        if message["msg_type"] == "stream":
            printed += content["text"]
        if message["msg_type"] == "error":
            printed += f"{content['ename']}: {content['evalue']}"
        if message["msg_type"] == "status" and content["execution_state"] == "idle":
            if message["parent_header"]["msg_id"] == own:
                return printed


def test_a_notebook_sees_what_the_tasks_scripts_see(
    orchard: Orchard, where: list[str]
) -> None:
    (orchard.tree.root / "notebooks").mkdir()
    (orchard.tree.root / "notebooks/first.ipynb").touch()
    with notebook(orchard, *where) as (address, token):
        listed = requests.get(
            f"{address}/api/contents/notebooks",
            headers={"Authorization": f"token {token}"},
            timeout=60,
        ).json()
        assert [entry["name"] for entry in listed["content"]] == ["first.ipynb"]
        assert requests.get(f"{address}/api/contents", timeout=60).status_code == 403
        assert requests.get(f"{address}/lab?token={token}", timeout=60).ok

        seen = json.loads(execute(address, token, CODE))
        assert seen["unused"] == "No module named 'domains.apples.unused'"
        assert ("/opt/environment/" in seen["tqdm"]) == bool(where)


def test_a_port_that_is_taken_is_said_in_one_line(orchard: Orchard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        outcome = orchard.strata("notebook", "apples", f"--port={port}")

    assert (outcome.status, outcome.output) == (2, "")
    assert f"port {port}: Address already in use; choose another" in outcome.errors
    assert outcome.errors.count("\n") == 1
