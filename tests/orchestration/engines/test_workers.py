"""Workers pass jobs on, and whatever goes wrong with a launcher is told."""

from __future__ import annotations

import os
import sys

import pytest

from common.errors import RunError
from orchestration.engines.workers import Launcher, Workers
from orchestration.launcher.job import Job

# Answers each job with how many it has had, and ends at one that it is told to.
LAUNCHER = """\
import json, os, sys
for number, line in enumerate(sys.stdin, start=1):
    if json.loads(line)["module"] == "fatal":
        os._exit(9)
    print(json.dumps({"state": "done", "seconds": number}), flush=True)
"""


def job(module: str) -> Job:
    return Job(
        task="mill",
        step="grind",
        item=None,
        key="key",
        document={},
        module=module,
        arguments=(),
        processes=1,
        inputs={},
        outputs={},
        variables={},
        timeout=None,
        store="store",
        scratch="scratch",
        memory=None,
        code="code",
        code_reference="tree:",
        environment="environment",
        packages=None,
        log="log",
    )


def start(job: Job) -> Launcher:
    return Launcher((sys.executable, "-c", LAUNCHER), dict(os.environ))


def test_a_launcher_takes_one_job_after_the_other() -> None:
    workers: Workers[int] = Workers(1, start)
    try:
        for number in (1, 2, 3):
            workers.submit(number, job("work"))
        results = [workers.next_result() for _ in range(3)]
    finally:
        workers.stop()

    assert [(tag, result.seconds) for tag, result in results] == [
        (1, 1),
        (2, 2),
        (3, 3),
    ]


def test_a_launcher_that_ends_fails_its_job_and_is_replaced() -> None:
    workers: Workers[str] = Workers(1, start)
    try:
        for name in ("fatal", "work"):
            workers.submit(name, job(name))
        results = dict(workers.next_result() for _ in range(2))
    finally:
        workers.stop()

    assert results["fatal"].state == "failed"
    assert results["fatal"].message == "its launcher ended with status 9"
    assert (results["work"].state, results["work"].seconds) == ("done", 1)


def test_an_error_of_ours_does_not_leave_anybody_waiting() -> None:
    def refuse(job: Job) -> Launcher:
        raise OSError("too many open files")

    workers: Workers[str] = Workers(2, refuse)
    try:
        workers.submit("work", job("work"))
        with pytest.raises(RunError, match="too many open files"):
            workers.next_result()
    finally:
        workers.stop()
