"""A registry that refuses, stalls or dies: bounded attempts, one line, and a resume."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import docker
import pytest

from tests.end_to_end.conftest import LocalRegistry, free_port
from tests.end_to_end.orchard import Orchard


class Link:
    """A connection to the registry that can be cut, or slowed to a stand.

    Attributes:
        port: Where it listens.
        allowance: How many more bytes it takes to the registry.
        then: What happens to the rest: "stall" or "die".
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.allowance = 10**12
        self.then = "stall"
        self._over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def mend(self) -> None:
        """Cut what stalls, and take everything from now on."""
        self.allowance = 10**12
        self._over.set()

    def close(self) -> None:
        self._over.set()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for pair in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if counted and len(data) > self.allowance:
                    if self.then == "stall":
                        self._over.wait()
                    break
                if counted:
                    self.allowance -= len(data)
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def link(registry: LocalRegistry) -> Iterator[Link]:
    link = Link(registry.port)
    yield link
    link.close()


def test_a_registry_that_is_not_there_is_named(
    orchard: Orchard, engine: docker.DockerClient
) -> None:
    address = f"127.0.0.1:{free_port()}"

    outcome = orchard.strata("image", "pears", "--push", "--registry", address)

    assert (outcome.status, outcome.output) == (1, "")
    assert f"{address} cannot be reached" in outcome.errors.splitlines()[-1]


def test_a_push_that_stalls_ends_and_the_next_one_goes_on(
    orchard: Orchard, engine: docker.DockerClient, link: Link, registry: LocalRegistry
) -> None:
    # The base and the packages are there already, only the code is to move.
    orchard.images("pears", "--push", "--registry", registry.address)
    orchard.refresh()
    flags = ("pears", "--push", "--registry", link.address, "--stall-timeout", "2")
    orchard.images("pears")
    link.allowance = 200_000

    outcome = orchard.strata("image", *flags)

    assert (outcome.status, outcome.output) == (1, "")
    last = outcome.errors.splitlines()[-1]
    assert "failed 3 times, at last: nothing moved for too long" in last
    assert "the same command goes on" in last

    link.mend()
    result = orchard.images(*flags)["pears"]
    assert result["state"] == "pushed"
    assert result["bytes_pushed"] < 1_010_000


def test_a_registry_that_dies_once_in_a_push_does_not_end_it(
    orchard: Orchard, engine: docker.DockerClient, link: Link
) -> None:
    link.then = "die"
    link.allowance = 300_000
    reset = threading.Timer(3, link.mend)
    reset.start()

    result = orchard.images("pears", "--push", "--registry", link.address)["pears"]

    reset.join()
    assert result["state"] == "pushed"
    assert link.allowance < 10**12  # it went through here
