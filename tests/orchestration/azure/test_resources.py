"""Resources of a workspace: made, changed, looked at, and what is said of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import RunError, UserError
from orchestration.azure.checks import check_stage
from orchestration.azure.documents import FileError, read_azure_file
from orchestration.azure.resources import apply, kind_of, load_resource
from orchestration.stages import load_stage
from tests.orchestration.azure.checkout import CONFIG
from tests.orchestration.azure.service import Fault, Service

# Not before the service is there: it is led to it while it is loaded.
if TYPE_CHECKING:
    from azure.ai.ml import MLClient

SCHEMA = "https://azuremlschemas.azureedge.net/latest/{}.schema.json"
TREE = ("azure", "src")


def put(client: MLClient, path: Path) -> Any:
    file = read_azure_file(path, str(path))
    kind = kind_of(file)
    return apply(client, kind, load_resource(kind, file, file.data))


def write(tmp_path: Path, schema: str, text: str) -> Path:
    path = tmp_path / "resource.yaml"
    path.write_text(f"$schema: {SCHEMA.format(schema)}\n{text}")
    return path


def azure_files() -> list[Path]:
    """Find every file of the tree that says to be in one of Azure ML's schemas."""
    found = [path for top in TREE for path in Path(top).rglob("*.yaml")]
    return sorted(path for path in found if "azuremlschemas" in path.read_text())


@pytest.mark.parametrize("path", azure_files(), ids=str)
def test_every_file_of_the_tree_is_loaded_by_azure_ai_ml_as_it_stands(
    path: Path,
) -> None:
    from azure.ai.ml import load_job
    from azure.ai.ml.entities import _load_functions

    file = read_azure_file(path, str(path))
    if "Job.schema.json" in file.data["$schema"]:
        assert load_job(path)._to_dict()
    else:
        assert getattr(_load_functions, kind_of(file).loader)(path).name


def test_the_tree_has_such_files() -> None:
    names = [path.name for path in azure_files()]
    assert {"azure-ml-job.yaml", "cpu.yaml", "schedule.yaml"} <= set(names)


def test_a_compute_is_made_and_waited_for(service: Service, client: MLClient) -> None:
    made = put(client, Path("azure/cpu.yaml"))

    assert made.name == "cpu"
    (request,) = service.asked("PUT", "/computes/cpu$")
    sent = request.body["properties"]
    assert sent["computeType"] == "AmlCompute"
    assert sent["properties"]["scaleSettings"]["minNodeCount"] == 0
    # In progress once, then done.
    assert len(service.asked("GET", "^/operations/")) == 2


@pytest.mark.usefixtures("patience")
def test_an_operation_outlives_a_bad_connection(
    service: Service, client: MLClient
) -> None:
    service.faults = [
        Fault("GET", "^/operations/", 429, {"Retry-After": "0"}),
        Fault("GET", "^/operations/"),
    ]

    assert put(client, Path("azure/gpu.yaml")).name == "gpu"
    assert [fault.times for fault in service.faults] == [0, 0]


def test_an_operation_that_fails_is_told_in_a_line(
    service: Service, client: MLClient
) -> None:
    error = {"code": "QuotaExceeded", "message": "no quota\nfor Standard_D4s_v3"}
    body = {"status": "Failed", "error": error}
    service.faults = [Fault("GET", "^/operations/", 200, body=body, times=9)]

    with pytest.raises(
        (UserError, RunError), match="compute cpu: .*no quota"
    ) as raised:
        put(client, Path("azure/cpu.yaml"))

    assert "\n" not in str(raised.value)


def test_an_endpoint_is_made(service: Service, client: MLClient) -> None:
    made = put(client, Path("src/domains/digit_recognition/deploy/endpoint.yaml"))

    assert made.name == "digit-recognition"
    (request,) = service.asked("PUT", "/onlineEndpoints/digit-recognition$")
    assert request.body["properties"]["authMode"].lower() == "aadtoken"


