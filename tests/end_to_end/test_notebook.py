"""JupyterLab on a task's environment: real server, real kernel."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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

CELLS = """\
# %% [markdown]
# # Apples of today

# %%
from pathlib import Path

import domains.apples.helper

print(Path("../outputs/harvest.txt").read_text())
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
        try:
            yield address, token
        finally:
            process.send_signal(signal.SIGINT)
            last = list(lines)[-1]
        assert last == "stopped\n"
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
    (orchard.tree.root / "notebooks").mkdir(exist_ok=True)
    (orchard.tree.root / "notebooks/first.py").write_text(CELLS)
    with notebook(orchard, *where) as (address, token):
        listed = requests.get(
            f"{address}/api/contents/notebooks",
            headers={"Authorization": f"token {token}"},
            timeout=60,
        ).json()
        # A script with cells opens as a notebook.
        assert ("first.py", "notebook") in [
            (entry["name"], entry["type"]) for entry in listed["content"]
        ]
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


def test_a_notebook_is_run_and_becomes_a_page(
    orchard: Orchard, where: list[str], tmp_path: Path
) -> None:
    root = orchard.tree.root
    for folder in ("notebooks", "outputs"):
        (root / folder).mkdir(exist_ok=True)
    (root / "notebooks/first.py").write_text(CELLS)
    harvest = root / "outputs/harvest.txt"
    harvest.write_text("three baskets, two rotten")
    page = tmp_path / "page.html"
    flags = [*where, "--execute", "notebooks/first.py", "--page", str(page)]

    outcome = orchard.strata("notebook", "apples", *flags)

    assert (outcome.status, outcome.output) == (0, f"{page}\n"), outcome.errors
    shown = page.read_text()
    assert "Apples of today" in shown and "three baskets, two rotten" in shown
    harvest.unlink()
    page.write_text("an earlier page")
    outcome = orchard.strata("notebook", "apples", *flags)
    assert (outcome.status, outcome.output) == (1, "")
    assert "notebooks/first.py failed: FileNotFoundError: [Errno 2]" in outcome.errors
    assert page.read_text() == "an earlier page"


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--execute", "notebooks/none.py"], "there is no notebook notebooks/none.py"),
        (["--execute", "pants.toml"], "pants.toml: a notebook ends in .py or .ipynb"),
        (["--page", "x.html"], "--page is for --execute"),
    ],
)
def test_what_is_no_notebook_is_refused(
    orchard: Orchard, flags: list[str], problem: str
) -> None:
    outcome = orchard.strata("notebook", "apples", *flags)

    assert (outcome.status, outcome.output) == (2, "")
    assert problem in outcome.errors
