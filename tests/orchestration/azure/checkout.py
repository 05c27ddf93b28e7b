"""A checkout with one small task, and the orchestrator's own code in it.

Pants is what the orchestrator asks for the graph, as a program; here a script gives the
answer that Pants would give, so that a command starts within a second.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.orchestration.azure.service import (
    GROUP,
    SUBSCRIPTION,
    WORKSPACE,
    Service,
)

TASK = "src/domains/apples"
DIGEST = "sha256:" + "0123456789abcdef" * 4
CONFIG = f"""\
azure:
  subscription: {SUBSCRIPTION}
  resource_group: {GROUP}
  workspace: {WORKSPACE}
  location: westeurope
  compute: {{cpu: small-cpu, gpu: gpu}}
registry: null
store: null
"""
JOB = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json
type: command
display_name: ripen
experiment_name: apples
tags: {fruit: apple}
code: ../../
command: >-
  python -m domains.apples.ripen --days ${{inputs.days}}
  --output_path ${{outputs.run}}/ripe
environment: azureml:apples@latest
compute: azureml:cpu
inputs:
  days: 3
outputs:
  run: {type: uri_folder}
"""
_SOURCES = {
    f"{TASK}/azure-ml-job.yaml": JOB,
    f"{TASK}/environment/Dockerfile": "FROM x\n",
    f"{TASK}/helper.py": "",
    f"{TASK}/notes.txt": "nothing reaches this\n",
    f"{TASK}/ripen.py": "import common.errors\nimport domains.apples.helper\n",
    "3rdparty/torch.lock": "",
    "docker/base/Dockerfile": f"ARG PYTHON_IMAGE=python@sha256:{'0' * 64}\n",
    ".gitignore": "__pycache__/\n",
}
_CODE = [f"{TASK}/helper.py", f"{TASK}/ripen.py", "src/common/errors.py"]
CLOSURE = sorted(_CODE)
_GRAPH = [
    {"address": f"{TASK}/helper.py", "sources": [f"{TASK}/helper.py"]},
    {
        "address": f"{TASK}/ripen.py",
        "sources": [f"{TASK}/ripen.py"],
        "dependencies": [f"{TASK}/helper.py", "src/common/errors.py"],
    },
    {"address": "src/common/errors.py", "sources": ["src/common/errors.py"]},
    {"address": f"{TASK}:image-code", "dependencies": [f"{TASK}/ripen.py"]},
    {"address": f"{TASK}:image-requirements", "dependencies": ["3rdparty:torch-lock"]},
    {"address": "3rdparty:torch-lock", "sources": ["3rdparty/torch.lock"]},
    {"address": f"{TASK}:image", "sources": [f"{TASK}/environment/Dockerfile"]},
    {"address": "docker/base:base", "sources": ["docker/base/Dockerfile"]},
]
_IMAGES = (f"{TASK}:image", "docker/base:base")


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    status: int
    output: str
    errors: str


@dataclass(frozen=True)
class SmallCheckout:
    """The checkout.

    Attributes:
        root: Its top folder.
        variables: Environment variables of commands there.
    """

    root: Path
    variables: Mapping[str, str]

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command of ``./strata``."""
        environment = {"PATH": os.environ["PATH"], **self.variables, **variables}
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestration", *arguments],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def strata(self, *arguments: str, **variables: str) -> Done:
        """Run a command of ``./strata``."""
        with self.start(*arguments, **variables) as process:
            output, errors = process.communicate(timeout=120)
        return Done(process.returncode, output, errors)

    def git(self, *arguments: str) -> str:
        """Run git there."""
        who = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
        command = ["git", *who, *arguments]
        done = subprocess.run(
            command, cwd=self.root, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


def make_checkout(root: Path, cache: Path, service: Service) -> SmallCheckout:
    """Make the checkout, on the branch main, with a stage that names the service."""
    config = CONFIG.replace("registry: null", f"registry: {service.registry}")
    graph = []
    for target in _GRAPH:
        image = target["address"] in _IMAGES
        graph.append({"target_type": "docker_image" if image else "file", **target})
    pants = f"#!{sys.executable}\nprint({json.dumps(graph)!r})\n"
    for name, text in {**_SOURCES, "config/dev.yaml": config, "pants": pants}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "pants").chmod(0o755)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree("orchestration", root / "orchestration", ignore=ignored)
    (root / "src/common").mkdir(parents=True)
    for name in ("__init__.py", "command_line.py", "errors.py"):
        shutil.copy(Path("src/common", name), root / "src/common")
    variables = {
        "HOME": str(cache),
        "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LOGNAME": "gardener",
    }
    checkout = SmallCheckout(root, variables)
    checkout.git("init", "--quiet", "--initial-branch", "main")
    checkout.git("add", "--all")
    checkout.git("commit", "--quiet", "--message", "Plant")
    return checkout


def push(checkout: SmallCheckout, service: Service) -> None:
    """Have the registry hold the task's image, under the tag that commands want."""
    done = checkout.strata("job", "apples", "--dry-run", "--json")
    image = json.loads(done.output)["environment"]["image"]
    name, _, tag = image.removeprefix(f"{service.registry}/").partition(":")
    service.images[f"/v2/{name}/manifests/{tag}"] = DIGEST
