"""Pipelines that the tests read: a whole one, and ways to change it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestration.pipelines.loading import SpecError, load_pipeline
from orchestration.pipelines.spec import Pipeline

NAME = "digits"
PLACE = f"src/domains/{NAME}/pipeline.yaml"

EXAMPLE = """\
description: Train and use a reader of handwritten digits.
params: {dataset: digits, limit: null, epochs: 20, seed: 0}
datasets:
  mnist: {address: data/mnist, digest: null}
steps:
  prepare:
    script: prepare.py
    inputs: {raw: {dataset: mnist}}
    args:
      dataset: "${params.dataset}"
      limit: ${params.limit}
      data_path: ${inputs.raw}
      output_path: ${outputs.data}
    outputs: [data]
  train:
    script: train
    inputs: {data: prepare/data}
    args:
      data_path: "${inputs.data}"
      epochs: ${params.epochs}
      seed: ${params.seed}
      output_path: "${outputs.run}"
    outputs: {run: run}
    resources: {cpu: 2, memory: 4GB, gpu: 0, nodes: 1, processes: 1}
    timeout: 2h
    retries: 1
    env: [CUDA_VISIBLE_DEVICES]
    portable: true
  predict:
    script: src/domains/digits:predict
    map: images
    shards: 2
    inputs: {images: {path: data/images}, run: train/run}
    positional: ["${inputs.images}"]
    args: {model_path: "${inputs.run}", output_path: "${outputs.table.csv}"}
    outputs: [table.csv]
profiles:
  toy:
    params: {limit: 300, epochs: 2}
    inputs: {predict.images: {path: data/few}}
    datasets: {mnist: {address: s3://data/few}}
  full: {}
"""


def write(folder: Path, text: str, name: str = "pipeline.yaml") -> Path:
    """Write a pipeline's file."""
    path = folder / name
    path.write_text(text)
    return path


def changed(*changes: tuple[str, str]) -> str:
    """Give the example with parts of it replaced, each of which it has once."""
    text = EXAMPLE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def line_of(text: str, part: str) -> int:
    """Give the line on which a text has a part, which it has once."""
    assert text.count(part) == 1, part
    return text[: text.index(part)].count("\n") + 1


def load(
    folder: Path, text: str, profile: str | None = None, settings: Sequence[str] = ()
) -> Pipeline:
    """Write a pipeline's file and read it."""
    return load_pipeline(write(folder, text), NAME, profile, settings)


def refused(
    folder: Path, text: str, profile: str | None = None, settings: Sequence[str] = ()
) -> tuple[str, ...]:
    """Write a pipeline's file and give what is wrong with it."""
    with pytest.raises(SpecError) as caught:
        load(folder, text, profile, settings)
    assert str(caught.value) == "\n".join(caught.value.lines)
    return caught.value.lines
