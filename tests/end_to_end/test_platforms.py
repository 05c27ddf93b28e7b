"""The domains' pipelines as platforms take them, executed from a bucket alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from orchestration.checkout import Checkout
from orchestration.environments import provide_environment
from orchestration.store.content import Entry
from orchestration.store.objects import open_objects
from orchestration.store.store import Store
from orchestration.target_graph import read_tree
from orchestration.tasks import find_tasks
from tests.end_to_end.conftest import LocalRegistry
from tests.end_to_end.domains import (
    BAD_PIXELS,
    DIGITS,
    ITEM2VEC,
    Domains,
    outputs_of,
)
from tests.orchestration.platforms import pipeline_jobs, workflows
from tests.orchestration.store.conftest import (
    Server,
    az,
    azurite,
    s3_store,
    seaweedfs,
)

__all__ = ["az", "azurite", "seaweedfs"]  # fixtures

# The files of each output, by step.
Files = dict[str, dict[str, list[Entry]]]

# Their images have gigabytes, and are not pushed: nothing is started in them.
_LARGE = (BAD_PIXELS, DIGITS)
# What a cluster would keep as a secret.
_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY")
_PLAIN = (
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ENDPOINT",
)


@pytest.fixture
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty store on S3, and on Azure Blob."""
    if request.param == "az":
        return str(request.getfixturevalue("az"))
    seaweedfs: Server = request.getfixturevalue("seaweedfs")
    address = s3_store(seaweedfs.port, monkeypatch)
    # SeaweedFS makes a bucket with its first object.
    open_objects(address).put("tmp/first", b"")
    return address


@pytest.fixture
def stage(domains: Domains, registry: LocalRegistry) -> dict[str, str]:
    """The stage dev as a team would set it; what the cluster has, by its keys."""
    secrets = {name: {"name": "store", "key": name.lower()} for name in _SECRETS}
    given = {name: os.environ[name] for name in _PLAIN if name in os.environ}
    own = {name: one for name, one in secrets.items() if name in os.environ}
    values = {
        "registry": registry.address,
        "azure": {"compute": {"cpu": "cpu"}, "variables": given},
        "argo": {"variables": given, "secrets": own},
    }
    (domains.tree.root / "config/dev.yaml").write_text(json.dumps(values))
    return {secrets[name]["key"]: os.environ[name] for name in own}


@pytest.fixture
def task(
    request: pytest.FixtureRequest, domains: Domains, registry: LocalRegistry
) -> str:
    """A task whose image, unless it is a large one, is in the registry."""
    own = [] if request.param in _LARGE else [request.param]
    domains.strata("image", *own, "launcher", "--push", "--registry", registry.address)
    return str(request.param)


@pytest.fixture(scope="session")
def local_files(
    domains: Domains, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Files]:
    """Gives what processes of this machine give for a task, which run once."""
    found: dict[str, Files] = {}

    def files(task: str) -> Files:
        if task not in found:
            store = str(tmp_path_factory.mktemp("local") / "store")
            found[task] = files_of(domains.run(task, store, "--profile", "toy"), store)
        return found[task]

    return files


def environment_of(domains: Domains, task: str) -> Path:
    """Give what the task's image has under /opt/environment."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    checkout = Checkout(domains.tree.root, Path(caches) / "strata")
    found = find_tasks(checkout.root, read_tree(checkout))[task]
    return provide_environment(checkout.cache, found.requirements, print)


# The larger tasks once on each platform and in each kind of bucket.
@pytest.mark.parametrize(
    ("task", "platform", "bucket"),
    [
        (ITEM2VEC, "argo", "s3"),
        (ITEM2VEC, "argo", "az"),
        (ITEM2VEC, "azureml", "s3"),
        (ITEM2VEC, "azureml", "az"),
        (BAD_PIXELS, "argo", "s3"),
        (BAD_PIXELS, "azureml", "az"),
        (DIGITS, "argo", "az"),
        (DIGITS, "azureml", "s3"),
    ],
    indirect=["task", "bucket"],
)
def test_a_platform_gives_what_docker_and_this_machine_give(
    platform: str,
    bucket: str,
    stage: dict[str, str],
    task: str,
    domains: Domains,
    registry: LocalRegistry,
    local_files: Callable[[str], Files],
    tmp_path: Path,
) -> None:
    flags = (task, "--profile", "toy", "--store", bucket)
    rendered = tmp_path / "rendered"
    render = ["render", *flags, "--for", platform]
    if task in _LARGE:
        name = f"{registry.address}/strata/{task}"
        render += ["--image", f"{name}@sha256:{'0' * 64}"]
    domains.strata(*render, "--output", str(rendered))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = environment_of(domains, task)
    if platform == "argo":
        text = rendered.read_text()
        pods = workflows.execute(text, environment, scratch, stage)
    else:
        text = (rendered / "pipeline.yaml").read_text()
        # A job of the service has the identity of its compute instead of a key.
        pods = pipeline_jobs.execute(text, environment, scratch, _credentials())
    assert [pod.status for pod in pods] == [0] * len(pods), pods[-1]
    # No value of a secret, and no image by its tag.
    assert not any(value in text for value in stage.values())
    words = set(yaml_texts(yaml.safe_load(text)))
    images = {word for word in words if word.startswith(registry.address)}
    assert images and all("@sha256:" in image for image in images)

    # All keys are those of the Docker engine.
    plan = domains.strata("plan", *flags, "--engine", "docker", "--json")
    assert {step["state"] for step in json.loads(plan.output)} == {"cached"}
    # All results are those of processes of this machine.
    here = domains.run(*flags[:1], bucket, *flags[1:3], "--engine", "docker")
    assert files_of(here, bucket) == local_files(task)

    again = tmp_path / "again"
    outcome = domains.strata(*render, "--output", str(again), "--without-cached")
    assert "nothing to start" in outcome.errors
    assert not again.exists()


def files_of(run: dict[str, Any], store: str) -> Files:
    """Give the files of each output, by step, but for what says when they were made."""
    contents = Store.open(store)
    return {
        step: {
            name: [
                entry
                for entry in contents.content(reference).entries
                if PurePosixPath(entry.path).name != "run.json"
            ]
            for name, reference in outputs.items()
        }
        for step, outputs in outputs_of(run).items()
    }


def _credentials() -> dict[str, str]:
    return {name: os.environ[name] for name in _SECRETS if name in os.environ}


def yaml_texts(node: object) -> list[str]:
    """Give every text in a document."""
    if isinstance(node, dict):
        return [text for value in node.values() for text in yaml_texts(value)]
    if isinstance(node, list):
        return [text for value in node for text in yaml_texts(value)]
    return [node] if isinstance(node, str) else []
