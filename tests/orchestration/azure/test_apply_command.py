"""``./strata azure apply``: what it puts into a task's resources, and what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.orchestration.azure.checkout import (
    CLOSURE,
    DIGEST,
    TASK,
    SmallCheckout,
    push,
)
from tests.orchestration.azure.service import IDENTITY_HEADER, SIGNATURE, Service

VERSION = DIGEST.removeprefix("sha256:")[:16]


@pytest.fixture(autouse=True)
def deploy(checkout: SmallCheckout) -> Path:
    """The files of digit recognition, as the checkout's task would have them."""
    folder = checkout.root / TASK / "deploy"
    folder.mkdir(exist_ok=True)
    for path in Path("src/domains/digit_recognition/deploy").glob("*.yaml"):
        text = path.read_text()
        for name in ("predict", "train"):
            text = text.replace(f"digit_recognition.{name}", "apples.ripen")
        (folder / path.name).write_text(text.replace("digit_recognition", "apples"))
    return folder


def apply(checkout: SmallCheckout, name: str, *flags: str) -> dict[str, Any]:
    done = checkout.strata("azure", "apply", f"{TASK}/deploy/{name}", "--json", *flags)
    assert done.status == 0, done.errors
    assert SIGNATURE not in done.errors and IDENTITY_HEADER not in done.errors
    told: dict[str, Any] = json.loads(done.output)
    return told


def sent(service: Service, path: str) -> dict[str, Any]:
    (request,) = service.asked("PUT", path)
    properties: dict[str, Any] = request.body["properties"]
    return properties


def test_a_dry_run_shows_the_component_with_code_and_image_and_asks_nobody(
    checkout: SmallCheckout, service: Service
) -> None:
    done = checkout.strata(
        "azure", "apply", f"{TASK}/deploy/batch-deployment.yaml", "--dry-run"
    )

    assert done.status == 0, done.errors
    shown = yaml.safe_load(done.output)
    assert shown["settings"]["default_compute"] == "small-cpu"
    component = shown["component"]
    step = component["jobs"]["predict"]
    assert step["command"].startswith("python -m domains.apples.ripen ")
    assert step["environment"]["image"].startswith(f"{service.registry}/strata/apples:")
    code = Path(step["code"])
    files = [path for path in code.parent.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(code.parent)) for path in files) == CLOSURE
    assert component["tags"]["task"] == "apples"
    assert component["tags"]["stage"] == "dev"
    # It is of the image's digest, which only the registry knows.
    assert "version" not in component
    assert service.requests == []


@pytest.mark.usefixtures("patience")
def test_an_environment_is_the_image_by_its_digest_and_so_is_its_version(
    signed_in: SmallCheckout, service: Service
) -> None:
    push(signed_in, service)

    told = apply(signed_in, "environment.yaml")

    assert (told["name"], told["version"]) == ("apples", VERSION)
    image = sent(service, f"/environments/apples/versions/{VERSION}$")["image"]
    assert image == f"{service.registry}/strata/apples@{DIGEST}"


@pytest.mark.usefixtures("patience")
def test_a_deployment_gets_the_image_by_its_digest_unless_it_is_set(
    signed_in: SmallCheckout, service: Service
) -> None:
    push(signed_in, service)
    apply(signed_in, "endpoint.yaml")
    other = f"registry.example.com/pears@{DIGEST}"

    for flags, image in (
        ((), f"{service.registry}/strata/apples@{DIGEST}"),
        (("--set", f"environment.image={other}"), other),
    ):
        service.requests.clear()
        told = apply(signed_in, "deployment.yaml", *flags)

        assert (told["kind"], told["name"]) == ("online deployment", "blue")
        environment = sent(service, "/environments/")
        assert environment["image"] == image
        assert environment["inferenceConfig"]["scoringRoute"]["path"] == "/score"
        model = sent(service, "/deployments/blue$")["model"]
        assert model.endswith("/models/apples/versions/1")


@pytest.mark.usefixtures("patience")
def test_a_batch_deployment_brings_its_component_once(
    signed_in: SmallCheckout, service: Service
) -> None:
    push(signed_in, service)
    apply(signed_in, "batch-endpoint.yaml")

    for times in (1, 0):
        service.requests.clear()
        told = apply(signed_in, "batch-deployment.yaml")

        assert (told["kind"], told["name"]) == ("batch deployment", "predict")
        made = service.asked("PUT", "/components/apples_predict/versions/")
        assert len(made) == times
        (deployed,) = service.asked("PUT", "/deployments/predict$")
        configuration = deployed.body["properties"]["deploymentConfiguration"]
        assert configuration["settings"]["default_compute"] == "small-cpu"
        component = configuration["componentId"]["assetId"]
        assert component in service.resources
        version = component.rpartition("/")[2]
        assert len(version) == 16
        # Asked again, the service has what it is to have.
        assert not times or made[0].path == component

    spec = service.resources[component]["properties"]["componentSpec"]
    assert set(spec["inputs"]) == {"images"} and set(spec["outputs"]) == {"predictions"}
    step = spec["jobs"]["predict"]
    assert step["inputs"]["model"]["uri"].endswith("/models/apples/versions/1")
    inner = service.resources[step["componentId"]]["properties"]["componentSpec"]
    environment = service.resources[inner["environment"].removeprefix("azureml:")]
    image = f"{service.registry}/strata/apples@{DIGEST}"
    assert environment["properties"]["image"] == image
    assert sorted(service.blobs) == [f"/azureml-code/{one}" for one in CLOSURE]


