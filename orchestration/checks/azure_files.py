"""Files of Azure ML: jobs and other resources, by its own loader and beyond it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from common.errors import RunError, UserError, UserErrors
from orchestration.azure.documents import AzureFile, load
from orchestration.azure.job_files import DEFAULT_FILE, check_job
from orchestration.azure.resources import kind_of, load_resource
from orchestration.branches import EXPERIMENT
from orchestration.checks import azure_names, job_commands
from orchestration.checks.findings import Finding, cycle, found, reported
from orchestration.checks.look import YAML, Look
from orchestration.names import nearest
from orchestration.pipelines.loading import FILES

_FOLDER = "azure"
_DEPLOY = "deploy"
_JOBS = {"commandJob": "command", "pipelineJob": "pipeline"}
_PARENT = re.compile(
    r"\$\{\{\s*parent\.(?:jobs\.([\w-]+)\.)?(inputs|outputs)\.([\w-]+)\s*\}\}"
)
_OWN = re.compile(r"\$\{\{\s*(inputs|outputs)\.([A-Za-z_][\w-]*)")
# What a message is about.
_WORD = re.compile(r"(\$\{\{.*?\}\})|no (?:module )?((?:inputs\.|outputs\.)?[\w.-]+)$")
_HINT = "the reference that $schema stands for has all keys"


def takes(look: Look, file: str) -> bool:
    """Whether a file is given to Azure ML: by its schema, its name or its folder."""
    path = PurePosixPath(file)
    if path.name == DEFAULT_FILE:
        return True
    if path.suffix not in YAML or path.name in FILES:
        return False
    is_domains = file.startswith("src/domains/")
    if path.parent.as_posix() == _FOLDER or (is_domains and _DEPLOY in path.parts[:-1]):
        return "apiVersion" not in look.mapping(file)
    return azure_names.SCHEMAS in str(look.mapping(file).get("$schema"))


def find(look: Look, file: str) -> Iterator[Finding]:
    """Find what is wrong in a job or resource."""
    document = look.document(file)
    if document.mistakes:
        return  # the check of texts says so
    if not isinstance(document.data, dict):
        yield Finding(file, 1, "it holds no mapping", _HINT)
        return
    azure = AzureFile(look.root / file, file, document.data, document)
    schema = str(document.data.get("$schema"))
    named = schema.rpartition("/")[2].partition(".")[0]
    if named in _JOBS or PurePosixPath(file).name == DEFAULT_FILE:
        yield from _job(look, azure)
    else:
        yield from _collected(lambda: _load_resource(azure), file)
    yield from azure_names.find(look, azure)


def _collected(work: Callable[[], object], file: str) -> Iterator[Finding]:
    try:
        work()
    except UserError as error:
        yield from reported(error, file, _HINT)


def _load_resource(azure: AzureFile) -> None:
    with _as_mistakes(azure):
        load_resource(kind_of(azure), azure, azure.data)


def _load_job(azure: AzureFile) -> None:
    # Only now: Azure's packages take seconds.
    from azure.ai.ml import load_job

    with _as_mistakes(azure):
        load(load_job, azure, azure.data)


@contextmanager
def _as_mistakes(azure: AzureFile) -> Iterator[None]:
    """Take whatever azure-ai-ml stumbles over in odd data for a mistake in them."""
    try:
        yield
    except (UserError, RunError):
        raise
    except Exception as error:
        said = f"azure-ai-ml cannot load it: {type(error).__name__}: {error}"
        raise UserErrors([azure.at("", said)]) from None


def _job(look: Look, azure: AzureFile) -> Iterator[Finding]:
    data, file = dict(azure.data), azure.name
    yield from _placed(look, _collected(lambda: _load_job(azure), file))
    name = data.get("experiment_name")
    if isinstance(name, str) and "${{" not in name and not EXPERIMENT.takes(name):
        yield found(
            file,
            azure.document.line("experiment_name"),
            f"experiment_name: {name!r} is no valid name of an experiment",
            f"small letters, digits, _ and -, at most {EXPERIMENT.longest}",
        )
    commands = _commands(data)
    for where, command in commands.items():
        yield from _unused(look, azure, where, command)
    yield from _between(azure, data)
    if not look.knows_graph:
        return
    task = look.owner(file)
    if task is None:
        return
    folders: dict[str, PurePosixPath | None] = {}
    try:
        checked = check_job(azure, data, look.root, task.files)
        folders = {where: folder for where, (_, folder) in checked.items()}
    except UserError as error:
        hint = f"{task.name} has what its scripts reach"
        yield from _placed(look, reported(error, file, hint))
    for where, command in commands.items():
        if isinstance(command.get("command"), str):
            folder = folders.get(where) or _folder(azure, command, look)
            line = azure.document.line(f"{where}command")
            yield from job_commands.find(
                look, file, line, command, task, str(folder) if folder else None
            )


def _placed(look: Look, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Put findings about a text of several lines where the words in question are."""
    for one in findings:
        word = _WORD.search(one.message)
        at = (
            look.line_with(one.file, word[1] or word[2], one.line) if word else one.line
        )
        yield replace(one, line=at)


