"""Find pipelines and read them, with a profile and settings applied."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from common.errors import UserError, UserErrors
from orchestration.forms import describe
from orchestration.names import nearest
from orchestration.pipelines.checks import ERROR, Problem, check_pipeline
from orchestration.pipelines.documents import Document, parse_value, read_document
from orchestration.pipelines.short_form import is_short, write_out
from orchestration.pipelines.spec import (
    Dataset,
    FromStep,
    Pipeline,
    Profile,
    Resources,
    Step,
)

FILES = ("pipeline.yaml", "pipeline.json")
_DOMAINS = "src/domains"
_INPUT_KEYS = ("dataset", "output", "path", "step")


class SpecError(UserErrors):
    """A pipeline's file is wrong; each line names the file, the line and the key."""


def find_pipelines(root: Path, files: Iterable[str]) -> dict[str, Path]:
    """Find the pipelines of the tree, by name, sorted.

    A pipeline's name is that of its folder below src/domains.

    Args:
        root: The tree's root.
        files: The tree's files, relative to it.

    Raises:
        UserError: A folder has both a YAML and a JSON file.
    """
    found: dict[str, Path] = {}
    for file in sorted(files):
        path = PurePosixPath(file)
        folder = path.parent
        if path.name not in FILES or folder.as_posix() == _DOMAINS:
            continue
        if not folder.is_relative_to(_DOMAINS):
            continue
        name = folder.relative_to(_DOMAINS).as_posix()
        if name in found:
            raise UserError(f"{folder} has {' and '.join(FILES)}; remove one")
        found[name] = root / file
    return dict(sorted(found.items()))


def load_pipeline(
    path: Path, name: str, profile: str | None = None, settings: Sequence[str] = ()
) -> Pipeline:
    """Read a pipeline's file and check it.

    Args:
        path: The file, YAML or JSON, in the long form or the short one.
        name: The pipeline's name, for messages.
        profile: The profile to apply.
        settings: What overrides the profile: ``PARAM=VALUE`` for a parameter,
            ``STEP.ARG=VALUE`` for an argument of one step.

    Returns:
        The pipeline, as it is to run.

    Raises:
        SpecError: With everything that is wrong in the file, the profile's name and the
            settings.
        UserError: The file cannot be read.
    """
    document = read_document(path)
    reading = _Reading(f"{_DOMAINS}/{name}/{path.name}", document)
    if not isinstance(document.data, dict):
        raise SpecError(reading.lines() or [f"{reading.file}:1: it holds no mapping"])
    reading.check_profiles()
    if profile is not None:
        reading.apply_profile(profile)
    for setting in settings:
        reading.apply_setting(setting)
    pipeline = reading.pipeline()
    if pipeline is None or reading.failed:
        raise SpecError(reading.lines())
    return pipeline


