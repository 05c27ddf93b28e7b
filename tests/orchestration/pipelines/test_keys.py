"""A key changes with everything that it is of, and has one spelling."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from orchestration.pipelines.keys import (
    Platform,
    StepCode,
    key_of,
    locked_packages,
    step_document,
)
from orchestration.pipelines.why import differences, nearest_record

HASHES = [f"sha256:{digit * 64}" for digit in "0123"]
LOCK = f"""\
torch==2.15.0 \\
    --hash={HASHES[0]} \\
    --hash={HASHES[1]}
"""
CODE = StepCode(
    task="mill",
    module="domains.mill.grind",
    files={"src/domains/mill/grind.py": ("aa", False)},
    requirements=LOCK,
    packages=locked_packages(LOCK),
)
HOST = Platform("CPython 3.11.2", "linux x86_64", "host: debian 12, glibc 2.36")
GIVEN: dict[str, Any] = {
    "step": "grind",
    "code": CODE,
    "platform": HOST,
    "portable": False,
    "arguments": ["--factor", "8"],
    "processes": 1,
    "variables": {"SPEED": "fast"},
    "inputs": {"grain": "tree:" + "a" * 64},
    "outputs": {"flour": "flour.json"},
    "mapped": None,
    "item": None,
}


def document(**changes: Any) -> dict[str, Any]:
    return step_document(**{**GIVEN, **changes})


def locked(text: str) -> StepCode:
    return replace(CODE, requirements=text, packages=locked_packages(text))


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "interpreter": (
        {"platform": replace(HOST, python="CPython 3.11.9")},
        "interpreter: CPython 3.11.2 -> CPython 3.11.9",
    ),
    "processor": (
        {"platform": replace(HOST, machine="linux aarch64")},
        "platform: linux x86_64 -> linux aarch64",
    ),
    "system": (
        {"platform": replace(HOST, system="host: debian 13, glibc 2.41")},
        "system: host: debian 12, glibc 2.36 -> host: debian 13, glibc 2.41",
    ),
    "code": (
        {"code": replace(CODE, files={"src/domains/mill/grind.py": ("bb", False)})},
        "file src/domains/mill/grind.py changed",
    ),
    "executable code": (
        {"code": replace(CODE, files={"src/domains/mill/grind.py": ("aa", True)})},
        "file src/domains/mill/grind.py changed",
    ),
    "more code": (
        {"code": replace(CODE, files={**CODE.files, "src/common/a.py": ("cc", False)})},
        "file src/common/a.py is new",
    ),
    "package's version": (
        {"code": locked(LOCK.replace("2.15.0", "2.15.1"))},
        "package torch: torch==2.15.0 -> torch==2.15.1",
    ),
    "package's files": (
        {"code": locked(LOCK.replace(HASHES[1], HASHES[2]))},
        "package torch changed",
    ),
    "no package": ({"code": locked("")}, "package torch is gone"),
    "script": (
        {"code": replace(CODE, module="domains.mill.sift")},
        "script: domains.mill.grind -> domains.mill.sift",
    ),
    "argument": (
        {"arguments": ["--factor", "9"]},
        "argument --factor: 8 -> 9",
    ),
    "one more argument": (
        {"arguments": ["--factor", "8", "--fast"]},
        "argument --fast is new",
    ),
    "arguments that read the same": (
        {"arguments": ["--factor 8"]},
        "argument --factor is gone",
    ),
    "variable": (
        {"variables": {"SPEED": "slow"}},
        "environment variable SPEED changed",
    ),
    "input": (
        {"inputs": {"grain": "tree:" + "b" * 64}},
        "input grain: tree:aaaaaaaaaaaaaa -> tree:bbbbbbbbbbbbbb",
    ),
    "kind of input": (
        {"inputs": {"grain": "file:" + "a" * 64}},
        "input grain: tree:aaaaaaaaaaaaaa -> file:aaaaaaaaaaaaaa",
    ),
    "output": (
        {"outputs": {"flour": "flour.txt"}},
        "output flour: flour.json -> flour.txt",
    ),
    "processes": ({"processes": 2}, "number of processes: 1 -> 2"),
    "step": ({"step": "sift"}, "step: grind -> sift"),
    "task": ({"code": replace(CODE, task="farm")}, "task: mill -> farm"),
    "map": ({"mapped": "grain"}, "mapped input is new"),
    "item": ({"item": "a.txt"}, "item is new"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_another_key_and_has_a_name(name: str) -> None:
    changes, said = CHANGES[name]
    before, after = document(), document(**changes)

    assert key_of(before) != key_of(after)
    assert said in [str(one) for one in differences(before, after)]


def test_all_changes_are_different_keys() -> None:
    keys = {key_of(document(**changes)) for changes, _ in CHANGES.values()}

    assert len(keys) == len(CHANGES)


def test_a_portable_step_does_not_depend_on_the_system() -> None:
    other = replace(HOST, system="image: 1234")

    assert key_of(document(portable=True)) == key_of(
        document(portable=True, platform=other)
    )
    assert key_of(document(portable=True)) != key_of(document())


def test_order_is_no_difference() -> None:
    text = LOCK.replace(
        f"--hash={HASHES[0]} \\\n    --hash={HASHES[1]}",
        f"--hash={HASHES[1]} \\\n    --hash={HASHES[0]}",
    )
    assert text != LOCK
    assert key_of(document(code=locked(text))) == key_of(document())
    shuffled = dict(reversed(document().items()))
    assert key_of(shuffled) == key_of(document())


def test_a_variables_value_is_not_in_the_document() -> None:
    assert "hunter2" not in json.dumps(document(variables={"TOKEN": "hunter2"}))


def test_the_nearest_record_is_the_one_that_differs_least() -> None:
    far = {"key": document(arguments=["--factor", "1"], processes=2)}
    near = {"key": document(arguments=["--factor", "2"])}

    found = nearest_record([far, near], document())

    assert found is not None
    assert found[0] is near
    assert [str(one) for one in found[1]] == ["argument --factor: 2 -> 8"]
    assert nearest_record([], document()) is None
