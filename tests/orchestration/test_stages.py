"""Stages: what config/ says, and everything that is wrong there at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.stages import STAGES, StageError, load_stage
from orchestration.store.store import Store

SUBSCRIPTION = "6f1d3c52-8f6b-4a57-9d0e-2f5b8c3a7e10"
WHOLE = f"""\
azure:
  subscription: {SUBSCRIPTION}
  resource_group: vision
  workspace: vision-dev
  location: westeurope
  compute: {{cpu: small-cpu}}
registry: registry.example.com/vision
store: az://results/vision
argo: {{server: "https://argo.example.com:2746", namespace: vision}}
"""


def write(root: Path, text: str, name: str = "dev") -> Path:
    (root / "config").mkdir(exist_ok=True)
    (root / f"config/{name}.yaml").write_text(text)
    return root


def lines(root: Path, name: str | None = None) -> list[str]:
    with pytest.raises(StageError) as raised:
        load_stage(root, name)
    return list(raised.value.lines)


def test_a_stage_gives_its_values(tmp_path: Path) -> None:
    stage = load_stage(write(tmp_path, WHOLE), None)

    assert stage.name == "dev"
    assert stage.require("azure.subscription", "azure.workspace", "store") == [
        SUBSCRIPTION,
        "vision-dev",
        "az://results/vision",
    ]
    assert stage.values.azure.compute == {"cpu": "small-cpu"}
    assert stage.values.argo.namespace == "vision"


@pytest.mark.parametrize("name", STAGES)
def test_the_tree_s_own_stages_are_sound(name: str) -> None:
    stage = load_stage(Path.cwd(), name)

    assert stage.name == name
    if stage.values.store is not None:
        Store.open(stage.values.store)


def test_what_is_not_set_is_named_with_its_line(tmp_path: Path) -> None:
    root = write(tmp_path, "azure:\n  workspace: w-1\n  subscription: null\n")
    stage = load_stage(root, "dev")

    with pytest.raises(StageError) as raised:
        stage.require("azure.subscription", "azure.workspace", "registry")

    assert raised.value.lines == (
        "config/dev.yaml:3: azure.subscription is not set",
        "config/dev.yaml:1: registry is not set",
    )


def test_all_mistakes_are_named_at_once_with_their_lines(tmp_path: Path) -> None:
    text = """\
azure:
  subscripton: x
  subscription: 12
  location: West Europe
  compute: {cpu: c_p, gpu: [a]}
argo: 3
regitry: x
store: ftp://x
registry: x.example.com
registry: y.example.com
"""
    assert lines(write(tmp_path, text)) == [
        "config/dev.yaml:2: azure.subscripton: unknown key "
        "(did you mean subscription?)",
        "config/dev.yaml:3: azure.subscription: takes a text",
        "config/dev.yaml:4: azure.location: takes a region's short name, "
        "such as westeurope",
        "config/dev.yaml:5: azure.compute.cpu: takes a compute's name: letters, "
        "digits and hyphens, 32 at most",
        "config/dev.yaml:5: azure.compute.gpu: takes a text",
        "config/dev.yaml:6: argo: takes a mapping",
        "config/dev.yaml:7: regitry: unknown key (did you mean registry?)",
        "config/dev.yaml:8: store: takes s3://, az://, gs:// or a folder",
        "config/dev.yaml:10: registry: the key is in line 9 already",
    ]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("store: az://c?sig=c2VjcmV0", "a shared access signature"),
        ("store: DefaultEndpointsProtocol=https;AccountKey=c2VjcmV0", "a connection"),
        ("server: https://me:c2VjcmV0@argo.example.com", "a password"),
        ("token: ghp_c2VjcmV0c2VjcmV0c2VjcmV0", "a token"),
    ],
)
def test_a_secret_is_refused_by_its_place_and_never_shown(
    tmp_path: Path, line: str, kind: str
) -> None:
    found = lines(write(tmp_path, f"azure: {{}}\n{line}\n"))

    key = line.partition(":")[0]
    assert len(found) == 1
    assert found[0].startswith(f"config/dev.yaml:2: {key} looks like {kind}")
    assert "c2VjcmV0" not in found[0]


def test_a_job_of_azure_ml_knows_its_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZUREML_ARM_SUBSCRIPTION", SUBSCRIPTION)
    monkeypatch.setenv("AZUREML_ARM_RESOURCEGROUP", "jobs")
    monkeypatch.setenv("AZUREML_ARM_WORKSPACE_NAME", "of-the-job")
    keys = ("azure.resource_group", "azure.workspace")

    without_file = load_stage(tmp_path, None)
    assert without_file.require(*keys) == ["jobs", "of-the-job"]
    with_file = load_stage(write(tmp_path, WHOLE), None)
    assert with_file.require(*keys) == ["jobs", "of-the-job"]
    assert with_file.values.registry == "registry.example.com/vision"
    # Who names a stage means it.
    assert load_stage(tmp_path, "dev").require(*keys) == ["vision", "vision-dev"]