def test_a_schedule_starts_the_pipeline_that_it_names(
    service: Service, client: MLClient, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/train.py").write_text("print(1)\n")
    (tmp_path / "pipeline.yaml").write_text(
        "type: pipeline\nexperiment_name: e\njobs:\n  train:\n    type: command\n"
        "    command: python train.py\n    code: code\n    compute: azureml:cpu\n"
        "    environment: {image: 'x.example.com/a@sha256:" + "0" * 64 + "'}\n"
    )
    text = (
        "name: weekly\ncreate_job: pipeline.yaml\n"
        "trigger: {type: recurrence, frequency: week, interval: 1}\n"
    )

    made = put(client, write(tmp_path, "schedule", text))

    assert made.name == "weekly"
    (request,) = service.asked("PUT", "/schedules/weekly$")
    sent = request.body["properties"]
    assert sent["trigger"]["frequency"].lower() == "week"
    definition = sent["action"]["jobDefinition"]
    assert definition["jobType"] == "Pipeline"
    assert set(definition["jobs"]) == {"train"}


@pytest.mark.parametrize(
    ("schema", "text", "path", "key", "value"),
    [
        (
            "data",
            "name: digits\nversion: 1\ntype: uri_folder\n"
            "path: azureml://datastores/workspaceblobstore/paths/digits\n",
            "/data/digits/versions/1$",
            "dataType",
            "uri_folder",
        ),
        (
            "environment",
            "name: apples\nversion: 1\nimage: 'x.example.com/a@sha256:"
            + "0" * 64
            + "'\n",
            "/environments/apples/versions/1$",
            "image",
            "x.example.com/a@sha256:" + "0" * 64,
        ),
        (
            "azureBlob",
            "name: results\ntype: azure_blob\naccount_name: vision\n"
            "container_name: results\n",
            "/datastores/results$",
            "accountName",
            "vision",
        ),
        (
            "batchEndpoint",
            "name: read-digits\n",
            "/batchEndpoints/read-digits$",
            "authMode",
            "aadToken",
        ),
    ],
)
def test_other_kinds_are_sent_as_they_are_written(
    service: Service,
    client: MLClient,
    tmp_path: Path,
    schema: str,
    text: str,
    path: str,
    key: str,
    value: str,
) -> None:
    put(client, write(tmp_path, schema, text))

    (request,) = service.asked("PUT", path)
    assert str(request.body["properties"][key]).lower() == value.lower()


@pytest.mark.parametrize(
    ("schema", "text", "said"),
    [
        (
            "amlComputes",
            "name: cpu\n",
            "amlComputes cannot be applied (did you mean am",
        ),
        ("commandJob", "command: x\n", "it is a job; ./strata job TASK --file FILE"),
        ("amlCompute", "name: cpu\ntype: amlcompute\nsise: x\n", ":4: sise: Unknown"),
        (
            "data",
            "name: x\nkey: AccountKey=abcdef\n",
            ":3: key looks like a connection",
        ),
    ],
)
def test_a_wrong_file_is_named_with_its_line(
    tmp_path: Path, schema: str, text: str, said: str
) -> None:
    path = write(tmp_path, schema, text)

    with pytest.raises(FileError) as raised:
        file = read_azure_file(path, "resource.yaml")
        load_resource(kind_of(file), file, file.data)

    assert said in str(raised.value)
    assert "abcdef" not in str(raised.value)


def config(tmp_path: Path, service: Service) -> Path:
    (tmp_path / "config").mkdir()
    text = CONFIG.replace("registry: null", f"registry: {service.registry}")
    text = text.replace("store: null", f"store: {tmp_path / 'store'}")
    (tmp_path / "config/dev.yaml").write_text(text)
    return tmp_path


def test_a_whole_stage_is_found_to_be_so(service: Service, tmp_path: Path) -> None:
    findings = check_stage(load_stage(config(tmp_path, service), "dev"))

    assert [(one.part, one.state, one.way_out) for one in findings] == [
        ("workspace", "ok", ""),
        ("compute", "ok", ""),
        ("compute", "ok", ""),
        ("registry", "ok", ""),
        ("store", "ok", ""),
    ]


def test_what_a_stage_lacks_is_named_with_the_way_out(
    service: Service, tmp_path: Path
) -> None:
    root = config(tmp_path, service)
    file = root / "config/dev.yaml"
    text = file.read_text().replace("cpu: small-cpu", "cpu: big-cpu")
    file.write_text(text.replace(f"store: {tmp_path / 'store'}", "store: null"))

    found = {one.name or one.part: one for one in check_stage(load_stage(root, "dev"))}

    assert found["big-cpu"].state == "missing"
    assert found["big-cpu"].way_out.startswith("./strata azure apply FILE --stage dev")
    assert found["gpu"].state == "ok"
    assert found["store"].state == "not set"
    assert found["store"].way_out == "config/dev.yaml:8: store is not set"


def test_a_stage_without_a_workspace_is_named(service: Service, tmp_path: Path) -> None:
    del service.resources[service.workspace_path]

    findings = check_stage(load_stage(config(tmp_path, service), "dev"))

    assert (findings[0].part, findings[0].state) == ("workspace", "missing")
    assert "compute" not in {one.part for one in findings}
