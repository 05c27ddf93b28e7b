"""CI's definitions: sound, alike in both systems, and red where a command fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestration.pipelines.loading import load_pipeline
from tests.orchestration.ci.definitions import (
    FOLDER,
    NAMES,
    OUTSIDE,
    SYSTEMS,
    Block,
    all_blocks,
    blocks,
    files,
    jobs,
    load,
    run_block,
    steps,
)

BLOCKS = [pytest.param(block, id=block.name) for block in all_blocks()]
PATHS = [pytest.param(path, id=path.relative_to(FOLDER).as_posix()) for path in files()]
WORKFLOWS = [FOLDER / f"{system}/{name}.yml" for system in SYSTEMS for name in NAMES]
PARSE = """
import json
import sys

from common.errors import UserError
from orchestration.__main__ import main

answers = []
for call in json.load(sys.stdin):
    try:
        main(call)
    except UserError as error:
        answers.append(str(error))
json.dump(answers, sys.stdout)
"""
# The variable group of docs/ci.md.
GROUP = {"AZURE_STORAGE_ACCOUNT_NAME", "STRATA_REGISTRY", "STRATA_STORE"}


def path_of(system: str, name: str) -> Path:
    return FOLDER / f"{system}/{name}.yml"


def text_of(value: Any) -> str:
    """All that a part of a definition says, without comments."""
    if isinstance(value, dict):
        return "\n".join(f"{key}: {text_of(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "\n".join(map(text_of, value))
    return str(value)


def test_there_are_the_same_definitions_for_both_systems() -> None:
    assert set(WORKFLOWS) < set(files())
    others = {
        path.relative_to(FOLDER).as_posix() for path in set(files()) - set(WORKFLOWS)
    }
    assert others == {"azure-devops/set-up.yml", "github/set-up/action.yml"}


@pytest.mark.parametrize("name", NAMES)
def test_both_systems_do_the_same(tmp_path: Path, name: str) -> None:
    called: dict[str, list[list[str]]] = {}
    for system in SYSTEMS:
        called[system] = []
        for number, block in enumerate(blocks(path_of(system, name))):
            folder = tmp_path / f"{system}-{number}"
            called[system] += run_block(block, folder, 0, {"EPOCHS": "3"}).calls
    for call in called["azure-devops"]:
        if call[-2:] == ["--form", "azure-devops"]:
            del call[-2:]

    assert sorted(called["github"]) == sorted(called["azure-devops"])
    assert sorted(jobs(load(path_of("github", name)))) == sorted(
        jobs(load(path_of("azure-devops", name)))
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_does_what_it_is_there_for(tmp_path: Path, system: str) -> None:
    def calls(name: str, **variables: str) -> list[str]:
        folder = tmp_path / f"{name}{len(list(tmp_path.iterdir()))}"
        return [
            " ".join(call)
            for number, block in enumerate(blocks(path_of(system, name)))
            for call in run_block(block, folder / str(number), 0, variables).calls
        ]

    form = " --form azure-devops" if system == "azure-devops" else ""
    assert calls("pull-request") == [
        "strata check",
        "pants --changed-since=HEAD^1 --changed-dependents=transitive "
        "lint check test package",
        "strata affected --since HEAD^1",
        f"strata affected --since HEAD^1 --matrix pipelines{form}",
        "strata run digit_recognition --profile toy",
    ]
    assert calls("development") == [
        "strata affected --since HEAD^1",
        f"strata affected --since HEAD^1 --matrix pipelines{form}",
        "strata run digit_recognition --profile full",
        "az acr login --name example",
        "strata image --push",
    ]
    matrix = f"strata affected --all --matrix pipelines{form}"
    full = "strata run digit_recognition --profile full"
    assert calls("weekly") == [matrix, full]
    assert calls("weekly", EPOCHS="") == [matrix, full]
    assert calls("weekly", EPOCHS="3") == [matrix, f"{full} --set epochs=3"]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_red_whichever_of_its_commands_fails(
    tmp_path: Path, block: Block
) -> None:
    sound = run_block(block, tmp_path / "sound")

    assert sound.status == 0
    assert sound.calls
    for number in range(1, len(sound.calls) + 1):
        assert run_block(block, tmp_path / str(number), number).status != 0


@pytest.mark.parametrize(
    "text", ['echo "x=$(./strata affected)"', "./pants test\n./strata run"]
)
def test_a_block_that_hides_a_failure_would_be_found(tmp_path: Path, text: str) -> None:
    hiding = Block("azure-devops", "hiding", text, ("bash",))

    assert run_block(hiding, tmp_path, 1).status == 0


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("name", NAMES)
def test_the_matrix_reaches_the_jobs(tmp_path: Path, system: str, name: str) -> None:
    matrix = '["apples","pears"]'
    (block,) = (b for b in blocks(path_of(system, name)) if "--matrix" in b.text)
    outcome = run_block(block, tmp_path)

    if system == "github":
        assert outcome.outputs == f"pipelines={matrix}\n"
    else:
        setting = "##vso[task.setvariable variable=pipelines;isOutput=true]"
        assert outcome.output == f"{setting}{matrix}\n"


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program where there is no git: it gets as far as to parse its arguments."""
    root = tmp_path_factory.mktemp("program")
    for name in ("orchestration", "src/common"):
        shutil.copytree(name, root / name)
    return root