class _Reading:
    """Collects what is wrong, while a file's data are turned into a pipeline."""

    def __init__(self, file: str, document: Document) -> None:
        self.file = file
        self._document = document
        self._data: dict[str, Any] = (
            copy.deepcopy(document.data) if isinstance(document.data, dict) else {}
        )
        # What is somewhere else in the file: in a profile, or in a short form.
        self._origins: dict[str, str] = {}
        self._without: set[str] = set()
        self._problems: list[Problem] = []
        self._request: list[str] = []
        # Of a short form no step could be read: there is nothing more to say.
        self._unread = False
        if is_short(self._data):
            long = write_out(self._data)
            self._data = long.data
            self._origins.update(long.origins)
            self._problems += long.problems
            self._unread = bool(long.problems) and not long.data["steps"]

    @property
    def failed(self) -> bool:
        """Whether anything is wrong."""
        return bool(self._problems or self._request or self._document.mistakes)

    def lines(self) -> list[str]:
        """Say what is wrong: in the request, then in the file from its top."""
        found = [(one.line, one.message) for one in self._document.mistakes]
        for problem in self._problems:
            where = self._origin(problem.where)
            line = self._document.line(where)
            found.append((line, f"{where}: {problem.message}"))
        unique = sorted(dict.fromkeys(found), key=lambda one: one[0])
        in_file = [f"{self.file}:{line}: {message}" for line, message in unique]
        return [*self._request, *in_file]

    def check_profiles(self) -> None:
        """Check that profiles override only what is there."""
        params, datasets = self._section("params"), self._section("datasets")
        steps = self._section("steps")
        for name, profile in self._section("profiles").items():
            where = f"profiles.{name}"
            for param in _mapping(profile, "params"):
                if param not in params:
                    hint = nearest(param, list(params))
                    self._add(
                        f"{where}.params.{param}",
                        f"there is no parameter {param}{hint}",
                    )
            for dataset in _mapping(profile, "datasets"):
                if dataset not in datasets:
                    hint = nearest(dataset, list(datasets))
                    self._add(
                        f"{where}.datasets.{dataset}",
                        f"there is no dataset {dataset}{hint}",
                    )
            known = [f"{s}.{i}" for s in steps for i in _mapping(steps[s], "inputs")]
            for key in _mapping(profile, "inputs"):
                if key not in known:
                    hint = nearest(key, known)
                    self._add(f"{where}.inputs.{key}", f"no step has this input{hint}")
            self._check_left_out(profile, where)

    def _check_left_out(self, profile: Any, where: str) -> None:
        """Check that the steps that a profile leaves out are there and not needed."""
        steps, given = self._section("steps"), _mapping(profile, "inputs")
        left_out = _left_out(profile)
        for name in left_out:
            if name not in steps:
                hint = nearest(name, list(steps))
                self._add(f"{where}.without", f"there is no step {name}{hint}")
        if steps and set(steps) <= set(left_out):
            self._add(f"{where}.without", "no step is left")
        for step in steps:
            if step in left_out:
                continue
            for name, source in _mapping(steps[step], "inputs").items():
                needed = _step_of(given.get(f"{step}.{name}", source))
                if needed in left_out:
                    self._add(
                        f"{where}.without",
                        f"{step}.{name} needs {needed}; give it another input in "
                        f"{where}.inputs, or leave {step} out as well",
                    )

    def apply_profile(self, name: str) -> None:
        """Put a profile's values where they belong."""
        profiles = self._section("profiles")
        if name not in profiles:
            known = list(profiles)
            self._request.append(
                f"--profile {name}: there is no such profile{nearest(name, known)}; "
                f"profiles: {', '.join(sorted(known)) or 'none'}"
            )
            return
        profile, where = profiles[name], f"profiles.{name}"
        for kind in ("params", "datasets"):
            section = self._section(kind)
            for key, value in _mapping(profile, kind).items():
                if key in section:
                    section[key] = value
                    self._origins[f"{kind}.{key}"] = f"{where}.{kind}.{key}"
        steps = self._section("steps")
        for key, value in _mapping(profile, "inputs").items():
            step, _, name = key.partition(".")
            inputs = _mapping(steps.get(step), "inputs")
            if name in inputs:
                inputs[name] = value
                origin = f"{where}.inputs.{key}"
                self._origins[f"steps.{step}.inputs.{name}"] = origin
        for step in _left_out(profile):
            if steps.pop(step, None) is not None:
                self._without.add(step)

    def apply_setting(self, setting: str) -> None:
        """Put the value of ``PARAM=VALUE`` or ``STEP.ARG=VALUE`` where it belongs."""
        key, found, text = setting.partition("=")
        complain = self._request.append
        if not found:
            complain(f"--set {setting}: takes PARAM=VALUE or STEP.ARG=VALUE")
            return
        try:
            value = parse_value(text)
        except ValueError as error:
            complain(f"--set {setting}: {error}")
            return
        step, of_step, arg = key.partition(".")
        if not of_step:
            target, known = self._section("params"), list(self._section("params"))
            problem = f"there is no parameter {key}"
        else:
            steps = self._section("steps")
            if step not in steps:
                hint = nearest(step, list(steps))
                complain(f"--set {setting}: there is no step {step}{hint}")
                return
            target = _mapping(steps[step], "args")
            known, key = list(target), arg
            problem = f"step {step} has no argument {arg}"
        if key not in target:
            complain(f"--set {setting}: {problem}{nearest(key, known)}")
            return
        target[key] = value

    def pipeline(self) -> Pipeline | None:
        """Give the pipeline, and note what is wrong; None where it has no form."""
        if self._unread:
            return None
        try:
            pipeline = Pipeline.model_validate(self._data)
        except ValidationError as error:
            paths = [self._note(one) for one in error.errors(include_url=False)]
            self._check_rest(paths)
            return None
        self._check(pipeline)
        return pipeline

    def _check_rest(self, paths: Iterable[Sequence[str]]) -> None:
        """Check what refers to what among the steps whose form is right."""
        unknown = set()
        for path in paths:
            if len(path) > 1 and path[0] == "steps":
                unknown.add(path[1])
                self._section("steps").pop(path[1], None)
            elif len(path) > 1 and path[0] == "profiles":
                self._section("profiles").pop(path[1], None)
            elif path and path[0] not in Pipeline.model_fields:
                self._data.pop(path[0], None)
        try:
            rest = Pipeline.model_validate(self._data)
        except ValidationError:
            return
        self._check(rest, unknown)

    def _check(self, pipeline: Pipeline, unknown: Iterable[str] = ()) -> None:
        # Other profiles may well refer to what this one leaves out.
        problems = check_pipeline(pipeline, self._without.union(unknown))
        self._problems += [one for one in problems if one.severity == ERROR]

    def _note(self, error: ErrorDetails) -> list[str]:
        """Note what is wrong with the form of a part, and give its path."""
        path, message = describe(error, self._data, _known_keys)
        self._add(".".join(path), message)
        return path

    def _add(self, where: str, message: str) -> None:
        self._problems.append(Problem(where, message))

    def _origin(self, where: str) -> str:
        for place, origin in self._origins.items():
            if where == place or where.startswith(f"{place}."):
                return origin + where.removeprefix(place)
        return where

    def _section(self, name: str) -> dict[str, Any]:
        return _mapping(self._data, name)


def _mapping(data: Any, name: str) -> dict[str, Any]:
    """Give a mapping's part that is to be one; an empty one where it is not."""
    found = data.get(name) if isinstance(data, Mapping) else None
    return found if isinstance(found, dict) else {}


def _left_out(profile: Any) -> list[str]:
    """Name the steps that a profile leaves out."""
    found = profile.get("without") if isinstance(profile, Mapping) else None
    names = found if isinstance(found, list) else []
    return [name for name in names if isinstance(name, str)]


def _step_of(source: Any) -> Any:
    """Name the step that an input comes from, if it does from one."""
    if isinstance(source, str):
        return source.partition("/")[0]
    return source.get("step") if isinstance(source, Mapping) else None


def _known_keys(path: Sequence[str]) -> list[str]:
    """Name the keys that there are beside the last one of a path."""
    model: type[BaseModel] = Pipeline
    match list(path[:-1]):
        case ["steps", _]:
            model = Step
        case ["steps", _, "resources"]:
            model = Resources
        case ["profiles", _]:
            model = Profile
        case ["deliver", _]:
            return list(FromStep.model_fields)
        case ["datasets", _] | ["profiles", _, "datasets", _]:
            model = Dataset
        case ["steps", _, "inputs", _] | ["profiles", _, "inputs", _]:
            return list(_INPUT_KEYS)
    return list(model.model_fields)
