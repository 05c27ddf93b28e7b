"""``./strata run`` on platforms: real commands, a bucket, services that execute."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from orchestration.checkout import Checkout
from orchestration.environments import provide_environment
from orchestration.store.objects import open_objects
from orchestration.target_graph import read_tree
from orchestration.tasks import find_tasks
from tests.end_to_end.conftest import LocalRegistry
from tests.end_to_end.mill import STEPS, Mill
from tests.orchestration.azure.service import (
    GROUP,
    IDENTITY_HEADER,
    SIGNATURE,
    SUBSCRIPTION,
    WORKSPACE,
    Service,
    serve,
)
from tests.orchestration.platforms import pipeline_jobs, workflows
from tests.orchestration.platforms.argo_service import (
    NAMESPACE,
    TOKEN,
    ArgoService,
    serve_argo,
)
from tests.orchestration.store.conftest import Server, s3_store, seaweedfs

__all__ = ["seaweedfs"]  # a fixture

_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_PLAIN = ("AWS_ENDPOINT_URL", "AWS_REGION", "MILL_SPEED")
JWT = re.compile(r"eyJ[\w-]+\.")


@pytest.fixture
def far_mill(
    mill: Mill,
    seaweedfs: Server,
    registry: LocalRegistry,
    engine: docker.DockerClient,
    monkeypatch: pytest.MonkeyPatch,
) -> Mill:
    """The mill with an empty store in a bucket, its image in the registry."""
    address = s3_store(seaweedfs.port, monkeypatch)
    # SeaweedFS makes a bucket with its first object.
    open_objects(address).put("tmp/first", b"")
    monkeypatch.setenv("MILL_SPEED", "high")
    spec = mill.tree.root / "src/domains/mill/pipeline.yaml"
    spec.write_text(spec.read_text().replace("map: grain", "map: grain\n    shards: 2"))
    push = ("image", "mill", "launcher", "--push", "--registry", registry.address)
    pushed = mill.tree.run("./strata", *push)
    assert pushed.status == 0, pushed.errors
    return Mill(mill.tree, address)


def write_stage(mill: Mill, registry: LocalRegistry, argo: ArgoService | None) -> None:
    """Set the stage dev as a team would."""
    given = {name: os.environ[name] for name in _PLAIN}
    secrets = {name: {"name": "store", "key": name.lower()} for name in _SECRETS}
    azure = {"subscription": SUBSCRIPTION, "resource_group": GROUP}
    azure |= {"workspace": WORKSPACE}
    values = {
        "registry": registry.address,
        "azure": {**azure, "compute": {"cpu": "cpu"}, "variables": given},
        "argo": {
            "server": argo.url if argo else None,
            "namespace": NAMESPACE,
            "variables": given,
            "secrets": secrets,
        },
    }
    (mill.tree.root / "config/dev.yaml").write_text(json.dumps(values))


def environment_of(mill: Mill) -> Path:
    """Give what the task's image has under /opt/environment."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    checkout = Checkout(mill.tree.root, Path(caches) / "strata")
    task = find_tasks(checkout.root, read_tree(checkout))["mill"]
    return provide_environment(checkout.cache, task.requirements, print)


@pytest.fixture
def argo(
    far_mill: Mill,
    registry: LocalRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ArgoService]:
    """An Argo server that executes what it is sent, and the stage that names it."""
    environment = environment_of(far_mill)
    secrets = {name.lower(): os.environ[name] for name in _SECRETS}
    numbers = iter(range(100))

    def execute(text: str) -> list[workflows.Pod]:
        scratch = tmp_path / f"scratch-{next(numbers)}"
        scratch.mkdir()
        return workflows.execute(text, environment, scratch, secrets)

    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    with serve_argo() as service:
        service.execute = execute
        write_stage(far_mill, registry, service)
        yield service