def _folder(
    azure: AzureFile, command: Mapping[str, Any], look: Look
) -> PurePosixPath | None:
    code = command.get("code")
    if not isinstance(code, str) or ":" in code:
        return None
    place = (azure.path.parent / code).resolve()
    if not place.is_relative_to(look.root.resolve()):
        return None
    return PurePosixPath(place.relative_to(look.root.resolve()).as_posix())


def _commands(data: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Give a job's commands, by what precedes their keys."""
    steps = data.get("jobs")
    if not isinstance(steps, dict):
        return {"": data}
    return {f"jobs.{n}.": step for n, step in steps.items() if isinstance(step, dict)}


def _section(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    given = data.get(name)
    return given if isinstance(given, dict) else {}


def _unused(
    look: Look, azure: AzureFile, where: str, command: Mapping[str, Any]
) -> Iterator[Finding]:
    """Find inputs and outputs that a command line does not mention."""
    text = command.get("command")
    if not isinstance(text, str):
        return
    mentioned = set(_OWN.findall(text))
    for section in ("inputs", "outputs"):
        for name in _section(command, section):
            if (section, name) not in mentioned:
                place = f"{where}{section}.{name}"
                line = azure.document.line(place)
                message = f"{place}: the command line does not use it"
                hint = f"write ${{{{{section}.{name}}}}} in command, or remove it"
                yield found(azure.name, line, message, hint)


def _between(azure: AzureFile, data: Mapping[str, Any]) -> Iterator[Finding]:
    """Find what a pipeline's jobs take from each other and from it, and lack."""
    steps = _section(data, "jobs")
    needs: dict[str, list[str]] = {name: [] for name in steps}
    mentioned = set()
    for name, step in steps.items():
        if not isinstance(step, dict):
            continue
        for section in ("inputs", "outputs"):
            for key, value in _section(step, section).items():
                place = f"jobs.{name}.{section}.{key}"
                for other, kind, of in _PARENT.findall(str(value)):
                    owner = steps.get(other) if other else data
                    if not other:
                        mentioned.add((kind, of))
                    if not isinstance(owner, dict):
                        hint = nearest(other, list(steps))
                        message = f"{place}: there is no job {other}{hint}"
                        yield found(azure.name, azure.document.line(place), message)
                        continue
                    if other and section == "inputs":
                        needs[name].append(other)
                    if of not in _section(owner, kind):
                        hint = nearest(of, list(_section(owner, kind)))
                        whose = f"job {other}" if other else "the pipeline"
                        message = f"{place}: {whose} has no {kind}.{of}{hint}"
                        yield found(azure.name, azure.document.line(place), message)
    circle = cycle(needs)
    if circle:
        line = azure.document.line(f"jobs.{circle[0]}")
        message = f"jobs.{circle[0]}: the jobs need each other: {' -> '.join(circle)}"
        yield found(azure.name, line, message, "take one of these inputs away")
    for kind in ("inputs", "outputs") if steps else ():
        for key in _section(data, kind):
            if (kind, key) not in mentioned:
                message = f"{kind}.{key}: no job uses it"
                hint = f"write ${{{{parent.{kind}.{key}}}}} in a job, or remove it"
                line = azure.document.line(f"{kind}.{key}")
                yield found(azure.name, line, message, hint)
