"""Real parts: SeaweedFS as S3, Azurite as Azure Blob, and stores in folders."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import NoReturn

import pytest
import requests

from common.command_line import warn
from orchestration.environments import provide_environment
from orchestration.store.store import Store

LOCK = Path("3rdparty/servers.lock")
# Azurite's one account, as its documentation gives it to everybody.
ACCOUNT = "devstoreaccount1"
KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/"
    "K1SZFPTOtr/KBHBeksoGMGw=="
)
ACCESS_KEY, SECRET_KEY = "someones-access-key", "someones-secret-key"
START_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A server on loopback.

    Attributes:
        port: Where it listens.
        folder: Where it keeps what it has.
    """

    port: int
    folder: Path


def missing(part: str) -> NoReturn:
    """Skip for want of a part, or fail where nothing may be left out."""
    if os.environ.get("CI"):
        pytest.fail(f"{part}, and CI is set")
    pytest.skip(f"{part}; CI=true makes that an error")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not os.environ.get("CI"):
        pytest.skip("installs and starts SeaweedFS; CI=true runs it")
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    environment = provide_environment(
        Path(caches) / "strata", LOCK.read_text(), lambda line: warn(line)
    )
    folder = tmp_path_factory.mktemp("seaweedfs")
    ports = free_ports(8)
    names = ("master", "volume", "filer", "s3")
    flags = []
    for name, port, grpc in zip(names, ports, ports[4:]):
        flags += [f"-{name}.port={port}", f"-{name}.port.grpc={grpc}"]
    (folder / "data").mkdir()
    rights = ["Admin", "Read", "Write", "List"]
    keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    people = [{"name": "someone", "credentials": keys, "actions": rights}]
    (folder / "s3.json").write_text(json.dumps({"identities": people}))
    command = [environment / "bin/weed", "server", "-ip=127.0.0.1", "-s3", *flags]
    command += [f"-dir={folder / 'data'}", "-master.volumeSizeLimitMB=64"]
    command += ["-volume.max=20", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-master.telemetry=false", f"-s3.config={folder / 's3.json'}"]
    yield from serve(list(map(str, command)), folder, ports[3])


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = os.environ.get("STRATA_AZURITE")
    if not place:
        missing("STRATA_AZURITE names no folder with azurite (.ci/run fetches it)")
    node = shutil.which("node")
    if node is None:
        missing("there is no node to run azurite")
    folder = tmp_path_factory.mktemp("azurite")
    (port,) = free_ports(1)
    program = Path(place) / "node_modules/azurite/dist/src/blob/main.js"
    command = [node, str(program), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command += ["--location", str(folder), "--skipApiVersionCheck", "--silent"]
    command += ["--disableTelemetry"]
    for server in serve(command, folder, port):
        make_container(port)
        yield server


@pytest.fixture
def s3(seaweedfs: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty store on S3."""
    return s3_store(seaweedfs.port, monkeypatch)


def s3_store(port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the environment lead to an S3, and give the address of an empty store."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return f"s3://strata/{uuid.uuid4().hex}"


@pytest.fixture
def az(azurite: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty store on Azure Blob."""
    endpoint = f"http://127.0.0.1:{azurite.port}/{ACCOUNT}"
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", endpoint)
    return f"az://strata/{uuid.uuid4().hex}"


@pytest.fixture(params=["folder", "s3", "az"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store, of each kind."""
    if request.param == "folder":
        return str(tmp_path / "store")
    return str(request.getfixturevalue(request.param))


def serve(command: list[str], folder: Path, port: int) -> Iterator[Server]:
    """Run a server until the tests are done, and remove what it kept."""
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"it did not start: {log.read_text()[-2000:]}")
            try:
                answer = requests.get(f"http://127.0.0.1:{port}/", timeout=2)
                if answer.status_code < 500:
                    break
            except requests.RequestException:
                pass
            time.sleep(0.1)
        yield Server(port, folder)
    finally:
        process.kill()  # what it keeps goes as well
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Find ports that nothing listens on."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def make_container(port: int) -> None:
    """Make the container, by a request with a shared key as Azure's REST API has it."""
    date = formatdate(usegmt=True)
    headers = {"x-ms-date": date, "x-ms-version": "2021-12-02"}
    lines = [f"{name}:{value}" for name, value in sorted(headers.items())]
    # The account is in the path twice, as it is there with an emulator.
    resource = f"/{ACCOUNT}/{ACCOUNT}/strata\nrestype:container"
    signed = "\n".join(["PUT", *[""] * 11, *lines, resource])
    digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    requests.put(
        f"http://127.0.0.1:{port}/{ACCOUNT}/strata?restype=container",
        headers={**headers, "Authorization": f"SharedKey {ACCOUNT}:{signature}"},
        timeout=30,
    ).raise_for_status()
