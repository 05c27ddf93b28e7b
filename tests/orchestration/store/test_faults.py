"""Full disks and failing networks: one line, nothing half, and nothing lost."""

from __future__ import annotations

import http.client
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from common.errors import RunError
from orchestration.file_digests import FileDigests
from orchestration.store import upkeep
from orchestration.store.content import Content, read_content
from orchestration.store.errors import StoreError
from orchestration.store.store import Store
from tests.orchestration.store.conftest import Server, free_ports, missing, s3_store

# What becomes of a request: it is answered with a status, or (None) let through.
Fault = Callable[[int], int | None]


def read(path: Path) -> Content:
    return read_content(path, FileDigests(Path("/"), None), "inside")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(40):
        (folder / f"file-{number}").write_bytes(bytes([number]) * 50_000)
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
        problem = done.stderr.strip() if done.returncode else ""
    except FileNotFoundError:
        problem = "there is no mount"
    if problem:
        missing(f"no small disk can be made ({problem})")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_and_keeps_what_it_has(
    small_disk: Path, folder: Path, tmp_path: Path
) -> None:
    store = Store.open(str(small_disk / "store"))
    content = read(folder)
    kept = store.add_text(b"kept")

    with pytest.raises(StoreError, match="No space left on device"):
        store.add(folder, content)

    assert os.listdir(small_disk / "store/tmp") == []
    assert store.missing([kept, content.reference]) == {content.reference}
    assert upkeep.verify(store).removed == ()

    there = Store.open(str(tmp_path / "store"))
    there.add(folder, content)
    with pytest.raises(OSError, match="No space left on device"):
        there.restore(content.reference, small_disk / "back")
    assert os.listdir(small_disk) == ["store"]
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    store.add(folder, content)
    assert store.missing([content.reference]) == set()


def test_a_store_that_may_not_be_written_is_read(folder: Path, tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    content = read(folder)
    store.add(folder, content)
    # Nothing can be remembered here, not even by root.
    (tmp_path / "store/verified").touch()

    assert store.missing([content.reference]) == set()
    store.restore(content.reference, tmp_path / "back")


class Proxy(ThreadingHTTPServer):
    """Passes requests on to an S3, or does something else with them."""

    daemon_threads = True

    def __init__(self, port: int, fault: Fault, hold: threading.Event | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = port
        self.fault = fault
        self.hold = hold
        self.count = 0
        self.lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up: some faults make them."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def answer(self) -> None:
        if self.server.hold is not None:
            self.server.hold.wait()
        with self.server.lock:
            self.server.count += 1
            status = self.server.fault(self.server.count)
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        if status is not None and status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        peer = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=30)
        peer.putrequest(
            self.command, self.path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in self.headers.items():
            peer.putheader(name, value)
        peer.endheaders(body or None)
        answer = peer.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date"):
                self.send_header(name, value)
        if answer.getheader("Content-Length") is None:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        # A status of ours that is no failure: the body breaks off.
        self.wfile.write(data[: len(data) // 2] if status == 200 else data)
        peer.close()
        if status == 200:
            self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def proxy(
    port: int, fault: Fault, hold: threading.Event | None = None
) -> Iterator[Proxy]:
    with Proxy(port, fault, hold) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            if hold is not None:
                hold.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [500, 503, 200])
def test_half_of_the_requests_fail_and_nothing_is_lost(
    status: int,
    seaweedfs: Server,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = s3_store(seaweedfs.port, monkeypatch)
    whole = Store.open(address)
    content = read(folder)
    document = {"outputs": {"out": {"reference": content.reference}}}
    with proxy(seaweedfs.port, lambda count: status if count % 2 else None) as between:
        port = between.server_address[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        store = Store.open(address)
        store.add(folder, content)
        assert store.add_record("fruit", "grow", "key", document)
        assert store.missing([content.reference]) == set()
        store.restore(content.reference, tmp_path / "back")
        assert between.count > 80

    assert read(tmp_path / "back") == content
    assert whole.record("fruit", "grow", "key") == document
    assert upkeep.verify(whole).removed == ()


def test_a_network_that_fails_for_good_leaves_no_record(
    seaweedfs: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = s3_store(seaweedfs.port, monkeypatch)
    whole = Store.open(address)
    content = read(folder)
    with proxy(seaweedfs.port, lambda count: 400 if count > 60 else None) as between:
        port = between.server_address[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(StoreError, match="failed, status 400"):
            Store.open(address).add(folder, content)

    assert whole.missing([content.reference]) == {content.reference}
    assert upkeep.verify(whole).removed == ()
    whole.add(folder, content)
    assert whole.missing([content.reference]) == set()


def test_a_closed_port_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    address = s3_store(port, monkeypatch)
    begun = time.monotonic()
    with pytest.raises(RunError) as caught:
        Store.open(address).runs()
    assert str(caught.value) == f"{address}: cannot be reached"
    assert time.monotonic() - begun < 30


def test_a_server_that_does_not_answer_is_told(
    seaweedfs: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = s3_store(seaweedfs.port, monkeypatch)
    monkeypatch.setenv("STRATA_STORE_TIMEOUT", "1")
    with proxy(seaweedfs.port, lambda count: None, threading.Event()) as between:
        port = between.server_address[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(StoreError, match="does not answer in time"):
            Store.open(address).add_text(b"one")