@pytest.mark.usefixtures("patience")
def test_another_content_is_another_version_of_the_component(
    signed_in: SmallCheckout, service: Service, deploy: Path
) -> None:
    def version() -> str:
        service.requests.clear()
        apply(signed_in, "batch-deployment.yaml")
        (made,) = service.asked("PUT", "/components/apples_predict/versions/")
        return made.path.rpartition("/")[2]

    push(signed_in, service)
    apply(signed_in, "batch-endpoint.yaml")
    first = version()
    helper = signed_in.root / TASK / "helper.py"
    helper.write_text("ripe = True\n")
    push(signed_in, service)
    second = version()
    file = deploy / "batch-predict.yaml"
    file.write_text(file.read_text().replace("apples:1", "apples:2"))
    assert len({first, second, version()}) == 3


@pytest.mark.usefixtures("patience")
def test_a_schedule_gets_its_job_as_it_would_be_submitted(
    signed_in: SmallCheckout, service: Service
) -> None:
    push(signed_in, service)

    told = apply(signed_in, "schedule.yaml")

    assert told["name"] == "apples-weekly"
    action = sent(service, "/schedules/apples-weekly$")["action"]
    definition = action["jobDefinition"]
    assert definition["experimentName"] == "apples-main"
    assert definition["tags"]["task"] == "apples"
    assert set(definition["jobs"]) == {"train"}


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (
            "batch-predict.yaml",
            "inputs.images}}\n      --model",
            "inputs.image}}\n      --model",
            "jobs.predict.command: there is no inputs.image (did you mean images?)",
        ),
        (
            "batch-predict.yaml",
            "apples.ripen",
            "apples.rippen",
            "jobs.predict.command: the task has no module domains.apples.rippen",
        ),
        (
            "batch-deployment.yaml",
            "batch-predict.yaml",
            "batch-read.yaml",
            "batch-read.yaml does not exist",
        ),
        (
            "batch-deployment.yaml",
            "settings:",
            "setting:",
            "batch-deployment.yaml:8: setting: Unknown field.",
        ),
    ],
)
def test_a_wrong_file_is_told_in_a_line_and_nothing_is_sent(
    signed_in: SmallCheckout,
    service: Service,
    deploy: Path,
    name: str,
    old: str,
    new: str,
    said: str,
) -> None:
    text = (deploy / name).read_text()
    assert old in text
    (deploy / name).write_text(text.replace(old, new))

    done = signed_in.strata(
        "azure", "apply", f"{TASK}/deploy/batch-deployment.yaml", "--dry-run"
    )

    assert done.status == 2
    assert said in done.errors
    assert done.errors.count("\n") == 1
    assert service.asked("PUT", "") == []


@pytest.mark.usefixtures("patience")
def test_an_image_that_is_not_pushed_is_told_with_the_way_out(
    signed_in: SmallCheckout, service: Service
) -> None:
    done = signed_in.strata("azure", "apply", f"{TASK}/deploy/deployment.yaml")

    assert done.status == 2
    way_out = f"./strata image apples --push --registry {service.registry}\n"
    assert f"is not in the registry; {way_out}" in done.errors
    assert service.requests == []


@pytest.mark.usefixtures("patience")
def test_a_model_is_uploaded_and_named_with_its_version(
    signed_in: SmallCheckout, service: Service
) -> None:
    missing = signed_in.strata("azure", "apply", f"{TASK}/deploy/model.yaml")
    assert missing.status == 2
    said = f"No such file or directory: {signed_in.root}/outputs/model"
    assert missing.errors.endswith(f"strata: error: model apples: {said}\n")
    assert service.asked("PUT", "") == []

    model = signed_in.root / "outputs/model"
    model.mkdir(parents=True)
    (model / "model.json").write_text("{}")
    done = signed_in.strata("azure", "apply", f"{TASK}/deploy/model.yaml")

    assert (done.status, done.output) == (0, "model apples:1: ok\n"), done.errors
    assert [path.rpartition("/")[2] for path in service.blobs] == ["model.json"]
