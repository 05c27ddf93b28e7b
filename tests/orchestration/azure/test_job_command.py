"""``./strata job``: what it submits, what it says, and what it leaves running."""

from __future__ import annotations

import json
import re
import signal
import threading
from pathlib import Path

import pytest
import yaml

from tests.orchestration.azure.checkout import (
    CLOSURE,
    DIGEST,
    SmallCheckout,
    push,
)
from tests.orchestration.azure.service import (
    IDENTITY_HEADER,
    SIGNATURE,
    Service,
)
from tests.orchestration.faults import Fault

PINNED = f"registry.example.com/apples@{DIGEST}"
JWT = re.compile(r"eyJ[\w-]+\.")


def test_a_dry_run_prints_the_job_and_asks_nobody(
    checkout: SmallCheckout, service: Service
) -> None:
    done = checkout.strata("job", "apples", "--dry-run", "--set", "inputs.days=5")

    assert done.status == 0, done.errors
    job = yaml.safe_load(done.output)
    assert job["experiment_name"] == "apples-main"
    assert job["compute"] == "azureml:small-cpu"
    assert job["inputs"] == {"days": 5}
    assert job["environment"]["image"].startswith(f"{service.registry}/strata/apples:")
    assert job["name"].startswith("apples-2")
    assert job["tags"]["fruit"] == "apple"
    assert job["tags"]["branch"] == "main"
    assert job["tags"]["commit"] == checkout.git("rev-parse", "HEAD")
    assert job["tags"]["changed"] == "false"
    assert job["tags"]["who"] == "gardener"
    assert job["properties"]["mlflow.source.git.branch"] == "main"
    code = Path(job["code"])
    assert code.name == "src"
    staged = [path for path in code.parent.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(code.parent)) for path in staged) == CLOSURE
    assert service.requests == []


@pytest.mark.usefixtures("patience")
def test_a_job_is_submitted_with_its_image_by_digest(
    signed_in: SmallCheckout, service: Service
) -> None:
    push(signed_in, service)

    done = signed_in.strata("job", "apples")

    assert done.status == 0, done.errors
    (name,) = service.jobs
    sent = service.jobs[name]["properties"]
    assert f"job {name}: Starting" in done.output
    assert f"studio      https://ml.azure.com/runs/{name}?wsid=" in done.output
    environment = service.resources[sent["environmentId"]]["properties"]
    assert environment["image"] == f"{service.registry}/strata/apples@{DIGEST}"
    assert sent["computeId"].endswith("/computes/small-cpu")
    assert sorted(service.blobs) == [f"/azureml-code/{one}" for one in CLOSURE]
    for text in (done.output, done.errors):
        assert not JWT.search(text)
        assert SIGNATURE not in text and IDENTITY_HEADER not in text
    assert "\x1b" not in done.errors


