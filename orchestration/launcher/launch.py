"""Run one step's command and keep its results, or take them from the store.

The command sees a working folder with its inputs and its own output folder, the closure
on its path, and the declared variables; nothing of the tree and of the caller's
environment beside. What it writes counts only when it ends with status 0, has written
all that was declared, and has left its inputs as they were.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from common.errors import UserError
from orchestration.atomic_files import make_folder_once
from orchestration.file_digests import FileDigests
from orchestration.launcher.command import TimedOut, run_command
from orchestration.launcher.job import Job, JobInput, JobResult
from orchestration.store.content import Content, read_content
from orchestration.store.errors import CorruptArtifact
from orchestration.store.store import Store

RECORD_FORMAT = "record/1"
_TAIL_LINES = 8
_TAIL_BYTES = 8_000


class StepFailed(Exception):
    """The step has no result; the message says why in one line."""


def launch(job: Job, store: Store) -> JobResult:
    """Give a step's results: those of its record, or of running it.

    Raises:
        RunError: The store cannot be used.
    """
    if not job.forced:
        record = store.record(job.task, job.step, job.key)
        if record is not None and not store.missing(references(record)):
            return JobResult("cached", record["outputs"])
    folder = Path(tempfile.mkdtemp(prefix=f"{job.step}-", dir=job.scratch))
    try:
        return _run(job, store, folder)
    except CorruptArtifact as error:
        return JobResult("corrupt", message=str(error))
    except (StepFailed, UserError) as error:
        return JobResult("failed", message=str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def references(record: Mapping[str, object]) -> list[str]:
    """Give the references of a record's outputs."""
    outputs = record["outputs"]
    assert isinstance(outputs, dict)
    return [output["reference"] for output in outputs.values()]


