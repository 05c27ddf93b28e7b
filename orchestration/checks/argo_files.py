"""Argo's documents: hera's models, Argo's published schema, and what neither sees."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from common.errors import UserError
from orchestration.checks.findings import Finding, cycle, found
from orchestration.checks.look import YAML, Look
from orchestration.checks.modules import packages_of, unknown_module
from orchestration.checks.python_calls import PythonCall, python_calls
from orchestration.names import nearest

_API = re.compile(r"(?m)^apiVersion:\s*['\"]?argoproj\.io/")
_KINDS = ("ClusterWorkflowTemplate", "CronWorkflow", "Workflow", "WorkflowTemplate")
_PARAMETER = re.compile(r"\{\{=?\s*inputs\.(parameters|artifacts)\.([\w-]+)")
_HINT = "Argo's reference of fields has all keys"
SCHEMA = "STRATA_ARGO_SCHEMA"


def takes(look: Look, file: str) -> bool:
    """Whether a file is a document of Argo."""
    # As a text: of several documents in a file none can be read.
    is_yaml = PurePosixPath(file).suffix in YAML
    return (
        is_yaml
        and (look.root / file).is_file()
        and bool(_API.search(_text(look, file)))
    )


def _text(look: Look, file: str) -> str:
    try:
        return look.text(file)
    except UserError:
        return ""


def find(look: Look, file: str) -> Iterator[Finding]:
    """Find what is wrong in a document of Argo."""
    document, data = look.document(file), look.mapping(file)
    if document.mistakes:
        return  # the check of texts says so
    kind = data.get("kind")
    if kind not in _KINDS:
        hint = f"kinds: {', '.join(_KINDS)}"
        text = f"kind: there is no kind {kind}{nearest(str(kind), _KINDS)}"
        yield found(file, document.line("kind"), text, hint)
        return
    for where, said in misfits(data):
        yield found(file, document.line(where), f"{where}: {said}", _HINT)
    prefix = "spec.workflowSpec" if kind == "CronWorkflow" else "spec"
    spec: Any = data
    for key in prefix.split("."):
        spec = spec.get(key) if isinstance(spec, Mapping) else None
    templates = spec.get("templates") if isinstance(spec, Mapping) else None
    if isinstance(templates, list):
        yield from _templates(look, file, spec, templates, prefix)


def misfits(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give what does not fit hera's models, or Argo's schema where there is one.

    Args:
        data: A document of one of Argo's kinds of workflow.

    Yields:
        The place, as keys joined with dots, and what is wrong.

    Raises:
        UserError: STRATA_ARGO_SCHEMA names no file with a schema.
    """
    # Only now: they take seconds.
    from hera.workflows import models
    from pydantic import ValidationError

    try:
        model = getattr(models, str(data["kind"])).model_validate(dict(data))
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            yield ".".join(map(str, one["loc"])), one["msg"]
    else:
        yield from _unknown_keys(data, model.model_dump(mode="json", by_alias=True), "")
    validator = _validator(os.environ.get(SCHEMA) or "")
    if validator is not None:
        from orchestration.checks.schemas import mistakes

        yield from mistakes(validator, data)


def schema_text() -> str:
    """Give Argo's schema as it is written, empty without one.

    Raises:
        UserError: STRATA_ARGO_SCHEMA names no file.
    """
    name = os.environ.get(SCHEMA)
    if not name:
        return ""
    try:
        return Path(name).read_text()
    except (OSError, UnicodeDecodeError):
        raise UserError(
            f"{SCHEMA} names {name}, which cannot be read; unset it, or name the file "
            "with Argo's JSON schema"
        ) from None


@lru_cache(maxsize=1)
def _validator(name: str) -> Any:
    if not name:
        return None
    from jsonschema.validators import Draft202012Validator

    try:
        schema = json.loads(schema_text())
    except ValueError:
        raise UserError(f"{SCHEMA} names {name}, which is no JSON") from None
    return Draft202012Validator(schema)


def _unknown_keys(data: Any, known: Any, where: str) -> Iterator[tuple[str, str]]:
    """Find keys that the models drop."""
    if isinstance(data, Mapping) and isinstance(known, Mapping):
        for key, value in data.items():
            place = f"{where}.{key}" if where else str(key)
            if key in known:
                yield from _unknown_keys(value, known[key], place)
            else:
                yield place, f"unknown key{nearest(str(key), list(known))}"
    elif isinstance(data, list) and isinstance(known, list):
        for number, (value, same) in enumerate(zip(data, known)):
            yield from _unknown_keys(value, same, f"{where}.{number}")