def test_an_image_that_is_not_pushed_is_told_with_the_way_out(
    checkout: SmallCheckout, service: Service
) -> None:
    done = checkout.strata("job", "apples")

    assert done.status == 2
    way_out = f"./strata image apples --push --registry {service.registry}\n"
    assert f"is not in the registry; {way_out}" in done.errors
    assert service.requests == []


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--set", "inputs.dayz=5"),
            "--set inputs.dayz: there is no such key in "
            "src/domains/apples/azure-ml-job.yaml (did you mean inputs.days?)",
        ),
        (("--set", "inputs.days"), "--set inputs.days: takes PATH=VALUE"),
        (("--set", "code=/etc"), "--set code: that cannot be set"),
        (("--image", "apples:latest"), "takes NAME@sha256:DIGEST"),
        (("--stage", "prd"), "did you mean prod?"),
        (("--stage", "prod"), "config/prod.yaml does not exist"),
        (("--file", "nowhere.yaml"), "nowhere.yaml does not exist"),
        (("--name", "A b"), "--name A b: takes small letters"),
    ],
)
def test_a_wrong_request_is_told_in_a_line_and_submits_nothing(
    checkout: SmallCheckout, service: Service, arguments: tuple[str, ...], said: str
) -> None:
    done = checkout.strata("job", "apples", *arguments)

    assert done.status == 2
    assert said in done.errors
    assert done.errors.count("\n") == 1
    assert done.output == ""
    assert service.requests == []


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("inputs.days", "inputs.day", "7: command: there is no inputs.day (did you"),
        ("apples.ripen", "apples.rippen", "7: command: the task has no module domains"),
        ("../../", "environment", "6: code: environment does not hold"),
        ("../../", "../../../../..", "6: code: ../../../../.. lies outside the tree"),
        ("type: command", "type: sweep", "2: type: it is 'sweep'"),
        ("fruit: apple", "key: AccountKey=abc123", "5: tags.key looks like a connec"),
        ("  days: 3", "  days: 3\n  days: 4", "14: inputs.days: the key is in line 13"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(
    checkout: SmallCheckout, old: str, new: str, said: str
) -> None:
    file = checkout.root / "src/domains/apples/azure-ml-job.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))

    done = checkout.strata("job", "apples", "--dry-run")

    assert done.status == 2
    assert f"src/domains/apples/azure-ml-job.yaml:{said}" in done.errors


@pytest.mark.usefixtures("patience")
def test_what_does_not_fit_the_schema_is_named_with_its_line(
    checkout: SmallCheckout,
) -> None:
    file = checkout.root / "src/domains/apples/azure-ml-job.yaml"
    file.write_text(file.read_text() + "resources: {instance_count: many}\ncolour: 1\n")

    done = checkout.strata("job", "apples", "--dry-run")

    assert done.status == 2
    name = "src/domains/apples/azure-ml-job.yaml"
    assert f"{name}:16: resources.instance_count: Not a valid integer." in done.errors
    assert f"{name}:17: colour: Unknown field." in done.errors


@pytest.mark.usefixtures("patience")
def test_values_that_are_not_set_are_named(
    checkout: SmallCheckout, service: Service
) -> None:
    config = checkout.root / "config/dev.yaml"
    config.write_text("azure:\n  subscription: null\n  workspace: vision-dev\n")

    done = checkout.strata("job", "apples", "--image", PINNED)

    assert done.status == 2
    assert done.errors.splitlines() == [
        "strata: error: config/dev.yaml:2: azure.subscription is not set",
        "strata: error: config/dev.yaml:1: azure.resource_group is not set",
    ]


@pytest.mark.usefixtures("patience")
class TestWaiting:
    """Commands that take their time."""

    def test_the_job_s_output_comes_and_json_stays_json(
        self, signed_in: SmallCheckout, service: Service
    ) -> None:
        done = signed_in.strata("job", "apples", "--image", PINNED, "--wait", "--json")

        assert done.status == 0, done.errors
        told = json.loads(done.output)
        assert told["status"] == "Completed"
        assert told["studio"].startswith("https://ml.azure.com/runs/")
        assert told["image"] == PINNED
        assert "epoch 2" in done.errors
        assert SIGNATURE not in done.errors

    def test_a_job_that_fails_is_a_failure(
        self, signed_in: SmallCheckout, service: Service
    ) -> None:
        service.statuses = ["Running", "Failed"]

        done = signed_in.strata("job", "apples", "--image", PINNED, "--wait")

        assert done.status == 1
        assert "failed: the learning rate is too high; see https://" in done.errors
        assert "epoch 2" in done.output

    @pytest.mark.parametrize("cancel", [False, True])
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interruption_leaves_the_job_running_unless_asked(
        self,
        signed_in: SmallCheckout,
        service: Service,
        cancel: bool,
        number: signal.Signals,
    ) -> None:
        service.statuses = ["Running"]
        flags = ["--cancel-on-interrupt"] if cancel else []
        polled = threading.Event()
        service.when_looked_at = polled.set

        with signed_in.start(
            "job", "apples", "--image", PINNED, "--wait", *flags
        ) as process:
            assert polled.wait(60)
            process.send_signal(number)
            output, errors = process.communicate(timeout=60)

        assert process.returncode == 128 + number
        (name,) = service.jobs
        status = service.jobs[name]["properties"]["status"]
        assert status == ("Canceled" if cancel else "Running")
        assert ("is cancelled" if cancel else f"job {name} goes on") in errors
        assert bool(service.asked("POST", "/cancel$")) == cancel

    def test_a_lost_answer_is_cleared_up_by_the_same_name(
        self, signed_in: SmallCheckout, service: Service
    ) -> None:
        service.faults = [Fault("PUT", "/jobs/", after=True, times=99)]

        lost = signed_in.strata("job", "apples", "--image", PINNED)

        assert lost.status == 1
        (name,) = service.jobs
        again = f"./strata job apples --image {PINNED} --name {name}"
        assert f"job {name} may have been submitted; to make sure: {again}\n" in (
            lost.errors
        )
        service.faults = []
        done = signed_in.strata(*again.split()[1:])
        assert done.status == 0, done.errors
        assert f"job {name}: there already, Starting" in done.output
        assert list(service.jobs) == [name]