def _run(job: Job, store: Store, folder: Path) -> JobResult:
    sources = {name: _source(job, store, one) for name, one in job.inputs.items()}
    identities = {name: _identity(source) for name, source in sources.items()}
    for name, one in job.inputs.items():
        _check_input(job, name, one, sources[name])
        place = folder / "work" / one.place
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(sources[name])
    for name in ("work/outputs", "home"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for path in job.outputs.values():
        (folder / "work/outputs" / path).parent.mkdir(parents=True, exist_ok=True)
    environment = _environment(job)
    started = datetime.now(UTC)
    start = time.monotonic()
    log = Path(job.log)
    try:
        # Of a short name: what is bound to sockets in it may have 108 characters.
        with tempfile.TemporaryDirectory(prefix="strata-") as temporary:
            status = run_command(
                _command(job, environment),
                folder / "work",
                _variables(job, environment, folder, temporary),
                log,
                job.timeout,
            )
    except TimedOut:
        raise StepFailed(f"it took longer than {job.timeout:g} s") from None
    except OSError as error:
        raise StepFailed(f"it cannot be started: {error}") from None
    seconds = time.monotonic() - start
    if status:
        how = f"status {status}" if status > 0 else f"signal {-status}"
        raise StepFailed(f"it ended with {how}{_tail(log)}")
    contents = _read_outputs(job, folder / "work/outputs")
    for name, one in job.inputs.items():
        # Another command may have found it spoilt, and had it made again.
        if _identity(sources[name]) != identities[name]:
            raise StepFailed(f"its input {name} was spoilt by another command")
        _check_input(job, name, one, sources[name])
    _check_code(job)
    for name, content in contents.items():
        store.add(folder / "work/outputs" / job.outputs[name], content)
    outputs = {
        name: {"reference": content.reference, "size": content.size}
        for name, content in sorted(contents.items())
    }
    record = {
        "format": RECORD_FORMAT,
        "key": job.document,
        "outputs": outputs,
        "code": job.code_reference,
        "log": store.add_text(log.read_bytes()),
        "started": started.isoformat(),
        "finished": datetime.now(UTC).isoformat(),
        "seconds": round(seconds, 3),
        "host": platform.node(),
        **job.provenance,
    }
    if not store.add_record(job.task, job.step, job.key, record, replace=job.forced):
        # Whoever was first has the say, so that all who come later agree.
        first = store.record(job.task, job.step, job.key)
        if first is not None and not store.missing(references(first)):
            return JobResult("done", first["outputs"], seconds)
        store.add_record(job.task, job.step, job.key, record, replace=True)
    return JobResult("done", outputs, seconds)


def _source(job: Job, store: Store, one: JobInput) -> Path:
    """Where an input lies: the user's own, or a copy of the store's for this run."""
    if one.path is not None:
        return Path(one.path)
    name = hashlib.sha256(one.reference.encode()).hexdigest()
    made = make_folder_once(
        Path(job.scratch) / "restored" / name,
        lambda new: store.restore(one.reference, new / "content"),
    )
    return made / "content"


def _check_input(job: Job, name: str, one: JobInput, source: Path) -> None:
    """Make sure that an input is what the step's key says that it is."""
    memory = None
    if one.path is None:
        memory = memory_of(Path(job.scratch) / "memory", source)
    elif job.memory is not None and not _is_item(job, one):
        memory = memory_of(Path(job.memory), source)
    digests = FileDigests(Path("/"), memory)
    found = None
    if source.exists():
        found = read_content(source, digests, "followed").reference
        # What is remembered only saves time: a container may have no place for it.
        with suppress(OSError):
            digests.save()
    if found != one.reference:
        if one.path is None:
            _put_aside(source.parent)
        raise StepFailed(
            f"its input {name} changed while it was at work; nothing was kept"
        )


def _is_item(job: Job, one: JobInput) -> bool:
    return job.item is not None and one.place.endswith(f"/{job.item}")


def _identity(source: Path) -> tuple[int, int] | None:
    """Tell one folder that was made for an input from another of the same name."""
    try:
        status = source.parent.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _check_code(job: Job) -> None:
    """Make sure that the code is what the step's key says, for whoever uses it next."""
    code = Path(job.code)
    digests = FileDigests(Path("/"), memory_of(Path(job.scratch) / "memory", code))
    found = read_content(code, digests, "followed").reference
    digests.save()
    if found != job.code_reference:
        _put_aside(code)
        raise StepFailed("it wrote to the folder of its code; nothing was kept")


def _put_aside(folder: Path) -> None:
    """Have a folder made again; its own number stays taken, so that others see it."""
    with suppress(OSError):
        folder.rename(folder.with_name(f".spoilt-{secrets.token_hex(8)}"))


def memory_of(folder: Path, path: Path) -> Path:
    """Say where the digests of an input's files are remembered."""
    return folder / f"{hashlib.sha256(str(path).encode()).hexdigest()[:24]}.json"


def _environment(job: Job) -> Path:
    """Give the environment as far as the command may see it."""
    whole = Path(job.environment)
    if job.packages is None:
        return whole
    # Imported where it is needed: on the host a step sees a whole environment.
    from orchestration.launcher.views import view_environment

    packages = job.packages
    return make_folder_once(
        Path(job.scratch) / "environment" / _digest(packages),
        lambda new: view_environment(whole, packages, new),
    )


def _command(job: Job, environment: Path) -> list[str]:
    start = [str(environment / "bin/python"), "-P", "-m"]
    if job.processes > 1:
        share = ["--standalone", f"--nproc-per-node={job.processes}", "-m"]
        start += ["torch.distributed.run", *share]
    return [*start, job.module, *job.arguments]


def _variables(
    job: Job, environment: Path, folder: Path, temporary: str
) -> dict[str, str]:
    return {
        "PATH": f"{environment}/bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": f"{job.code}/src",
        "HOME": str(folder / "home"),
        "TMPDIR": temporary,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
        **job.variables,
    }


def _read_outputs(job: Job, folder: Path) -> dict[str, Content]:
    contents = {}
    digests = FileDigests(folder, None)
    for name, path in sorted(job.outputs.items()):
        if not os.path.lexists(folder / path):
            raise StepFailed(
                f"it ended well but has not written its output {name} (outputs/{path})"
            )
        contents[name] = read_content(folder / path, digests, "inside")
    return contents


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    last = [line.rstrip() for line in lines if line.strip()][-_TAIL_LINES:]
    return "".join(f"\n{line}" for line in last)


def _digest(names: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