def _templates(
    look: Look, file: str, spec: Mapping[str, Any], templates: list[Any], prefix: str
) -> Iterator[Finding]:
    document = look.document(file)
    named = {str(t.get("name")): t for t in templates if isinstance(t, Mapping)}
    known = list(named)
    entry = spec.get("entrypoint")
    if entry is not None and str(entry) not in named:
        place = f"{prefix}.entrypoint"
        text = f"{place}: there is no template {entry}{nearest(str(entry), known)}"
        yield found(file, document.line(place), text, f"templates: {', '.join(known)}")
    for number, template in enumerate(templates):
        if not isinstance(template, Mapping):
            continue
        place = f"{prefix}.templates.{number}"
        yield from _parameters(look, file, template, place)
        yield from _dag(look, file, template, place, known)
        container = template.get("container")
        if isinstance(container, Mapping):
            yield from _started(look, file, container, f"{place}.container")


def _parameters(
    look: Look, file: str, template: Mapping[str, Any], place: str
) -> Iterator[Finding]:
    """Find inputs that are used and not declared, or declared and not used."""
    document = look.document(file)
    inputs = template.get("inputs")
    body = json.dumps({k: v for k, v in template.items() if k != "inputs"})
    used = dict.fromkeys(_PARAMETER.findall(body))
    for section in ("parameters", "artifacts"):
        given = inputs.get(section) if isinstance(inputs, Mapping) else None
        names = [
            str(one.get("name"))
            for one in (given if isinstance(given, list) else ())
            if isinstance(one, Mapping)
        ]
        start = document.line(place)
        for kind, name in used:
            if kind == section and name not in names:
                text = (
                    f"{place}: there is no inputs.{kind}.{name}{nearest(name, names)}"
                )
                at = look.line_with(file, f"inputs.{kind}.{name}", start)
                yield found(file, at, text, "declare it among the template's inputs")
        # An artifact is used by being put at its path.
        for number, name in enumerate(names if section == "parameters" else ()):
            if (section, name) not in used:
                where = f"{place}.inputs.{section}.{number}"
                text = f"{where}: the template does not use {name}"
                hint = f"write {{{{inputs.{section}.{name}}}}}, or remove it"
                yield found(file, document.line(where), text, hint)


def _dag(
    look: Look, file: str, template: Mapping[str, Any], place: str, known: list[str]
) -> Iterator[Finding]:
    document, dag = look.document(file), template.get("dag")
    tasks = dag.get("tasks") if isinstance(dag, Mapping) else None
    if not isinstance(tasks, list):
        return
    places = {
        str(task.get("name")): (f"{place}.dag.tasks.{number}", task)
        for number, task in enumerate(tasks)
        if isinstance(task, Mapping)
    }
    needs: dict[str, list[str]] = {}
    for name, (where, task) in places.items():
        given = task.get("dependencies")
        wanted = [str(one) for one in given] if isinstance(given, list) else []
        # Its other form: words and operators (A.Succeeded && B).
        wanted += re.findall(r"(?<![\w.-])[\w-]+", str(task.get("depends", "")))
        needs[name] = wanted
        for one in wanted:
            if one not in places:
                text = f"{where}: there is no task {one}{nearest(one, list(places))}"
                at = document.line(f"{where}.dependencies")
                yield found(file, at, text, f"tasks: {', '.join(places)}")
        started = task.get("template")
        if started is not None and str(started) not in known:
            at = document.line(f"{where}.template")
            hint = nearest(str(started), known)
            text = f"{where}.template: there is no template {started}{hint}"
            yield found(file, at, text, f"templates: {', '.join(known)}")
    circle = cycle({k: [o for o in v if o in places] for k, v in needs.items()})
    if circle:
        at = document.line(places[circle[0]][0])
        text = f"{place}.dag: the tasks need each other: {' -> '.join(circle)}"
        yield found(file, at, text, "take one of these dependencies away")


def _started(
    look: Look, file: str, container: Mapping[str, Any], place: str
) -> Iterator[Finding]:
    """Find modules that a container starts and neither tree nor locks have."""
    words: list[str] = []
    for key in ("command", "args"):
        given = container.get(key)
        words += map(str, given) if isinstance(given, list) else ()
    files, packages = look.tree.files, packages_of(look)
    for call in _calls(words):
        problem = unknown_module(call.target, files, packages)
        if call.is_module and problem is not None:
            at = look.line_with(file, call.target, look.document(file).line(place))
            text = f"{place}: there is {problem}"
            yield found(file, at, text, "neither the tree nor a lock has it")


def _calls(words: list[str]) -> list[PythonCall]:
    try:
        # A shell's own text is the word after its -c.
        return python_calls(shlex.join(words)) or [
            call for word in words for call in python_calls(word)
        ]
    except ValueError:
        return []
