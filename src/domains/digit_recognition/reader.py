"""A trained model that reads digits, in whatever way they arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.training import predict, select_device
from domains.digit_recognition.models import to_inputs
from domains.digit_recognition.saved_models import load_model


@dataclass(frozen=True)
class Reading:
    """What a model makes of an image.

    Attributes:
        digit: The most probable digit.
        confidence: Its probability.
        probabilities: Those of the ten digits, 0 first.
    """

    digit: int
    confidence: float
    probabilities: tuple[float, ...]


class Reader:
    """A model, on the device that it computes on.

    Args:
        model_path: What :func:`load_model` takes.
        device: One of common.task_scripts.DEVICES.

    Raises:
        UserError: The model or the device is wrong.
    """

    def __init__(self, model_path: Path, device: str) -> None:
        self._device = select_device(device)
        self._saved = load_model(model_path)

    @property
    def name(self) -> str:
        """What the model is, and what it was trained on."""
        return f"{self._saved.name}, trained on {self._saved.dataset}"

    def read(self, images: Sequence[npt.NDArray[np.float32]]) -> list[Reading]:
        """Read images, [28, 28] each, 0 (paper) to 1 (ink)."""
        inputs = to_inputs(np.stack(images))
        readings = []
        for row in predict(self._saved.module, inputs, self._device).tolist():
            confidence = max(row)
            readings.append(Reading(row.index(confidence), confidence, tuple(row)))
        return readings
