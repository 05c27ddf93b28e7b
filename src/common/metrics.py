"""How well a classifier does, from labels and probabilities."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the others.

    Attributes:
        label: The class.
        precision: Share of the samples predicted as the class that are of it, 0 to 1.
        recall: Share of the samples of the class that are predicted as it, 0 to 1.
        f1: Harmonic mean of precision and recall, 0 to 1.
        support: Samples of the class.
    """

    label: int
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class ClassificationMetrics:
    """A classifier's scores on a set of samples.

    Attributes:
        samples: How many.
        correct: How many are predicted right.
        accuracy: Share of samples predicted right, 0 to 1.
        log_loss: Mean negative logarithm of the probability given to the true class, in
            nats.
        macro_f1: Mean F1 of the classes that occur among labels or predictions.
        per_class: Scores of each class, in the order of labels.
        confusion_matrix: Sample counts; row is the true class, column the predicted
            one.
    """

    samples: int
    correct: int
    accuracy: float
    log_loss: float
    macro_f1: float
    per_class: tuple[ClassMetrics, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]

    def as_dict(self) -> dict[str, Any]:
        """Give the scores as JSON values."""
        return asdict(self)


def classification_metrics(
    labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]
) -> ClassificationMetrics:
    """Score predicted probabilities; the most probable class is the prediction.

    Args:
        labels: True classes, [samples], from 0.
        probabilities: [samples, classes]; each row sums to 1.

    Returns:
        The scores. A ratio whose denominator is 0 counts as 0.

    Raises:
        ValueError: There are no samples, or the shapes disagree.
    """
    if probabilities.ndim != 2 or len(labels) != len(probabilities) or not len(labels):
        raise ValueError(f"no scores for {labels.shape} and {probabilities.shape}")
    classes = np.arange(probabilities.shape[1])
    predictions = probabilities.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predictions, labels=classes, zero_division=0.0
    )
    matrix = confusion_matrix(labels, predictions, labels=classes)
    occurs = matrix.sum(axis=0) + matrix.sum(axis=1) > 0
    correct = int(matrix.trace())
    return ClassificationMetrics(
        samples=len(labels),
        correct=correct,
        accuracy=correct / len(labels),
        log_loss=float(log_loss(labels, probabilities, labels=classes)),
        macro_f1=float(np.mean(f1[occurs])),
        per_class=tuple(
            ClassMetrics(
                label=int(label),
                precision=float(precision[label]),
                recall=float(recall[label]),
                f1=float(f1[label]),
                support=int(support[label]),
            )
            for label in classes
        ),
        confusion_matrix=tuple(tuple(int(n) for n in row) for row in matrix),
    )
