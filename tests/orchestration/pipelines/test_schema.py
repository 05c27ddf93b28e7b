"""The schema takes what is read, refuses what is refused, and knows every key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from common.command_line import run
from orchestration.commands import schema
from orchestration.pipelines.schema import pipeline_schema
from tests.orchestration.pipelines.files import EXAMPLE, changed, load, refused


def _mistakes(text: str) -> list[str]:
    validator = Draft202012Validator(pipeline_schema())
    return [error.message for error in validator.iter_errors(yaml.safe_load(text))]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(pipeline_schema())


def test_the_example_is_right() -> None:
    assert _mistakes(EXAMPLE) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("timeout: 2h", "timeout: 90"),
        ("timeout: 2h", "timeout: 1.5d"),
        ("memory: 4GB", "memory: 512MiB"),
        ("memory: 4GB", "memory: 1000000"),
        ("data: prepare/data", "data: {step: prepare, output: data}"),
        ("[CUDA_VISIBLE_DEVICES]", "{A: x, B: 3, C: null}"),
        ("raw: {dataset: mnist}", "raw: null"),
        ("{path: data/few}", "null"),
        ("digest: null", f"digest: 'sha256:{'0a' * 32}'"),
        ("seed: 0", "seed: [1, x, null, true]"),
    ],
)
def test_what_is_read_is_right(old: str, new: str, tmp_path: Path) -> None:
    text = changed((old, new))
    if "null" not in new or "A:" in new or "seed" in new:
        load(tmp_path, text)
    assert _mistakes(text) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("retries: 1", "argz: {}"),
        ("description:", "descripton:"),
        ("    script: train\n", ""),
        ("script: train\n", "script: train --x\n"),
        ("retries: 1", "retries: -1"),
        ("retries: 1", "retries: many"),
        ("portable: true", "portable: maybe"),
        ("timeout: 2h", "timeout: 2 weeks"),
        ("memory: 4GB", "memory: 4XB"),
        ("  train:", "  Train:"),
        ("[data]", "[a b]"),
        ("data: prepare/data", "data: prepare"),
        ("{path: data/images}", "{pth: x}"),
        ("digest: null", "digest: md5"),
        ("seed: 0", "seed: {a: 1}"),
        ("[CUDA_VISIBLE_DEVICES]", "[A-B]"),
        ("  full: {}", "  full: {inputs: {train: x/y}}"),
        ("  full: {}", "  full: {steps: {}}"),
    ],
)
def test_what_is_refused_is_wrong(old: str, new: str, tmp_path: Path) -> None:
    text = changed((old, new))
    refused(tmp_path, text)
    assert _mistakes(text) != []


def test_every_key_is_described() -> None:
    document = pipeline_schema()
    for part in document["$defs"].values():
        assert part["description"]
        for name, value in part["properties"].items():
            assert value["description"], name


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    def command(_: Any) -> None:
        schema.main(["pipeline"])

    assert run("strata", command) == 0
    assert json.loads(capsys.readouterr().out) == pipeline_schema()


def test_another_schema_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("strata", lambda _: schema.main(["pipelin"])) == 2
    expected = "strata: error: KIND: 'pipelin' is none of pipeline; did you mean pip"
    assert capsys.readouterr().err.startswith(expected)
