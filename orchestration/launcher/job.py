"""What a launcher is told, and what it answers: JSON, a line each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

State = Literal["cached", "done", "failed", "corrupt"]


@dataclass(frozen=True)
class JobInput:
    """An input of a step.

    Attributes:
        reference: Its content.
        place: Where the command finds it, relative to its working folder.
        path: Where it lies, if it is used in place; None takes it from the store.
    """

    reference: str
    place: str
    path: str | None = None


@dataclass(frozen=True)
class Job:
    """One step, or one item of a step that maps, ready to run.

    Attributes:
        task: The step's task.
        step: Its name.
        item: The item; None for a whole step.
        key: The digest of the document.
        document: The step key's document, of :mod:`orchestration.pipelines.keys`.
        module: The script's module.
        arguments: The command line after the module.
        processes: How many processes share the work, as torch.distributed has it.
        inputs: The inputs, by name.
        outputs: Paths of the outputs relative to the output folder, by name.
        variables: Declared environment variables.
        timeout: Seconds until it is given up; None waits.
        store: The store's address.
        scratch: A folder for what lasts as long as the run does.
        memory: A folder for what is remembered about files; None remembers nothing.
        code: The folder whose ``src`` holds the closure.
        code_reference: The closure in the store.
        environment: The virtual environment.
        packages: The packages of it that the command may see; None for all of it.
        log: The file that takes what the command writes.
        provenance: What the record says beside the results: who, from which commit.
        forced: Run even if there is a record.
    """

    task: str
    step: str
    item: str | None
    key: str
    document: Mapping[str, Any]
    module: str
    arguments: tuple[str, ...]
    processes: int
    inputs: Mapping[str, JobInput]
    outputs: Mapping[str, str]
    variables: Mapping[str, str]
    timeout: float | None
    store: str
    scratch: str
    memory: str | None
    code: str
    code_reference: str
    environment: str
    packages: tuple[str, ...] | None
    log: str
    provenance: Mapping[str, str] = field(default_factory=dict)
    forced: bool = False

    def to_json(self) -> str:
        """Give the job as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Job:
        """Read what :meth:`to_json` has written.

        Raises:
            ValueError: It is no job.
        """
        try:
            values = json.loads(line)
            inputs = {name: JobInput(**one) for name, one in values["inputs"].items()}
            packages = values["packages"]
            return cls(
                **{
                    **values,
                    "arguments": tuple(values["arguments"]),
                    "inputs": inputs,
                    "packages": None if packages is None else tuple(packages),
                }
            )
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no job: {error}") from None


@dataclass(frozen=True)
class JobResult:
    """How a job ended.

    Attributes:
        state: cached (there was a record), done, failed, or corrupt (what the store has
            of an input is damaged, so that the step that made it has to run again).
        outputs: Reference and size of each output, by name.
        seconds: How long the command took.
        message: Why it failed, in one line.
    """

    state: State
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    message: str = ""

    def to_json(self) -> str:
        """Give the result as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> JobResult:
        """Read what :meth:`to_json` has written.

        Raises:
            ValueError: It is no result.
        """
        try:
            return cls(**json.loads(line))
        except TypeError as error:
            raise ValueError(f"no result: {error}") from None
