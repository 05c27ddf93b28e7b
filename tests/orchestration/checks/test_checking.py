"""A whole check: what it remembers, and what it does when parts cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.errors import UserError
from orchestration.checks.checking import Report, check_tree
from tests.orchestration.checks.valid_tree import SCRIPT, SOURCES
from tests.orchestration.small_tree import SmallTree

MILL = "src/domains/mill"
DOCKERFILE = f"{MILL}/environment/Dockerfile"
PIPELINE = f"{MILL}/pipeline.yaml"
ARGO = "argo/mill.yaml"


def check(tree: SmallTree, *files: str) -> list[str]:
    """Check some files; the findings as lines."""
    return [str(one) for one in report(tree, *files).findings]


def report(tree: SmallTree, *files: str) -> Report:
    return check_tree(tree.checkout, print, (lambda _: files) if files else None)


def test_wrong_stages_are_found(tree: SmallTree) -> None:
    wrong: dict[str, str | None] = {
        "config/dev.yaml": "azure:\n  computes: {}\n",
        "config/pord.yaml": "store: null\n",
        "config/prod.yaml": "registry: a b\n",
    }
    tree.write(wrong)

    assert check(tree, *wrong) == [
        "config/dev.yaml:2: azure.computes: unknown key (did you mean compute?)",
        "config/pord.yaml:1: there is no stage of this name (did you mean prod.yaml?)",
        "config/prod.yaml:1: registry: takes HOST[:PORT][/PATH] "
        "(docs/azure.md has all keys)",
    ]


@pytest.mark.parametrize(
    ("addition", "words"),
    [
        ("    resources: {gpu: 1}\n", "Azure ML, dev: grind asks for a GPU"),
        ("    resources: {nodes: 2}\n", "Argo, dev: grind asks for 2 machines"),
        ("    env: [SAILS]\n", "Argo, dev: grind sees the variable SAILS"),
    ],
)
def test_what_a_stage_cannot_run_is_found(
    tree: SmallTree, addition: str, words: str
) -> None:
    text = SOURCES[PIPELINE].replace("  sift:\n", f"{addition}  sift:\n")
    tree.write({PIPELINE: text})

    assert any(
        one.startswith(f"{PIPELINE}:5: {words}") for one in check(tree, PIPELINE)
    )


def test_what_a_stage_or_a_file_defines_is_known(tree: SmallTree) -> None:
    job = f"{MILL}/azure-ml-job.yaml"
    text = SOURCES[job].replace("workspaceblobstore", "barn")
    text = text.replace("azureml:cpu", "azureml:small-cpu")
    tree.write({job: text.replace("azureml:mill:3", "azureml:miller:3")})
    assert len(check(tree, job)) == 2

    stage = SOURCES["config/test.yaml"]
    schemas = "$schema: https://azuremlschemas.azureedge.net/latest"
    miller = f"{schemas}/environment.schema.json\nname: miller\nimage: mill:3\n"
    tree.write(
        {
            "config/test.yaml": stage.replace("  comp", "  datastores: [barn]\n  comp"),
            "azure/miller.yaml": miller,
        }
    )

    assert check(tree, job, "config/test.yaml", "azure/miller.yaml") == []


def test_a_broken_graph_hides_nothing_else(tree: SmallTree) -> None:
    tree.write({f"{MILL}/BUILD": "grid.py", DOCKERFILE: "FROM python\n"})

    found = check(tree)

    assert [one.partition(" ")[0] for one in found] == [
        f"{MILL}/BUILD:1:",
        f"{DOCKERFILE}:1:",
    ]
    assert "there is no such script" in found[0]
    assert "was not checked" in found[0]


def test_files_that_cannot_be_read_hide_nothing_else(tree: SmallTree) -> None:
    tree.write({PIPELINE: "x: [\n", DOCKERFILE: "FROM python\n"})
    (tree.root / ARGO).write_bytes(b"apiVersion: argoproj.io/v1alpha1\nx: \xff\n")
    (tree.root / "azure/cpu.yaml").unlink()
    (tree.root / "azure/cpu.yaml").symlink_to("nowhere")

    places = {one.rpartition(":")[0].partition(": ")[0] for one in check(tree)}

    assert {f"{PIPELINE}:2", f"{DOCKERFILE}:1"} <= places
    assert any(place.startswith("azure/cpu.yaml:1") for place in places)


def test_a_script_is_asked_once_for_each_state(
    tree: SmallTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    monkeypatch.setenv("ASKED", str(asked))
    noted = f"import os\n\nopen(os.environ['ASKED'], 'a').write('x')\n{SCRIPT}"

    counts = []
    for changes in (
        {f"{MILL}/grind.py": noted},
        {},
        {DOCKERFILE: "FROM python\n"},
        {f"{MILL}/grind.py": f"{noted}# edited\n"},
    ):
        tree.write(changes)
        report(tree, PIPELINE)
        counts.append(len(asked.read_text()))

    once = counts[0]
    assert once > 0
    assert counts == [once, once, once, 2 * once]


def test_what_is_remembered_is_what_was_found(tree: SmallTree) -> None:
    tree.write({DOCKERFILE: "FROM python\n"})
    first = report(tree)

    assert report(tree) == first
    assert [one.file for one in first.findings] == [DOCKERFILE]
    assert report(tree, DOCKERFILE).findings == first.findings
    assert report(tree, ARGO).findings == ()
    assert report(tree, ARGO).files == (ARGO,)
    tree.write({DOCKERFILE: SOURCES[DOCKERFILE]})
    assert report(tree).findings == ()


def test_what_could_not_be_checked_is_said_and_not_remembered(
    tree: SmallTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.write(
        {
            "3rdparty/torch.in": "sails",
            "3rdparty/torch.lock": f"sails==1.0 \\\n    --hash=sha256:{'0' * 64}\n",
            f"{MILL}/grind.py": f"import sails\n{SCRIPT}",
        }
    )
    monkeypatch.setenv("UV_OFFLINE", "1")
    for _ in range(2):
        found = report(tree)
        assert found.findings == ()
        assert any("uv could not make" in one for one in found.unchecked)


def test_a_secret_is_not_shown(tree: SmallTree) -> None:
    secret = "AKIAABCDEFGHIJKLMNOP"
    tree.write(
        {
            "config/dev.yaml": f"store: az://x/{secret}\n",
            PIPELINE: f"# {secret}\n{SOURCES[PIPELINE]}",
            DOCKERFILE: f"FROM python:3\nENV KEY={secret}\n",
        }
    )

    found = check(tree)

    assert [one.partition(": ")[0] for one in found] == [
        "config/dev.yaml:1",
        f"{DOCKERFILE}:2",
        f"{PIPELINE}:1",
    ]
    assert all("looks like an access key" in one for one in found)
    assert not any(secret in one for one in found)


def test_argos_schema_counts_where_it_is_named(
    tree: SmallTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = tmp_path / "argo.json"
    spec = {"properties": {"spec": {"required": ["volumes"]}}}
    schema.write_text(json.dumps(spec))
    monkeypatch.setenv("STRATA_ARGO_SCHEMA", str(schema))

    found = check(tree, ARGO)

    assert len(found) == 1
    assert found[0].startswith(f"{ARGO}:4: spec: 'volumes' is a required property")


def test_a_schema_that_is_not_there_is_a_wrong_request(
    tree: SmallTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATA_ARGO_SCHEMA", "/nowhere.json")

    with pytest.raises(UserError, match="STRATA_ARGO_SCHEMA names /nowhere.json"):
        check(tree)