@pytest.fixture
def azure(
    far_mill: Mill,
    registry: LocalRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Service]:
    """An Azure ML that executes what it is sent, and the stage that names it."""
    environment = environment_of(far_mill)
    identity = {name: os.environ[name] for name in _SECRETS}
    threads: list[threading.Thread] = []
    with serve(tmp_path) as (service, certificate):
        for name, value in service.environment(certificate).items():
            monkeypatch.setenv(name, value)

        def execute(path: str, outputs: Path) -> None:
            properties = service.resources[path]["properties"]
            text = pipeline_jobs.from_rest(properties, service.resources)
            pods = pipeline_jobs.execute(text, environment, outputs, identity)
            with service.lock:
                failed = [pod for pod in pods if pod.status]
                properties["status"] = "Failed" if failed else "Completed"

        def start(path: str) -> None:
            service.resources[path]["properties"]["status"] = "Running"
            outputs = tmp_path / f"outputs-{len(threads)}"
            threads.append(threading.Thread(target=execute, args=(path, outputs)))
            threads[-1].start()

        service.when_made = start
        write_stage(far_mill, registry, None)
        yield service
        for thread in threads:
            thread.join()


def states(run: dict[str, Any]) -> dict[str, str]:
    return {name: step["state"] for name, step in run["steps"].items()}


def check_run(mill: Mill, engine: str) -> None:
    """Run the pipeline on a platform; compare it with Docker, and run it again."""
    run = mill.run("--engine", engine)

    assert states(run) == dict.fromkeys(STEPS, "done")
    assert run["engine"] == engine and run["seconds"] > 0
    assert run["steps"]["sieve"]["ran"] == 3
    assert run["steps"]["sieve"]["reason"].startswith("3 of 3 items: ")
    plan = mill.strata("plan", "mill", "--engine", "docker", "--json")
    keys = {
        step["step"]: (step["state"], step["key"]) for step in json.loads(plan.output)
    }
    assert keys == {
        name: ("cached", step["key"]) for name, step in run["steps"].items()
    }
    shown = mill.strata("show", run["id"])
    assert "bread (" in shown.output and engine in shown.output
    # Its log is that of the container.
    assert mill.strata("logs", run["id"], "grind").output == "grinding 3 files\n"

    again = mill.run("--engine", engine)
    assert states(again) == dict.fromkeys(STEPS, "cached")
    assert "platform" not in again

    (mill.grain / "a.txt").write_text("millet")
    changed = mill.run("--engine", engine)
    assert states(changed) == {
        **dict.fromkeys(("bake", "grind", "sieve"), "done"),
        "weigh": "cached",
    }
    assert changed["platform"]["nodes"] == ["bake", "grind", "sieve"]
    # What the run reads and left is kept.
    assert mill.strata("store", "gc").status == 0
    assert states(mill.run("--engine", engine)) == dict.fromkeys(STEPS, "cached")


def test_containers_deliver_and_so_does_who_finds_it_undone(
    far_mill: Mill, argo: ArgoService, tmp_path: Path
) -> None:
    place, spec = f"{far_mill.store}-bread", "src/domains/mill/pipeline.yaml"
    text = (far_mill.tree.root / spec).read_text()
    far_mill.tree.write({spec: f"{text}deliver: {{{place}: bake/bread}}\n"})
    delivered, rendered = open_objects(place), tmp_path / "workflow.yaml"
    render = ("render", "mill", "--for", "argo", "--output", str(rendered))
    assert argo.execute is not None

    # What is rendered and submitted by hand.
    outcome = far_mill.strata(*render)
    assert outcome.status == 0, outcome.errors
    said = {pod.task: pod.output for pod in argo.execute(rendered.read_text())}
    assert f"bake/bread -> {place}: 2 files written\n" in said.pop("bake")
    assert place not in "".join(said.values())
    names = {found.name for found in delivered.list("")}
    assert names == {".strata.json", "cut.sh", "loaf.txt"}

    # By then all is in the store; what delivers starts nevertheless.
    assert far_mill.strata(*render, "--without-cached").status == 0
    (pod,) = argo.execute(rendered.read_text())
    assert f"{place}: nothing has changed (2 files)\n" in pod.output

    # A run finds it done by its container, or does it.
    (far_mill.grain / "a.txt").write_text("millet")
    run = far_mill.strata("run", "mill", "--engine", "argo")
    assert f"{place}: nothing has changed (2 files)\n" in run.errors
    assert b"millet" in (delivered.get("loaf.txt") or b"")
    delivered.delete(names)
    run = far_mill.strata("run", "mill", "--engine", "argo")
    assert "4 cached" in run.output
    assert f"{place}: 2 files written\n" in run.errors


