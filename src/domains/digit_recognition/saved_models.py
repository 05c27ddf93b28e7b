"""Trained models on disk: weights, and how to rebuild the model that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from common.errors import UserError
from common.weights import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    load_weights,
    read_description,
    save_weights,
)
from domains.digit_recognition.models import build_model
from domains.digit_recognition.options import MODELS, SOURCES

_FORMAT = "digit_recognition/1"


@dataclass(frozen=True)
class SavedModel:
    """A model that was read back.

    Attributes:
        name: Which of MODELS it is.
        dataset: Which of SOURCES it was trained on.
        module: The module, with its weights, on the CPU.
    """

    name: str
    dataset: str
    module: nn.Module


def save_model(
    folder: Path, name: str, dataset: str, weights: Mapping[str, Tensor]
) -> None:
    """Write a model's weights and description to an existing folder."""
    description = {"format": _FORMAT, "model": name, "dataset": dataset}
    save_weights(folder, weights, description)


def load_model(path: Path) -> SavedModel:
    """Read a model.

    Args:
        path: A training run's output folder, or the weights file in it.

    Returns:
        The model.

    Raises:
        UserError: A file is missing, malformed or damaged, or the weights are of
            another shape than the description says.
    """
    folder = path.parent if path.name == WEIGHTS_FILE else path
    description = read_description(folder)
    where = folder / DESCRIPTION_FILE
    found = description.get("format")
    if found != _FORMAT:
        raise UserError(f"{where} has the format {found!r}, expected {_FORMAT!r}")
    name, dataset = description.get("model"), description.get("dataset")
    if name not in MODELS:
        raise UserError(
            f"{where} names the model {name!r}, none of {', '.join(MODELS)}"
        )
    if dataset not in SOURCES:
        known = ", ".join(SOURCES)
        raise UserError(f"{where} names the dataset {dataset!r}, none of {known}")
    module = build_model(name)
    load_weights(folder, module)
    return SavedModel(name, dataset, module)


def find_model(folder: Path) -> Path:
    """Find the one model that lies in a folder or somewhere below it.

    Platforms put a model where they like, such as at NAME/VERSION below a folder.

    Returns:
        The folder that :func:`load_model` takes; the given one if it does not exist,
        which that then says.

    Raises:
        UserError: There is none, or more than one.
    """
    if not folder.is_dir() or (folder / DESCRIPTION_FILE).exists():
        return folder
    found = sorted(path.parent for path in folder.rglob(DESCRIPTION_FILE))
    if not found:
        raise UserError(f"{folder} holds no model: no {DESCRIPTION_FILE} below it")
    if len(found) > 1:
        places = ", ".join(map(str, found))
        raise UserError(f"{folder} holds {len(found)} models, name one: {places}")
    return found[0]
