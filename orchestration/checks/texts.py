"""What no file may have, whatever it describes: placeholders, secrets, ``latest``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from orchestration.checks import (
    argo_files,
    azure_files,
    ci_files,
    dockerfiles,
    images,
    pipelines,
    stages,
)
from orchestration.checks.findings import Finding, found
from orchestration.checks.look import YAML, Look
from orchestration.checks.parts import key_of, parts
from orchestration.secret_values import secret_in

_KINDS = (argo_files, azure_files, ci_files, dockerfiles, pipelines, stages)
_PLACEHOLDER = re.compile(
    r"<[A-Za-z][\w.-]*(?: [\w.-]+)*>"
    r"|\b(?:TODO|FIXME|CHANGE_?ME|REPLACE_?ME|YOUR_[A-Z]\w*)\b"
    r"|\byour-[a-z][a-z-]*\b"
    r"|\{\{\s*cookiecutter\.[^}]*\}\}"
    r"|\b0{8}-0{4}-0{4}-0{4}-0{12}\b"
)
_LATEST = re.compile(r"[\w./-]+(?:[:@]|/labels/)latest\b")
_RUNNER = re.compile(r"(?:ubuntu|windows|macos)-latest\b")
# A commit is no secret; what a shell puts in, and what CI does, is not there yet.
_COMMIT = re.compile(r"@[0-9a-f]{40}\b")
_FILLED_IN = re.compile(r"\$(?:\{\{.*?\}\}|\{[^}]*\}|\([^)]*\)|\w+)")
_NAME = re.compile(r"\b[A-Za-z_]\w*=(?=\S)")


def takes(look: Look, file: str) -> bool:
    """Whether a file is a specification of any kind."""
    return any(kind.takes(look, file) for kind in _KINDS)


def find(look: Look, file: str) -> Iterator[Finding]:
    """Find what a file may not have."""
    for number, line in enumerate(look.text(file).splitlines(), start=1):
        kind = _secret(line)
        if kind is not None:
            message = f"this looks like {kind}"
            yield found(file, number, message, "secrets stay out of files")
    if PurePosixPath(file).suffix not in YAML:
        yield from _in_lines(look, file)
        return
    document = look.document(file)
    for mistake in document.mistakes:
        yield found(file, mistake.line, mistake.message, "mend the YAML")
    for where, text in _texts(document.data):
        start = document.line(where)
        for message, word, hint in _problems(text):
            at = look.line_with(file, word, start)
            yield found(file, at, f"{where}: {message}", hint)
        problem = images.moving(text) if _is_image(look, file, where) else None
        if problem is not None and not _LATEST.search(text):
            yield found(file, start, f"{where}: {problem}", images.HINT)


def _in_lines(look: Look, file: str) -> Iterator[Finding]:
    for number, line in enumerate(look.text(file).splitlines(), start=1):
        if line.lstrip()[:1] != "#":
            for match in _PLACEHOLDER.finditer(line):
                yield found(file, number, *_placeholder(match[0]))


def _problems(text: str) -> Iterator[tuple[str, str, str]]:
    """Give what is wrong in a text, the words in question, and what to do."""
    for match in _PLACEHOLDER.finditer(text):
        message, hint = _placeholder(match[0])
        yield message, match[0], hint
    for match in _LATEST.finditer(text):
        message = f"{match[0]} is another one tomorrow"
        yield message, match[0], "name a version or a digest"
    for match in _RUNNER.finditer(text):
        message = f"{match[0]} is another system tomorrow"
        yield message, match[0], "name a version, such as ubuntu-24.04"


def _placeholder(text: str) -> tuple[str, str]:
    return f"{text} is a placeholder", "put in what it stands for"


def _is_image(look: Look, file: str, where: str) -> bool:
    # Elsewhere an image's name comes from this tree, or is an argument's.
    if pipelines.takes(look, file) or stages.takes(look, file):
        return False
    key = key_of(where)
    # Azure DevOps names one of its resources, and gives tasks inputs of any name; an
    # action of GitHub may name the Dockerfile beside it.
    if ci_files.kind(file) == ci_files.AZURE:
        return key == "image" and ".inputs." not in where
    if ci_files.kind(file) == ci_files.ACTION:
        return False
    return key in ("container", "image")


def _secret(line: str) -> str | None:
    line = _COMMIT.sub("@", line)
    kind = secret_in(line)
    if kind == "a connection string":
        return secret_in(_FILLED_IN.sub("", line))
    # The name of a variable is none of its value.
    return secret_in(_NAME.sub(" ", line)) if kind == "a key" else kind


def _texts(data: Any) -> Iterator[tuple[str, str]]:
    """Give the texts in some data, keys with a placeholder among them."""
    for where, value in parts(data):
        key = key_of(where)
        if _PLACEHOLDER.search(key):
            yield where, key
        if isinstance(value, str):
            yield where, value