def test_argo_runs_what_docker_would_and_only_what_changed(
    far_mill: Mill, argo: ArgoService
) -> None:
    check_run(far_mill, "argo")

    assert len(argo.asked("POST")) == len(argo.workflows) == 2


def test_azure_ml_runs_what_docker_would_and_only_what_changed(
    far_mill: Mill, azure: Service
) -> None:
    check_run(far_mill, "azureml")

    assert len(azure.asked("PUT", "/jobs/")) == len(azure.jobs) == 2
    for job in azure.jobs.values():
        properties = job["properties"]
        assert properties["tags"]["branch"] == "mill"
        assert properties["experimentName"] == "mill-mill"


def test_a_step_that_fails_fails_the_command_and_the_next_goes_on_from_there(
    far_mill: Mill, argo: ArgoService
) -> None:
    failed = far_mill.strata("run", "mill", "--engine", "argo", "--set", "mood=bad")

    assert failed.status == 1
    (name,) = argo.workflows
    assert f"{name}: submitted\n  {argo.url}/workflows/{NAMESPACE}/{name}" in (
        failed.errors
    )
    assert "x bake   failed: " in failed.errors
    assert "the oven is cold" in failed.errors
    assert "bake failed; ./strata logs 2" in failed.errors
    assert "Traceback" not in failed.errors
    log = far_mill.strata("logs", "last", "bake").output
    assert "the oven is cold" in log

    mended = far_mill.run("--engine", "argo")
    assert states(mended) == {**dict.fromkeys(STEPS, "cached"), "bake": "done"}


