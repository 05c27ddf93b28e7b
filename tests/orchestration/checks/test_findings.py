"""Each way in which a specification can be wrong, and the finding that names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestration.checks.checking import Report, check_tree
from tests.orchestration.checks.valid_tree import SOURCES
from tests.orchestration.small_tree import SmallTree, plant

MILL = "src/domains/mill"
JOB, JOBS = f"{MILL}/deploy/job.yaml", f"{MILL}/deploy/nightly.yaml"
PIPELINE, DOCKERFILE = f"{MILL}/pipeline.yaml", f"{MILL}/environment/Dockerfile"
ARGO = "argo/mill.yaml"
GITHUB = "orchestration/ci/github/build.yml"
CALLER = "orchestration/ci/github/pull-request.yml"
AZURE = "orchestration/ci/azure-devops/main.yml"
DOCUMENT, SHELL = "docs/mill.md", ".ci/run"
VALID = {
    **SOURCES,
    JOB: SOURCES[f"{MILL}/azure-ml-job.yaml"].replace("../../", "../../../"),
}


@dataclass(frozen=True)
class Way:
    """A way to break a file.

    Attributes:
        of: The valid file.
        old: A part of it.
        new: What stands there instead.
        line: Where the finding is.
        words: What it says.
    """

    of: str
    old: str
    new: str
    line: int
    words: tuple[str, ...]


def way(of: str, old: str, new: str, line: int, *words: str) -> Way:
    assert VALID[of].count(old) >= 1, (of, old)
    return Way(of, old, new, line, words)


WAYS = {
    # Schemas.
    "azure key": way(JOB, "compute: az", "computes: az", 12, "computes", "Unknown"),
    "azure resource": way(
        f"{MILL}/deploy/endpoint.yaml", "aad_token", "kee", 3, "auth_mode", "kee"
    ),
    "azure kind": way("azure/cpu.yaml", "amlCompute.", "amlComput.", 1, "amlCompute?"),
    "argo key": way(ARGO, "entrypoint:", "entrypoints:", 5, "spec.entrypoints", "unk"),
    "argo kind": way(ARGO, "WorkflowTemplate", "Workflows", 2, "no kind", "Workflow?"),
    "argo value": way(
        ARGO, "templates:\n", "templates: 3\n  x:\n", 6, "spec.templates"
    ),
    "pipeline key": way(
        PIPELINE, "    script:", "    scripts:", 6, "unknown", "script?"
    ),
    "yaml": way(PIPELINE, "params: {turns: 3}", "params: {turns: 3", 2, "expected"),
    "workflow key": way(GITHUB, "needs: build", "need: build", 23, "unk", "needs?"),
    "action key": way(
        "orchestration/ci/github/set-up/action.yml",
        "using: composite",
        "use: composite",
        6,
        "runs.use",
    ),
    "azure pipelines key": way(
        AZURE, "timeoutInMinutes", "timeoutInMinute", 6, "unknown", "timeoutInMinutes?"
    ),
    # What is used and not declared, and declared and not used.
    "input": way(JOB, "{{inputs.turns", "{{inputs.turn", 9, "no inputs.turn", "turns?"),
    "unused input": way(
        JOB, "  $[[--turns ${{inputs.turns}}]]\n", "", 17, "inputs.turns", "not use"
    ),
    "unused output": way(
        JOB, "  --output_path ${{outputs.flour}}\n", "", 19, "outputs.flour", "not use"
    ),
    "parent's input": way(
        JOBS,
        "parent.inputs.turns",
        "parent.inputs.turn",
        16,
        "no inputs.turn",
        "turns?",
    ),
    "other job": way(
        JOBS, "jobs.grind.out", "jobs.grin.out", 25, "no job grin", "grind?"
    ),
    "argo parameter": way(
        ARGO, "inputs.parameters.turns", "inputs.parameters.turn", 26, "turn", "turns?"
    ),
    "argo unused": way(
        ARGO, '"{{inputs.parameters.turns}}"', '"3"', 22, "does not use turns"
    ),
    "pipeline input": way(
        PIPELINE, "{inputs.grain}", "{inputs.grai}", 9, "grai", "grain?"
    ),
    "pipeline parameter": way(
        PIPELINE, "      turns: ${params.turns}\n", "", 1, "params.turns", "no argument"
    ),
    # Flags.
    "unknown flag": way(JOB, "--stones=", "--stone=", 8, "no --stone", "--stones?"),
    "missing flag": way(JOB, "--grain ${{", "${{", 6, "needs --grain"),
    "value": way(JOB, "stones: blue", "stones: bleu", 8, "not bleu", "blue?"),
    "pipeline flag": way(
        PIPELINE, "turns: ${par", "turn: ${par", 10, "no --turn", "--turns?"
    ),
    # Modules and files.
    "module": way(JOB, "domains.mill.grind", "domains.mill.grid", 6, "grid", "grind?"),
    "package": way(
        JOB, "domains.mill.grind", "domain.mill.grind", 6, "no module domain"
    ),
    "launcher": way(
        JOB, "-P -m", "-P -m torch.distributed.run -m", 6, "no module torch.dist"
    ),
    "file": way(JOBS, "mill/grind.py", "mill/grid.py", 12, "no file", "grind.py?"),
    "ci module": way(
        GITHUB, "domains.mill.grind", "domains.mil.grind", 18, "mil.grind"
    ),
    "argo module": way(ARGO, "domains.mill.grind", "domains.mill.gind", 25, "grind?"),
    "script": way(
        PIPELINE,
        "sift:\n    script: domains.mill.grind",
        "sift:\n    script: domains.mill.gind",
        14,
        "no script domains.mill.gind",
    ),
    "action": way(GITHUB, "github/set-up", "github/setup", 14, "no ./orch", "setup"),
    "template": way(AZURE, "set-up.yml", "setup.yml", 8, "no template setup.yml"),
    # Names that no stage defines.
    "compute": way(JOB, "azureml:cpu", "azureml:cpus", 12, "no stage", "cpus", "cpu?"),
    "default compute": way(JOBS, "azureml:cpu", "azureml:gpu", 4, "no stage", "gpu"),
    "datastore": way(JOB, "workspaceblobstore", "blobs", 16, "no stage", "blobs"),
    "environment": way(JOB, "azureml:mill:3", "azureml:mil:3", 11, "mil", "mill?"),
    # Placeholders.
    "placeholder": way(JOB, "azureml:cpu", "azureml:<cluster>", 12, "<cluster>"),
    "to do": way(PIPELINE, "data/rye", "data/TODO", 3, "TODO", "placeholder"),
    "in a Dockerfile": way(
        DOCKERFILE, "FROM ${BASE}", "FROM <registry>/x:1", 3, "<reg"
    ),
    # Whatever is the latest.
    "latest environment": way(JOB, "mill:3", "mill@latest", 11, "mill@latest"),
    "latest image": way(ARGO, "mill:3.1", "mill:latest", 24, "mill:latest"),
    "no tag": way(ARGO, "mill:3.1", "mill", 24, "no tag"),
    "latest base": way(DOCKERFILE, "3.11-slim", "latest", 2, "python:latest"),
    "untagged base": way(DOCKERFILE, "base:base", "base", 3, "no tag"),
    "unpinned action": way(
        GITHUB,
        "@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0",
        "@v5",
        13,
        "checkout@v5",
        "full commit",
    ),
    "latest runner": way(AZURE, "ubuntu-24.04", "ubuntu-latest", 3, "ubuntu-latest"),
    # Cycles.
    "pipeline cycle": way(
        PIPELINE, "{dataset: rye}", "sift/sifted", 5, "grind -> sift -> grind"
    ),
    "job cycle": way(
        JOBS,
        "      turns: ${{parent.inputs.turns}}\n",
        "      turns: ${{parent.jobs.grind.outputs.flour}}\n",
        8,
        "grind -> grind",
    ),
    "argo cycle": way(ARGO, "[grind]", "[sift]", 14, "sift -> sift"),
    "workflow cycle": way(
        GITHUB, "needs: build", "needs: report", 23, "report -> report"
    ),
    # Experiments.
    "experiment": way(JOB, "name: mill", "name: Mill!", 3, "'Mill!'", "experiment"),
    "long experiment": way(JOB, "name: mill", f"name: {'m' * 37}", 3, "at most 36"),
    # Secrets.
    "key": way(
        JOB, "name: mill", "name: mill # AKIAABCDEFGHIJKLMNOP", 3, "an access key"
    ),
    "signature": way(
        PIPELINE, "data/rye", "az://x/rye?sig=abcdefghijklm", 3, "access signature"
    ),
    "password": way(
        GITHUB, "echo", "curl https://me:pw1@x.y; echo", 26, "a password in"
    ),
    # CI's policies.
    "goes on": way(
        GITHUB,
        "    needs: build",
        "    continue-on-error: true\n    needs: build",
        23,
        "hides",
    ),
    "goes on there": way(
        AZURE, "- bash: ./s", "- continueOnError: true\n        bash: ./s", 16, "hides"
    ),
    "or true": way(
        GITHUB, "--grain rye", "--grain rye || true", 18, "|| true", "hides"
    ),
    "exit zero": way(
        AZURE, "lint ::", "lint ::\n          flake8 --exit-zero", 13, "hides"
    ),
    "test at the end": way(
        GITHUB,
        "--grain rye",
        "--grain rye\n          [ -d x ] && cp x y",
        19,
        "ends with",
    ),
    "secret of a caller": way(
        CALLER, "TOKEN: $", "TOKE: $", 8, "no secret TOKE", "TOKEN?"
    ),
    "secret of a called": way(
        GITHUB, "secrets.TOKEN", "secrets.TOKE", 20, "TOKE", "TOKEN?"
    ),
    "input of a called": way(
        CALLER, "target: mill", "targets: mill", 6, "input targets"
    ),
    "input of an action": way(GITHUB, "cache: warm", "cach: warm", 15, "input cach"),
    "parameter": way(AZURE, "cache: warm", "cach: warm", 9, "parameter cach", "cache?"),
    "job": way(
        AZURE, "dependsOn: build", "dependsOn: buil", 14, "no job buil", "build?"
    ),
    "command": way(GITHUB, "./strata run", "./strata ru", 21, "no command ru", "run?"),
    "flag": way(AZURE, "--since", "--sinc", 16, "affected has no --sinc", "--since?"),
    "goal": way(AZURE, "lint ::", "lnt ::", 12, "no goal lnt", "lint?"),
    "flag of Pants": way(
        GITHUB, "--changed-since", "--change-since", 17, "--changed-since?"
    ),
    "flag of a document": way(DOCUMENT, "--profile", "--profil", 5, "--profile?"),
    "goal of a document": way(DOCUMENT, "test ::", "tst ::", 6, "no goal tst", "test?"),
    "flag behind it": way(DOCUMENT, "--turns", "--turn", 11, "no --turn", "--turns?"),
    "flag of exec": way(DOCUMENT, "--grain=", "--grains=", 12, "--grains", "--grain?"),
    "or true in a script": way(SHELL, '"$name"', '"$name" || true', 4, "hides"),
    # Scripts of shell.
    "shell": way(SHELL, '"$name"', "$name", 4, "Double quote", "SC2086"),
    "shell in CI": way(GITHUB, '"$PIPELINE"', "$PIPELINE", 21, "SC2086"),
}


def place(name: str, of: str) -> str:
    """Name a file beside a valid one, for the same checks."""
    path = Path(of)
    word = name.replace(" ", "-").replace("'", "")
    if path.name in ("pipeline.yaml", "Dockerfile", "action.yml"):
        return str(path.parent / word / path.name)
    return str(path.with_name(f"{word}-{path.name}"))


@pytest.fixture(scope="session")
def broken(
    valid: SmallTree, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Report:
    """What comes of a tree that has each way beside the valid files."""
    variants = {
        place(name, one.of): VALID[one.of].replace(one.old, one.new, 1)
        for name, one in WAYS.items()
    }
    tree = plant(
        tmp_path_factory.mktemp("broken") / "tree", cache, {**SOURCES, **variants}
    )
    return check_tree(tree.checkout, print)


@pytest.mark.parametrize("name", WAYS)
def test_each_way_is_found_at_its_line(broken: Report, name: str) -> None:
    way = WAYS[name]
    file = place(name, way.of)

    found = [one for one in broken.findings if one.file == file]

    print(*found, sep="\n")
    assert any(
        one.line == way.line and all(word in str(one) for word in way.words)
        for one in found
    )


def test_nothing_is_found_in_what_is_right(valid: SmallTree, broken: Report) -> None:
    report = check_tree(valid.checkout, print)

    assert report.findings == ()
    assert report.unchecked == ()
    assert len(report.files) == 18
    assert not [one for one in broken.findings if one.file in SOURCES]
