"""The service on loopback, a stage that names its workspace, and a job's file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestration.azure.connection import connect
from orchestration.azure.documents import AzureFile, read_azure_file
from orchestration.stages import Stage, load_stage
from tests.orchestration.azure.checkout import CONFIG, SmallCheckout, make_checkout
from tests.orchestration.azure.service import Service, serve

# Not before the service is there: it is led to it while it is loaded.
if TYPE_CHECKING:
    from azure.ai.ml import MLClient

JOB = """\
type: command
name: apples-1
experiment_name: apples-main
tags: {branch: main}
code: code
command: python -m ripen --days ${{inputs.days}} --output_path ${{outputs.run}}/ripe
environment:
  image: registry.example.com/apples@sha256:%s
compute: azureml:cpu
inputs:
  days: 3
outputs:
  run: {type: uri_folder}
""" % ("0123456789abcdef" * 4)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Path]]:
    with serve(tmp_path_factory.mktemp("service")) as served:
        with pytest.MonkeyPatch.context() as patch:
            service, certificate = served
            variables = {**service.environment(certificate), **service.proxy}
            for name, value in variables.items():
                patch.setenv(name, value)
            yield served


@pytest.fixture
def service(served: tuple[Service, Path]) -> Service:
    """The service, as if nobody had used it; Azure's packages are led to it."""
    service, _ = served
    service.reset()
    return service


@pytest.fixture(scope="session")
def connected(
    served: tuple[Service, Path], tmp_path_factory: pytest.TempPathFactory
) -> MLClient:
    return connect(make_stage(tmp_path_factory.mktemp("stage")))


@pytest.fixture
def client(service: Service, connected: MLClient) -> MLClient:
    """A client that other tests have used."""
    return connected


@pytest.fixture
def patience() -> None:
    """Leave a first `./pants test ::` as short as README says."""
    if not os.environ.get("CI"):
        pytest.skip("starts commands, or waits for retries; CI=true runs it")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return make_stage(tmp_path)


def make_stage(tmp_path: Path) -> Stage:
    """Make a stage that names the service's workspace."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/dev.yaml").write_text(CONFIG)
    return load_stage(tmp_path, "dev")


@pytest.fixture
def job_file(tmp_path: Path) -> AzureFile:
    """A job with two files of code."""
    (tmp_path / "code/pips").mkdir(parents=True)
    (tmp_path / "code/ripen.py").write_text("print('ripe')\n")
    (tmp_path / "code/pips/__init__.py").write_text("")
    (tmp_path / "job.yaml").write_text(JOB)
    return read_azure_file(tmp_path / "job.yaml", "job.yaml")


@pytest.fixture(scope="module")
def made(
    served: tuple[Service, Path], tmp_path_factory: pytest.TempPathFactory
) -> SmallCheckout:
    folder = tmp_path_factory.mktemp("checkout")
    return make_checkout(folder / "tree", folder, served[0])


@pytest.fixture
def checkout(made: SmallCheckout, service: Service) -> Iterator[SmallCheckout]:
    """The checkout; what a test does to it is undone."""
    yield made
    made.git("checkout", "--quiet", "--force", "main")


@pytest.fixture
def signed_in(
    checkout: SmallCheckout, service: Service, served: tuple[Service, Path]
) -> SmallCheckout:
    """The checkout, where commands reach the service."""
    variables = {**service.environment(served[1]), **service.proxy}
    variables |= checkout.variables
    return SmallCheckout(checkout.root, variables)
