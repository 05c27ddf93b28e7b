"""Resources of a workspace: made, changed, looked at, and what is said of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import RunError, UserError
from orchestration.azure.checks import check_stage
from orchestration.azure.documents import FileError, read_azure_file, with_settings
from orchestration.azure.resources import apply, kind_of, load_resource
from orchestration.stages import load_stage
from tests.orchestration.azure.checkout import CONFIG
from tests.orchestration.azure.service import Service
from tests.orchestration.faults import Fault

# Not before the service is there: it is led to it while it is loaded.
if TYPE_CHECKING:
    from azure.ai.ml import MLClient

SCHEMA = "https://azuremlschemas.azureedge.net/latest/{}.schema.json"
TREE = ("azure", "src")
DEPLOY = Path("src/domains/digit_recognition/deploy")


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


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*deployment.yaml")), ids=str)
def test_what_is_deployed_is_pinned(path: Path) -> None:
    assert "latest" not in path.read_text().partition("\n")[2]


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


def test_a_datastore_without_a_key_is_made(service: Service, client: MLClient) -> None:
    put(client, Path("azure/datastore.yaml"))

    (request,) = service.asked("PUT", "/datastores/datasets$")
    sent = request.body["properties"]
    assert sent["containerName"] == "datasets"
    assert sent["credentials"] == {"credentialsType": "None"}


def test_a_data_set_is_named_where_it_lies(service: Service, client: MLClient) -> None:
    made = put(client, DEPLOY / "data.yaml")

    assert (made.name, made.version) == ("digit_recognition-mnist", "1")
    (request,) = service.asked("PUT", "/data/digit_recognition-mnist/versions/1$")
    sent = request.body["properties"]
    assert sent["dataType"] == "uri_folder"
    assert sent["dataUri"].endswith("/datastores/datasets/paths/mnist/1")
    assert not service.blobs


def test_a_model_is_uploaded_and_registered(
    service: Service, client: MLClient, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    file = read_azure_file(DEPLOY / "model.yaml", "model.yaml")
    data = with_settings(file, [f"path={folder}", "version='2'"])
    kind = kind_of(file)

    made = apply(client, kind, load_resource(kind, file, data))

    assert (made.name, made.version) == ("digit_recognition", "2")
    names = {path.rpartition("/model/")[2]: path for path in service.blobs}
    assert sorted(names) == ["model.json", "model.safetensors"]
    assert service.blobs[names["model.safetensors"]] == b"weights"
    (request,) = service.asked("PUT", "/models/digit_recognition/versions/2$")
    uploaded = names["model.json"].removeprefix("/azureml-blobstore/")
    place = "/datastores/workspaceblobstore/paths/" + uploaded.rpartition("/")[0]
    assert request.body["properties"]["modelUri"].endswith(place)


def test_a_model_that_is_not_there_is_told_in_a_line(client: MLClient) -> None:
    file = read_azure_file(DEPLOY / "model.yaml", "model.yaml")
    kind = kind_of(file)

    with pytest.raises(UserError) as raised:
        data = with_settings(file, ["path=/nowhere/model"])
        apply(client, kind, load_resource(kind, file, data))

    assert "/nowhere/model" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_endpoint_is_made(service: Service, client: MLClient) -> None:
    made = put(client, DEPLOY / "endpoint.yaml")

    assert made.name == "digit-recognition"
    (request,) = service.asked("PUT", "/onlineEndpoints/digit-recognition$")
    sent = request.body["properties"]
    assert sent["authMode"].lower() == "aadtoken"
    # There is no deployment yet that could take any.
    assert not sent.get("traffic")


def test_an_endpoint_gives_its_traffic_to_a_deployment(
    service: Service, client: MLClient
) -> None:
    file = read_azure_file(DEPLOY / "endpoint.yaml", "endpoint.yaml")
    kind = kind_of(file)
    data = with_settings(file, ["traffic.blue=100"])

    apply(client, kind, load_resource(kind, file, data))

    (request,) = service.asked("PUT", "/onlineEndpoints/digit-recognition$")
    assert request.body["properties"]["traffic"] == {"blue": 100}


def test_a_deployment_of_a_container_is_made_and_waited_for(
    service: Service, client: MLClient
) -> None:
    put(client, DEPLOY / "endpoint.yaml")

    made = put(client, DEPLOY / "deployment.yaml")

    assert made.name == "blue"
    (request,) = service.asked("PUT", "/digit-recognition/deployments/blue$")
    sent = request.body["properties"]
    assert sent["endpointComputeType"] == "Managed"
    assert sent["model"].endswith("/models/digit_recognition/versions/1")
    assert sent["modelMountPath"] == "/models"
    assert sent["instanceType"] == "Standard_DS3_v2"
    assert request.body["sku"]["capacity"] == 1
    assert sent["requestSettings"]["requestTimeout"] == "PT10S"
    assert sent["readinessProbe"]["failureThreshold"] == 30
    environment = service.resources[sent["environmentId"]]["properties"]
    routes = environment["inferenceConfig"]
    assert routes["scoringRoute"] == {"path": "/score", "port": 8080}
    assert routes["livenessRoute"] == {"path": "/health", "port": 8080}
    assert routes["readinessRoute"] == {"path": "/health", "port": 8080}
    # Those of the endpoint, and of the deployment: in progress once, then done.
    assert len(service.asked("GET", "^/operations/")) == 4


def test_a_deployment_without_its_endpoint_is_told_in_a_line(client: MLClient) -> None:
    with pytest.raises(
        UserError, match="online deployment blue: .*not found"
    ) as raised:
        put(client, DEPLOY / "deployment.yaml")

    assert "\n" not in str(raised.value)


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
