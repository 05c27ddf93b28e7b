"""Real parts: a tree with Pants, the Docker engine, Debian's registry."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import requests
from docker.errors import DockerException

from tests.build.scratch_tree import ScratchTree, scratch_tree
from tests.end_to_end.domains import Domains
from tests.end_to_end.mill import SOURCES as MILL
from tests.end_to_end.mill import Mill
from tests.end_to_end.orchard import SOURCES, Orchard


def missing(part: str) -> None:
    """Skip for want of a part, or fail where it is required."""
    if os.environ.get("STRATA_REQUIRE_DOCKER"):
        pytest.fail(f"{part}, and STRATA_REQUIRE_DOCKER is set")
    pytest.skip(f"{part}; STRATA_REQUIRE_DOCKER=1 makes that an error")


@pytest.fixture(scope="session", autouse=True)
def patience() -> None:
    """Leave a first `./pants test ::` as short as README says."""
    if not os.environ.get("CI"):
        pytest.skip("starts Pants, runs and containers for minutes; CI=true runs it")


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    with scratch_tree(tmp_path_factory.mktemp("orchard") / "tree") as tree:
        tree.write(SOURCES)
        # It says so when it sets itself up, which is nothing that a test expects.
        tree.run("./strata", "--help")
        orchard = Orchard(tree)
        orchard.refresh()
        tree.git("init", "--quiet", "--initial-branch", "main")
        tree.commit("Plant")
        yield orchard


@pytest.fixture
def same_orchard(planted: Orchard) -> Iterator[Orchard]:
    """The tree, as it is for every test; what one does to it is undone."""
    start = planted.tree.git("rev-parse", "HEAD").strip()
    yield planted
    planted.tree.git("checkout", "--quiet", "--force", "-B", "main", start)
    planted.tree.git("clean", "--quiet", "--force", "-d")


@pytest.fixture
def orchard(same_orchard: Orchard) -> Orchard:
    """The tree, with content that no other test has had."""
    same_orchard.refresh()
    same_orchard.tree.commit("Refresh")
    return same_orchard


@pytest.fixture(scope="session")
def domains(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domains]:
    with scratch_tree(tmp_path_factory.mktemp("domains") / "tree") as tree:
        tree.git("init", "--quiet", "--initial-branch", "main")
        tree.commit("Begin")
        yield Domains(tree)


@pytest.fixture(scope="session")
def milled(planted: Orchard, tmp_path_factory: pytest.TempPathFactory) -> Mill:
    """The mill on a branch of its own, and a store that one run has filled."""
    mill = Mill(planted.tree, tmp_path_factory.mktemp("mill") / "store")
    with _branch(mill.tree, "mill"):
        mill.tree.write(MILL)
        mill.tree.commit("Build a mill")
        mill.fill()
        assert mill.run()["state"] == "done"
    return mill


@pytest.fixture
def mill(milled: Mill, tmp_path: Path) -> Iterator[Mill]:
    """The mill as every test finds it, with a copy of the store."""
    shutil.copytree(milled.store, tmp_path / "store")
    with _branch(milled.tree, "mill"):
        milled.fill()
        yield Mill(milled.tree, tmp_path / "store")


@contextmanager
def _branch(tree: ScratchTree, name: str) -> Iterator[None]:
    """Work on a branch, which is made if it is missing; then go back to main."""
    made = name in tree.git("branch", "--format", "%(refname:short)").split()
    tree.git("checkout", "--quiet", *([] if made else ["-b"]), name)
    try:
        yield
    finally:
        tree.git("checkout", "--quiet", "--force", "main")
        tree.git("clean", "--quiet", "--force", "-d")
        shutil.rmtree(tree.root / "data", ignore_errors=True)


@pytest.fixture(scope="session")
def connected() -> docker.DockerClient:
    """The Docker engine, which other tests may be using as well."""
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except (DockerException, requests.RequestException):
        missing("no Docker engine answers")
    return client


def names(connected: docker.DockerClient) -> set[str]:
    """Name all images that the engine has."""
    return {tag for image in connected.images.list() for tag in image.tags}


@pytest.fixture(scope="session")
def engine(connected: docker.DockerClient) -> Iterator[docker.DockerClient]:
    """The Docker engine, for tests that make images of the small tasks."""
    client = connected
    yield client
    # The tests' own images; what they build on stays for the next time.
    for name in ("apples", "mill", "pears"):
        for image in client.images.list(filters={"reference": f"*/{name}"}):
            image.remove(force=True)
        for image in client.images.list(filters={"reference": f"*/*/{name}"}):
            image.remove(force=True)


@dataclass(frozen=True)
class LocalRegistry:
    """A registry on loopback.

    Attributes:
        port: Where it listens.
        log: What it writes about each request.
    """

    port: int
    log: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def uploads(self) -> int:
        """Count the layers and manifests that were begun to be uploaded."""
        lines = self.log.read_text().splitlines()
        return sum('"POST /v2/' in line or '"PUT /v2/' in line for line in lines)


@pytest.fixture(scope="session")
def registry(
    engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalRegistry]:
    program = shutil.which("docker-registry")
    if program is None:
        missing("there is no docker-registry (Debian: apt-get install docker-registry)")
    assert program is not None
    folder = tmp_path_factory.mktemp("registry")
    port = free_port()
    settings = folder / "settings.yml"
    settings.write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [program, "serve", str(settings)], stdout=output, stderr=output
        )
    with process:
        wait_for(port)
        yield LocalRegistry(port, log)
        process.terminate()
    shutil.rmtree(folder)


def free_port() -> int:
    """Find a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, seconds: float = 30) -> None:
    """Wait until something listens.

    Raises:
        TimeoutError: Nothing does.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing listens on port {port}") from None
            time.sleep(0.05)
