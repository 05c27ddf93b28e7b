"""A small tree in git with a stand-in for Pants, which knows the graph without Pants.

The stand-in reads what Pants would: a domain's BUILD lists its scripts, and
a module depends on what it imports.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from orchestration.checkout import Checkout

PANTS = """\
#!/usr/bin/env -S python3 -I -S
import json
import pathlib
import sys

if sys.argv[-1] == "help-all":
    flag = {
        "display_args": ["--changed-since=<str>"],
        "scoped_cmd_line_args": ["--changed-since"],
        "unscoped_cmd_line_args": [],
    }
    scope = {"basic": [flag], "advanced": [], "deprecated": []}
    goals = {"lint": {}, "run": {}, "test": {}}
    print(json.dumps({"name_to_goal_info": goals, "scope_to_help_info": {"": scope}}))
    sys.exit()
assert sys.argv[-2:] == ["peek", "::"], sys.argv
targets = []


def target(address, kind, dependencies=(), sources=(), requirements=()):
    targets.append(
        {
            "address": address,
            "target_type": kind,
            "dependencies": list(dependencies),
            "sources": list(sources),
            "requirements": list(requirements),
        }
    )


packages = pathlib.Path("3rdparty/torch.in").read_text().split()
for name in packages:
    target(f"3rdparty#{name}", "python_requirement", requirements=[name])
target("3rdparty:torch-lock", "file", sources=["3rdparty/torch.lock"])
target("docker/base:install", "shell_source", sources=["docker/base/install"])
target(
    "docker/base:base",
    "docker_image",
    ["docker/base:install"],
    ["docker/base/Dockerfile"],
)
for path in sorted(pathlib.Path("src").rglob("*.py")):
    needs = []
    for line in path.read_text().splitlines():
        if line.startswith("import "):
            name = line.split()[1]
            file = pathlib.Path("src", *name.split(".")).with_suffix(".py")
            if file.exists():
                needs.append(str(file))
            elif name in packages:
                needs.append(f"3rdparty#{name}")
    if (path.parent / "__init__.py").exists():
        needs.append(str(path.parent / "__init__.py"))
    target(str(path), "python_source", needs, [str(path)])
for build in sorted(pathlib.Path("src/domains").glob("*/BUILD")):
    folder = str(build.parent)
    scripts = [f"{folder}/{name}" for name in build.read_text().split()]
    if not all(pathlib.Path(script).exists() for script in scripts):
        sys.exit(f"{build}: there is no such script")
    target(f"{folder}:image-code", "shell_command", scripts)
    target(f"{folder}:image-requirements", "adhoc_tool", ["3rdparty:torch-lock"])
    target(
        f"{folder}:image", "docker_image", (), [f"{folder}/environment/Dockerfile"]
    )
print(json.dumps(targets))
"""
LOCK = """\
numpy==2.0 \\
    --hash=sha256:aa
    # via -r 3rdparty/torch.in
pandas==3.0 \\
    --hash=sha256:bb
    # via -r 3rdparty/torch.in
six==1.0 \\
    --hash=sha256:cc
    # via pandas
tqdm==4.0 \\
    --hash=sha256:dd
    # via -r 3rdparty/torch.in
"""
PIPELINE = """\
datasets:
  grain: {address: samples/grain}
steps:
  grind:
    script: grind
    inputs: {grain: {dataset: grain}}
    args: {grain: "${inputs.grain}", output: "${outputs.flour}"}
    outputs: [flour]
profiles:
  toy:
    inputs: {grind.grain: {path: samples/few.txt}}
"""
SOURCES = {
    ".gitignore": "__pycache__/\n/outputs/\n",
    "3rdparty/torch.in": "numpy pandas tqdm",
    "3rdparty/torch.lock": LOCK,
    "README.md": "",
    "docker/base/Dockerfile": "ARG PYTHON_IMAGE=python:3.11\n",
    "docker/base/install": "",
    "pants": PANTS,
    "pants.toml": '[python]\ndefault_resolve = "torch"\n',
    "samples/few.txt": "few",
    "samples/grain/a.txt": "rye",
    "samples/other.txt": "other",
    "src/common/__init__.py": "",
    "src/common/shared.py": "import common.deep\n",
    "src/common/deep.py": "",
    "src/common/unused.py": "",
    "src/domains/mill/BUILD": "grind.py",
    "src/domains/mill/README.md": "",
    "src/domains/mill/azure-ml-job.yaml": "",
    "src/domains/mill/deploy/endpoint.yaml": "",
    "src/domains/mill/deploy/score.py": "",
    "src/domains/mill/environment/Dockerfile": "FROM base\n",
    "src/domains/mill/grind.py": "import common.shared\nimport pandas\n",
    "src/domains/mill/notes.py": "import tqdm\n",
    "src/domains/mill/pipeline.yaml": PIPELINE,
    "src/domains/tides/BUILD": "forecast.py",
    "src/domains/tides/environment/Dockerfile": "FROM base\n",
    "src/domains/tides/forecast.py": "import numpy\n",
    "tests/domains/mill/test_grind.py": "import domains.mill.grind\n",
}


@dataclass(frozen=True)
class SmallTree:
    """The tree, whose first commit has the tag ``start``.

    Attributes:
        checkout: It as a checkout.
    """

    checkout: Checkout

    @property
    def root(self) -> Path:
        return self.checkout.root

    def write(self, sources: Mapping[str, str | None]) -> None:
        """Write files, by path; None deletes one."""
        for name, text in sources.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
                path.chmod(0o755 if name == "pants" else 0o644)

    def git(self, *arguments: str) -> str:
        """Run git, as somebody."""
        who = ("-c", "user.name=one", "-c", "user.email=one@example.invalid")
        return subprocess.run(
            ["git", *who, *arguments],
            cwd=self.root,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def commit(self, message: str) -> None:
        """Commit everything that there is."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)


def plant(
    root: Path, cache: Path, sources: Mapping[str, str] = MappingProxyType(SOURCES)
) -> SmallTree:
    """Make the tree in a folder."""
    tree = SmallTree(Checkout(root, cache))
    tree.write(sources)
    tree.git("init", "--quiet", "--template=", "--initial-branch", "main")
    tree.commit("Plant")
    tree.git("tag", "start")
    return tree