def parse(program: Path, calls: list[tuple[str, ...]]) -> list[str]:
    """Give what the program says to each of some command lines."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", PARSE],
        cwd=program,
        env={**os.environ, **OUTSIDE, "PYTHONPATH": f"{program}:{program}/src"},
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[str] = json.loads(done.stdout)
    return answers


def test_every_command_line_is_one_that_the_program_takes(
    program: Path, tmp_path: Path
) -> None:
    calls = {
        tuple(call[1:])
        for number, block in enumerate(all_blocks())
        for call in run_block(block, tmp_path / str(number), 0, {"EPOCHS": "3"}).calls
        if call[0] == "strata"
    }

    assert {call[0] for call in calls} == {"affected", "check", "image", "run"}
    good = sorted(calls)
    answers = parse(program, [*good, *((*call, "--no-such-flag") for call in good)])
    for answer, refusal in zip(answers[: len(good)], answers[len(good) :], strict=True):
        assert "is no git checkout" in answer
        assert "unknown argument --no-such-flag" in refusal


def test_every_pipeline_has_what_is_asked_of_it() -> None:
    paths = sorted(Path("src/domains").glob("**/pipeline.yaml"))
    assert paths
    for path in paths:
        load_pipeline(path, path.parent.name, "toy")
        load_pipeline(path, path.parent.name, "full", ["epochs=3"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=str)
def test_references_between_jobs_lead_somewhere(path: Path) -> None:
    definition = load(path)
    found = jobs(definition)
    is_github = "github" in path.parts
    references = 0
    for job in found.values():
        needs = job.get("needs" if is_github else "dependsOn", [])
        needs = [needs] if isinstance(needs, str) else needs
        assert set(needs) <= set(found)
        text = text_of(job)
        for name, output in re.findall(r"needs\.([\w-]+)\.outputs\.([\w-]+)", text):
            references += 1
            assert name in needs
            assert output in found[name]["outputs"]
        for name, step, output in re.findall(
            r"dependencies\.(\w+)\.outputs\['(\w+)\.(\w+)'\]", text
        ):
            references += 1
            assert name in needs
            (script,) = (
                s["bash"] for s in found[name]["steps"] if s.get("name") == step
            )
            assert f"variable={output};isOutput=true]" in script
        for step, output in re.findall(r"steps\.([\w-]+)\.outputs\.([\w-]+)", text):
            references += 1
            (script,) = (s["run"] for s in job["steps"] if s.get("id") == step)
            assert f'echo "{output}=' in script
        matrix = job.get("strategy", {}).get("matrix", {})
        for name in re.findall(r"\bmatrix\.(\w+) *\}\}", text):
            references += 1
            assert name in matrix
    assert references == (4 if is_github else 2)
    inputs = (definition.get("on") or {}).get("workflow_dispatch", {}).get("inputs", {})
    assert set(re.findall(r"\binputs\.(\w+)", text_of(definition))) == set(inputs)
    parameters = {one["name"] for one in definition.get("parameters", ())}
    assert set(re.findall(r"\bparameters\.(\w+)", text_of(definition))) == parameters


@pytest.mark.parametrize("path", WORKFLOWS, ids=str)
def test_every_variable_that_a_block_takes_is_declared(path: Path) -> None:
    definition = load(path)
    is_github = "github" in path.parts
    declared = {"GITHUB_OUTPUT"} if is_github else {"PIPELINE"}
    declared |= set(definition.get("env", {}))
    variables = definition.get("variables", {})
    if isinstance(variables, list):
        declared |= {one["name"] for one in variables if "name" in one}
        declared |= GROUP if {"group": "strata"} in variables else set()
    else:
        declared |= set(variables)
    for _, step in steps(definition):
        text = text_of([step.get("run"), step.get("bash"), step.get("inputs")])
        taken = set(re.findall(r"\$\{?([A-Z_]+)", text))
        assert taken <= declared | set(step.get("env", {}))


@pytest.mark.parametrize("path", PATHS)
def test_what_a_definition_names_is_there_and_fixed(path: Path) -> None:
    definition = load(path)
    for _, step in steps(definition):
        used = step.get("uses", "")
        if used.startswith("./"):
            assert Path(used, "action.yml").is_file()
        elif used:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", used)
        if "template" in step:
            assert (path.parent / step["template"]).is_file()
        if "task" in step:
            assert re.fullmatch(r"\w+@[0-9]+", step["task"])
    assert "latest" not in text_of(definition)


@pytest.mark.parametrize("path", PATHS)
def test_nothing_hides_a_failure(path: Path) -> None:
    text = path.read_text().lower()

    for word in ("continue-on-error", "continueonerror", "|| true", "--exit-zero"):
        assert word not in text
    for word in ("always()", "failtaskonfailedscript", "set +e"):
        assert word not in text


@pytest.mark.parametrize("path", PATHS)
def test_no_secret_is_in_a_definition(path: Path) -> None:
    text = path.read_text()

    for word in ("secret", "password", "account_key", "sas_", "client-secret"):
        assert not re.search(rf"^[^#]*{word}", text, re.I | re.M)
    # Digests of actions are the only long texts without meaning.
    long = set(re.findall(r"[A-Za-z0-9+=]{32,}", text))
    pins = set(re.findall(r"@([0-9a-f]{40}) # v\d+\.\d+\.\d+$", text, re.M))
    assert long == pins


@pytest.mark.parametrize("name", NAMES)
def test_rights_are_the_least_and_every_job_ends(name: str) -> None:
    definition = load(path_of("github", name))

    assert definition["permissions"] == {"contents": "read"}
    # GitHub's own choice goes on after an error in a pipe.
    assert definition["defaults"] == {"run": {"shell": "bash"}}
    for job in jobs(definition).values():
        assert 0 < job["timeout-minutes"] <= 360
        logs_in = any("azure/login" in step.get("uses", "") for step in job["steps"])
        more = {"contents": "read", "id-token": "write"} if logs_in else None
        assert job.get("permissions") == more
        for step in job["steps"]:
            if "actions/checkout@" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False
    for job in jobs(load(path_of("azure-devops", name))).values():
        assert 0 < job["timeoutInMinutes"] <= 360


def test_only_runs_of_pull_requests_are_cancelled() -> None:
    for name in NAMES:
        github = load(path_of("github", name)).get("concurrency")
        azure = load(path_of("azure-devops", name))
        if name == "pull-request":
            assert github == {
                "group": "${{ github.workflow }}-${{ github.ref }}",
                "cancel-in-progress": True,
            }
            assert azure["pr"]["autoCancel"] is True
        else:
            assert github is None
            assert azure["pr"] == "none"
    assert load(path_of("azure-devops", "development"))["trigger"]["batch"] is False


def test_a_pull_request_sees_no_cloud() -> None:
    for system in SYSTEMS:
        text = text_of(load(path_of(system, "pull-request")))
        for word in ("azure/login", "AzureCLI", "id-token", "vars.", "group: strata"):
            assert word not in text


def test_caches_are_keyed_by_the_locks() -> None:
    (step,) = load(FOLDER / "github/set-up/action.yml")["runs"]["steps"]
    assert step["with"]["path"].split() == ["~/.cache/pants", "~/.cache/strata"]
    assert "hashFiles('3rdparty/*.lock'" in step["with"]["key"]
    tasks = [
        step["inputs"]
        for step in load(FOLDER / "azure-devops/set-up.yml")["steps"]
        if step.get("task") == "Cache@2"
    ]
    assert [task["path"] for task in tasks] == [
        "$(XDG_CACHE_HOME)/pants",
        "$(XDG_CACHE_HOME)/strata",
    ]
    assert all(" | 3rdparty/*.lock | " in task["key"] for task in tasks)