def start(mill: Mill, *flags: str) -> subprocess.Popen[str]:
    command = ["./strata", "run", "mill", "--engine", "argo", *flags]
    return subprocess.Popen(
        [*command, "--store", str(mill.store)],
        cwd=mill.tree.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupted(argo: ArgoService, process: subprocess.Popen[str]) -> str:
    """Interrupt a command as soon as it follows a workflow; what it said."""
    followed = threading.Event()
    argo.when_looked_at = followed.set
    assert followed.wait(120)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    return errors


def test_an_interrupted_run_goes_on_and_is_followed_again(
    far_mill: Mill, argo: ArgoService
) -> None:
    execute, argo.execute = argo.execute, None
    errors = interrupted(argo, start(far_mill))

    found = re.search(r"goes on; to follow it again: \./strata follow (\S+)", errors)
    assert found is not None, errors
    (name,) = argo.workflows
    assert argo.workflows[name]["status"]["phase"] == "Running"
    shown = json.loads(far_mill.strata("show", found[1], "--json").output)
    assert shown["state"] == "running"
    # It is at work: what it needs stays, however old it is.
    collected = far_mill.strata("store", "gc", "--older-than", "1s", "--grace", "1s")
    assert collected.status == 0, collected.errors

    argo.execute = execute
    argo.resume(name)
    followed = far_mill.strata("follow", found[1], "--json")
    assert followed.status == 0, followed.errors
    assert states(json.loads(followed.output)) == dict.fromkeys(STEPS, "done")
    assert len(argo.asked("POST")) == 1
    again = far_mill.strata("follow", found[1])
    assert (again.status, "4 done in" in again.output) == (0, True)


def test_a_run_that_its_platform_has_forgotten_counts_by_its_results(
    far_mill: Mill, argo: ArgoService
) -> None:
    execute, argo.execute = argo.execute, None
    errors = interrupted(argo, start(far_mill))
    (name,) = argo.workflows
    argo.execute = execute
    argo.resume(name)
    argo.join()
    argo.workflows.clear()

    followed = far_mill.strata("follow", "last", "--json")
    assert followed.status == 0, (errors, followed.errors)
    assert states(json.loads(followed.output)) == dict.fromkeys(STEPS, "done")
    assert f"{name} is not there: never submitted, or removed" in followed.errors


def test_a_part_runs_on_what_the_others_gave_and_a_run_is_ended_on_request(
    far_mill: Mill, argo: ArgoService
) -> None:
    assert states(far_mill.run("--engine", "argo", "--until", "grind")) == {
        "grind": "done"
    }
    part = far_mill.run("--engine", "argo", "--only", "bake")
    assert states(part) == {"bake": "done"}
    assert set(part["known"]) == {"grind"}

    argo.execute = None
    interrupted(argo, start(far_mill, "--set", "factor=9"))
    document = json.loads(far_mill.strata("show", "last", "--json").output)
    assert document["state"] == "running"
    ended = far_mill.strata("follow", "last", "--cancel")
    assert ended.status == 1
    assert "was stopped; ./strata show 2" in ended.errors
    shown = json.loads(far_mill.strata("show", "last", "--json").output)
    assert shown["state"] == "stopped"
    assert states(shown) == dict.fromkeys(STEPS, "skipped")


def test_an_interrupted_run_ends_where_that_is_wanted(
    far_mill: Mill, argo: ArgoService
) -> None:
    argo.execute = None
    errors = interrupted(argo, start(far_mill, "--cancel-on-interrupt"))

    (name,) = argo.workflows
    assert f"stopping {name} ..." in errors
    assert argo.workflows[name]["spec"]["shutdown"] == "Terminate"
    shown = json.loads(far_mill.strata("show", "last", "--json").output)
    assert shown["state"] == "stopped"
    assert states(shown) == dict.fromkeys(STEPS, "skipped")


def test_a_run_whose_submission_got_no_answer_is_found(
    far_mill: Mill, argo: ArgoService
) -> None:
    """The way to the server breaks for good after it has taken the workflow."""
    argo.break_after_create = True
    done = far_mill.strata("run", "mill", "--engine", "argo")

    assert done.status == 1
    found = re.search(
        r"may have been submitted; \./strata follow (\S+) looks", done.errors
    )
    assert found is not None, done.errors
    argo.break_after_create = False
    followed = far_mill.strata("follow", found[1], "--json")
    assert followed.status == 0, followed.errors
    assert states(json.loads(followed.output)) == dict.fromkeys(STEPS, "done")
    assert len(argo.workflows) == 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--stage", "dev"), "--stage is for --engine argo and azureml"),
        (
            ("--engine", "argo", "--jobs", "2"),
            "--jobs is for --engine local and docker",
        ),
        (
            ("--engine", "argo", "--only", "bake"),
            "grind has no results as it is now, which a platform's steps need; run it "
            "first (--until grind)",
        ),
        (("--engine", "argo", "--stage", "test"), "config/test.yaml:"),
        (
            ("--engine", "arg"),
            "is none of argo, azureml, docker, local; did you mean argo?",
        ),
    ],
)
def test_a_wrong_request_is_one_line_and_submits_nothing(
    flags: tuple[str, ...], said: str, far_mill: Mill, argo: ArgoService
) -> None:
    done = far_mill.strata("run", "mill", *flags)

    assert done.status == 2
    assert said in done.errors
    assert done.errors.startswith("strata: error: ")
    assert argo.workflows == {}


def test_no_secret_is_in_what_is_sent_said_or_kept(
    far_mill: Mill, argo: ArgoService, azure: Service, registry: LocalRegistry
) -> None:
    write_stage(far_mill, registry, argo)
    first = far_mill.strata("run", "mill", "--engine", "argo", "--until", "grind")
    second = far_mill.strata("run", "mill", "--engine", "azureml")
    assert (first.status, second.status) == (0, 0), (first.errors, second.errors)

    sent = [json.dumps(request.body) for request in argo.requests]
    sent += [json.dumps(request.body) for request in azure.requests]
    kept = [json.dumps(azure.resources), json.dumps(argo.workflows)]
    kept.append(far_mill.strata("show", "last", "--json").output)
    said = [text for one in (first, second) for text in (one.output, one.errors)]
    for text in (*sent, *kept, *said):
        assert not any(os.environ[name] in text for name in _SECRETS)
        assert TOKEN not in text and IDENTITY_HEADER not in text
        assert SIGNATURE not in text and not JWT.search(text)
