"""Two small tasks in a scratch tree: apples needs a package, pears does not."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.build.scratch_tree import Outcome, ScratchTree

DOCKERFILE = """\
ARG BASE=docker/base:base
FROM ${BASE}
COPY requirements.txt /opt/environment.txt
RUN install-environment /opt/environment.txt
COPY code /opt/code
USER strata
"""
# It says what it sees around it, and writes where it was told to.
SCRIPT = """\
import importlib.metadata
import json
import os
import pathlib
import sys

import common.errors
{imports}

files = pathlib.Path(common.errors.__file__).parents[2]
seen = {{
    "packages": sorted({{d.name for d in importlib.metadata.distributions()}}),
    "files": sorted(str(p.relative_to(files)) for p in files.rglob("*.py")),
    "folder": sorted(os.listdir()),
    "user": os.getuid(),
    "arguments": sys.argv[1:],
}}
if sys.argv[1:]:
    pathlib.Path(sys.argv[1]).write_text(json.dumps(seen))
print(json.dumps(seen))
"""
BUILD = """\
domain()

python_sources(dependencies=[":payload"])

resources(name="payload", sources=["payload.bin"])

task_image("{script}")
"""
SOURCES = {
    "src/common/unused.py": "",
    "src/domains/apples/BUILD": BUILD.format(script="ripen.py"),
    "src/domains/apples/environment/Dockerfile": DOCKERFILE,
    "src/domains/apples/helper.py": "",
    "src/domains/apples/ripen.py": SCRIPT.format(
        imports="import tqdm\nimport domains.apples.helper\n"
    ),
    "src/domains/apples/unused.py": "",
    "src/domains/pears/BUILD": BUILD.format(script="press.py"),
    "src/domains/pears/environment/Dockerfile": DOCKERFILE,
    "src/domains/pears/press.py": SCRIPT.format(imports=""),
}


@dataclass(frozen=True)
class Orchard:
    """The scratch tree with the two tasks.

    Attributes:
        tree: The tree.
    """

    tree: ScratchTree

    def strata(self, *arguments: str) -> Outcome:
        """Run ``./strata`` there."""
        return self.tree.run("./strata", *arguments)

    def images(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """Run ``./strata image --json``; its results, by task.

        Raises:
            RuntimeError: It failed.
        """
        outcome = self.strata("image", "--json", *arguments)
        if outcome.status:
            raise RuntimeError(outcome.errors)
        return {result["task"]: result for result in json.loads(outcome.output)}

    def refresh(self) -> None:
        """Give both tasks content that no image was ever made of."""
        for name in ("apples", "pears"):
            path = self.tree.root / f"src/domains/{name}/payload.bin"
            path.write_bytes(secrets.token_bytes(1_000_000))

    def append(self, name: str, text: str = "\n# edited\n") -> None:
        """Edit a file."""
        path = Path(self.tree.root, name)
        path.write_text(path.read_text() + text)
