"""Jobs against a service that is slow, busy, forgetful, or cut off."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import RunError, UserError
from orchestration.azure import jobs
from orchestration.azure.connection import connect
from orchestration.azure.documents import AzureFile
from orchestration.stages import Stage
from tests.orchestration.azure.service import (
    GROUP,
    SIGNATURE,
    SUBSCRIPTION,
    TENANT,
    WORKSPACE,
    Service,
)
from tests.orchestration.faults import Fault

# Not before the service is there: it is led to it while it is loaded.
if TYPE_CHECKING:
    from azure.ai.ml import MLClient

JOB = "/jobs/apples-1$"


def submit(client: MLClient, file: AzureFile, **changes: Any) -> jobs.Submitted:
    return jobs.submit(client, file, {**file.data, **changes})


def test_a_job_is_submitted_as_it_is_written(
    service: Service, client: MLClient, job_file: AzureFile
) -> None:
    submitted = submit(client, job_file)

    assert submitted.name == "apples-1"
    assert submitted.status == "Starting"
    assert submitted.studio is not None
    assert submitted.studio.startswith("https://ml.azure.com/runs/apples-1?wsid=")
    assert submitted.studio.endswith(f"&tid={TENANT}")
    (request,) = service.asked("PUT", JOB)
    sent = request.body["properties"]
    assert sent["jobType"] == "Command"
    assert sent["command"] == job_file.data["command"]
    assert sent["experimentName"] == "apples-main"
    assert sent["tags"] == {"branch": "main"}
    assert sent["inputs"]["days"]["value"] == "3"
    assert sent["computeId"] == f"{service.workspace_path}/computes/cpu"
    environment = service.resources[sent["environmentId"]]
    assert environment["properties"]["image"] == job_file.data["environment"]["image"]


def test_the_code_is_uploaded_whole_and_nothing_else(
    service: Service, client: MLClient, job_file: AzureFile
) -> None:
    submit(client, job_file)

    assert service.blobs == {
        "/azureml-code/code/ripen.py": b"print('ripe')\n",
        "/azureml-code/code/pips/__init__.py": b"",
    }


def test_several_machines_and_processes_are_asked_for(
    service: Service, client: MLClient, job_file: AzureFile
) -> None:
    submit(
        client,
        job_file,
        resources={"instance_count": 2},
        distribution={"type": "pytorch", "process_count_per_instance": 4},
    )

    sent = service.jobs["apples-1"]["properties"]
    assert sent["resources"]["instanceCount"] == 2
    assert sent["distribution"]["distributionType"] == "PyTorch"
    assert sent["distribution"]["processCountPerInstance"] == 4


def test_a_pipeline_is_submitted_by_the_same_code(
    service: Service, client: MLClient, job_file: AzureFile
) -> None:
    step = {k: job_file.data[k] for k in ("command", "environment", "compute")}
    step |= {"inputs": {"days": 3}, "outputs": {"run": {"type": "uri_folder"}}}
    pipeline = {
        "type": "pipeline",
        "name": "orchard-1",
        "experiment_name": "orchard-main",
        "jobs": {"ripen": {"type": "command", **step}},
    }

    submitted = jobs.submit(client, job_file, pipeline)

    assert submitted.name == "orchard-1"
    assert service.jobs["orchard-1"]["properties"]["jobType"] == "Pipeline"
    assert set(service.jobs["orchard-1"]["properties"]["jobs"]) == {"ripen"}


def title(fault: Fault) -> str:
    return f"{fault.method} {fault.path} {fault.status}{' after' * fault.after}"


BUSY = {"Retry-After": "0"}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT", JOB, 429, BUSY, times=2),
        Fault("PUT", JOB, 503),
        Fault("PUT", JOB),
        Fault("PUT", JOB, after=True),
        Fault("PUT", JOB, 504, after=True),
        Fault("PUT", "/environments/"),
        Fault("PUT", "/codes/", 502),
        Fault("POST", "/startPendingUpload", 429, BUSY),
    ],
    ids=title,
)
def test_what_passes_is_tried_again_and_makes_one_job(
    service: Service, client: MLClient, job_file: AzureFile, fault: Fault
) -> None:
    service.faults = [fault]

    submitted = submit(client, job_file)

    assert submitted.name == "apples-1"
    assert fault.times == 0
    assert list(service.jobs) == ["apples-1"]


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT", JOB, 500, times=4),
        Fault("PUT", JOB, times=4),
        Fault("PUT", "/azureml-code/code/ripen.py", 503),
        Fault("PUT", "/azureml-code/code/ripen.py"),
        Fault("HEAD", "^/azureml-code/"),
    ],
    ids=title,
)
def test_what_passes_late_is_tried_again_and_makes_one_job(
    service: Service, client: MLClient, job_file: AzureFile, fault: Fault
) -> None:
    service.faults = [fault]

    submit(client, job_file)

    assert fault.times == 0
    assert list(service.jobs) == ["apples-1"]
    assert service.blobs["/azureml-code/code/ripen.py"] == b"print('ripe')\n"


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("PUT", JOB, 503, times=99), "Azure answers 503"),
        (Fault("PUT", JOB, times=99), "Azure cannot be reached"),
    ],
)
def test_what_does_not_pass_fails_the_work(
    service: Service, client: MLClient, job_file: AzureFile, fault: Fault, said: str
) -> None:
    service.faults = [fault]

    with pytest.raises(RunError, match=said) as raised:
        submit(client, job_file)

    assert "\n" not in str(raised.value)
    assert fault.times < 99 - 3


def test_a_token_that_is_revoked_meanwhile_is_replaced(
    service: Service, stage: Stage, job_file: AzureFile
) -> None:
    client = connect(stage)
    assert jobs.find_job(client, "apples-1") is None
    service.revoke_tokens()

    jobs.submit(client, job_file, job_file.data)

    assert list(service.jobs) == ["apples-1"]
    assert service.tokens > 1


def test_a_token_is_replaced_before_it_expires(
    service: Service, stage: Stage, job_file: AzureFile
) -> None:
    service.token_seconds = 60

    submit(connect(stage), job_file)

    assert service.tokens > 1


def test_the_same_name_is_the_same_job(
    service: Service, stage: Stage, job_file: AzureFile
) -> None:
    first = submit(connect(stage), job_file)
    again = submit(connect(stage), job_file)

    assert again.name == first.name
    assert list(service.jobs) == ["apples-1"]
    # Nor is code that is there sent once more.
    found = jobs.find_job(connect(stage), "apples-1")
    assert found is not None and not found.is_new


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault("PUT", JOB, 403, body={"error": {"code": "F", "message": "no"}}),
            "whoever is signed in may not do that",
        ),
        (Fault("PUT", JOB, 401), "Azure refuses the credentials; az login"),
        (
            Fault(
                "PUT",
                JOB,
                400,
                body={"error": {"code": "UserError", "message": "no compute\ncpu"}},
            ),
            "no compute cpu",
        ),
        (
            Fault(
                "PUT",
                JOB,
                400,
                body={
                    "error": {
                        "code": "UserError",
                        "message": f"https://x.example/c?sv=1&sig={SIGNATURE} is bad",
                    }
                },
            ),
            "https://x.example/c?sv=1&sig=*** is bad",
        ),
    ],
)
def test_a_refusal_is_told_in_a_line(
    service: Service,
    client: MLClient,
    job_file: AzureFile,
    fault: Fault,
    said: str,
) -> None:
    service.faults = [fault]

    with pytest.raises(UserError) as raised:
        submit(client, job_file)

    message = str(raised.value)
    assert message.startswith("job apples-1: ")
    assert said in message
    assert "\n" not in message
    assert SIGNATURE not in message
    assert service.jobs == {}


def test_nobody_signed_in_is_told_with_the_way_out(
    service: Service, stage: Stage, job_file: AzureFile
) -> None:
    service.signed_in = False

    with pytest.raises(UserError, match="nobody is signed in; az login") as raised:
        submit(connect(stage), job_file)

    assert "\n" not in str(raised.value)
    assert service.jobs == {}


def test_a_workspace_that_is_not_there_is_named(
    service: Service, client: MLClient
) -> None:
    body = {
        "error": {"code": "ResourceNotFound", "message": f"no workspace {WORKSPACE}"}
    }
    service.faults = [Fault("GET", "/jobs/", 404, body=body)]

    with pytest.raises(UserError, match=f"no workspace {WORKSPACE}"):
        jobs.find_job(client, "apples-1")


def test_waiting_shows_what_the_job_writes(
    service: Service, client: MLClient, job_file: AzureFile
) -> None:
    submit(client, job_file)
    service.statuses = ["Running", "Running", "Finalizing", "Completed"]
    output = io.StringIO()

    ended = jobs.wait(client, "apples-1", output)

    assert ended.status == "Completed"
    assert "epoch 1\nepoch 2\n" in output.getvalue()
    assert SIGNATURE not in output.getvalue()


@pytest.mark.usefixtures("patience")
def test_waiting_outlives_a_bad_connection(
    service: Service, client: MLClient, job_file: AzureFile
) -> None:
    submit(client, job_file)
    service.statuses = ["Running"] * 4 + ["Completed"]
    service.faults = [
        Fault("GET", "/details$"),
        Fault("GET", "/details$", 429, BUSY),
        Fault("GET", "/logs/", 503),
    ]

    ended = jobs.wait(client, "apples-1", io.StringIO())

    assert ended.status == "Completed"
    assert [fault.times for fault in service.faults] == [0, 0, 0]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("Failed", "job apples-1 failed: the learning rate is too high; see https://"),
        ("Canceled", "job apples-1 was cancelled; see https://"),
    ],
)
def test_a_job_that_does_not_complete_is_a_failure(
    service: Service, client: MLClient, job_file: AzureFile, status: str, said: str
) -> None:
    submit(client, job_file)
    service.statuses = ["Running", status]

    with pytest.raises(RunError) as raised:
        jobs.wait(client, "apples-1", io.StringIO())

    assert str(raised.value).startswith(said)


def test_a_job_is_cancelled(
    service: Service, client: MLClient, job_file: AzureFile
) -> None:
    submit(client, job_file)

    jobs.cancel(client, "apples-1")

    assert service.jobs["apples-1"]["properties"]["status"] == "Canceled"


def test_every_request_says_which_version_it_speaks(
    service: Service, client: MLClient, job_file: AzureFile
) -> None:
    submit(client, job_file)

    inside = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/"
    asked = [one for one in service.requests if one.path.startswith(inside)]
    versions = {one.version for one in asked}
    assert asked and all(version and version[:2] == "20" for version in versions)


def test_no_token_is_in_what_is_sent_as_content(
    service: Service, client: MLClient, job_file: AzureFile
) -> None:
    submit(client, job_file)

    token = base64.b64encode(b"signed").decode()
    assert token not in json.dumps([one.body for one in service.requests])
