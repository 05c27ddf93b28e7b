"""Trained networks on disk: weights, thresholds, and how videos were divided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from common.errors import UserError
from common.weights import (
    DESCRIPTION_FILE,
    load_weights,
    read_description,
    save_weights,
)
from domains.video_quality.bad_pixels.defects import CLASSES
from domains.video_quality.bad_pixels.network import DefectNetwork
from domains.video_quality.bad_pixels.scoring import CLASSICAL, NETWORK
from domains.video_quality.bad_pixels.splitting import Split
from domains.video_quality.bad_pixels.temporal import CHANNELS

_FORMAT = "bad_pixels-model/1"


@dataclass(frozen=True)
class SavedModel:
    """A network that was read back.

    Attributes:
        network: With its weights, on the CPU.
        precision: What the thresholds were chosen for.
        thresholds: By detector.
        split: How videos were divided when it was trained.
    """

    network: DefectNetwork
    precision: float
    thresholds: Mapping[str, float]
    split: Split


def save_model(
    folder: Path,
    weights: Mapping[str, Tensor],
    precision: float,
    thresholds: Mapping[str, float],
    split: Split,
) -> None:
    """Write a network's weights and description to an existing folder."""
    description = {
        "format": _FORMAT,
        "classes": CLASSES,
        "channels": CHANNELS,
        "precision": precision,
        "thresholds": dict(thresholds),
        "split": {"validation": split.validation, "test": split.test},
    }
    save_weights(folder, weights, description)


def load_model(folder: Path) -> SavedModel:
    """Read a network.

    Args:
        folder: What train has left.

    Raises:
        UserError: A file is missing, malformed or damaged, or of a network that this
            code does not make.
    """
    described = read_description(folder)
    where = folder / DESCRIPTION_FILE
    found = described.get("format")
    if found != _FORMAT:
        raise UserError(f"{where} has the format {found!r}, expected {_FORMAT!r}")
    for name, expected in (("classes", CLASSES), ("channels", CHANNELS)):
        if described.get(name) != list(expected):
            raise UserError(f"{where} has other {name} than this code; train again")
    try:
        thresholds = {
            name: float(described["thresholds"][name]) for name in (NETWORK, CLASSICAL)
        }
        split = Split(**{k: float(v) for k, v in described["split"].items()})
        precision = float(described["precision"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"{where} is damaged; train again") from None
    network = DefectNetwork()
    load_weights(folder, network)
    return SavedModel(network, precision, thresholds, split)
