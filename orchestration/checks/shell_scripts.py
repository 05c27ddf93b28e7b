"""Scripts of shell, in files and in CI's definitions, under shellcheck."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from common.errors import RunError
from orchestration.checks import ci_files
from orchestration.checks.findings import Finding, found
from orchestration.checks.look import Look

_SHEBANG = re.compile(rb"#!\s*/\S*(?:/env\s+(?:-S\s+)?)?\b(?:ba|da)?sh\b")
_EXPRESSION = re.compile(r"\$\{\{.*?\}\}")
_SECONDS = 60
_REFERENCE = "www.shellcheck.net/wiki"


def takes(look: Look, file: str) -> bool:
    """Whether a file is a script of shell, or has some."""
    if ci_files.takes(look, file):
        return True
    path = look.root / file
    if PurePosixPath(file).suffix not in ("", ".sh") or not path.is_file():
        return False
    with path.open("rb") as opened:
        return bool(_SHEBANG.match(opened.readline(200)))


def find(look: Look, file: str) -> Iterator[Finding]:
    """Find what shellcheck finds.

    Raises:
        RunError: It cannot be started.
    """
    if not ci_files.takes(look, file):
        yield from _checked(look, file, look.text(file), 1, ())
        return
    for block in ci_files.blocks(look, file):
        # What the system puts in before is a word for the shell.
        text = _EXPRESSION.sub(lambda match: "_" * len(match[0]), block.text)
        for one in _checked(look, file, text, block.line, ("--shell=bash",)):
            yield Finding(file, one.line, f"{block.where}: {one.message}", one.hint)


def _checked(
    look: Look, file: str, text: str, line: int, flags: Sequence[str]
) -> Iterator[Finding]:
    program = Path(sysconfig.get_path("scripts"), "shellcheck")
    with tempfile.TemporaryFile("w+", encoding="utf-8") as script:
        script.write(text)
        script.seek(0)
        try:
            done = subprocess.run(
                [program, "--format=json1", "--external-sources", *flags, "-"],
                cwd=look.root,
                stdin=script,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RunError(f"shellcheck did not run on {file}: {error}") from None
    if done.returncode not in (0, 1):
        said = done.stderr.decode(errors="replace").strip()
        raise RunError(f"shellcheck did not run on {file}: {said}")
    for one in json.loads(done.stdout)["comments"]:
        at = line + int(one["line"]) - 1
        # What it sources has lines of its own.
        if one["file"] == "-":
            code = f"SC{one['code']}"
            yield found(file, at, f"{one['message']}", f"{code}, {_REFERENCE}/{code}")
