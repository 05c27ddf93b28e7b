"""What a model's scores look like: metrics.json and two pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.figures import save_confusion_matrix, save_image_grid
from common.json_files import write_json
from common.metrics import ClassificationMetrics, classification_metrics
from domains.digit_recognition.data import Samples

_MISTAKES_SHOWN = 24


def write_report(
    folder: Path,
    samples: Samples,
    probabilities: npt.NDArray[np.float64],
    facts: dict[str, Any],
) -> ClassificationMetrics:
    """Score test samples and write metrics.json, confusion_matrix.png and mistakes.png.

    Args:
        folder: Where to write.
        samples: The test samples.
        probabilities: What the model gave them, [samples, 10].
        facts: What else metrics.json should say, before the scores; "model" and
            "dataset" are in it.

    Returns:
        The scores.
    """
    metrics = classification_metrics(samples.labels, probabilities)
    write_json(folder / "metrics.json", {**facts, **metrics.as_dict()})
    save_confusion_matrix(
        folder / "confusion_matrix.png",
        metrics.confusion_matrix,
        f"{facts['model']} on {facts['dataset']}: {summary(metrics)}",
    )
    _save_mistakes(folder / "mistakes.png", samples, probabilities)
    return metrics


def summary(metrics: ClassificationMetrics) -> str:
    """Say how many are right, in a few words."""
    counts = f"{metrics.correct:,} of {metrics.samples:,} test images"
    return f"{metrics.accuracy:.2%} ({counts})"


def _save_mistakes(
    path: Path, samples: Samples, probabilities: npt.NDArray[np.float64]
) -> None:
    """Draw the mistakes that the model was surest of."""
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != samples.labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:_MISTAKES_SHOWN]
    if not len(wrong):
        title = f"No mistakes in {len(samples):,} test images"
    elif len(wrong) == 1:
        title = f"The only mistake in {len(samples):,} test images"
    else:
        shown = "All" if len(worst) == len(wrong) else f"The {len(worst)} surest of"
        title = f"{shown} {len(wrong):,} mistakes in {len(samples):,} test images"
    captions = [
        f"{samples.labels[i]} read as {predicted[i]}\n{confidence[i]:.1%} sure"
        for i in worst
    ]
    save_image_grid(path, samples.images[worst], captions, title)
