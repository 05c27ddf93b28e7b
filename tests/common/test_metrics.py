"""Scores of a classifier, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from common.metrics import ClassMetrics, classification_metrics


def test_scores_worked_out_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    probabilities = np.array(
        [
            [0.8, 0.1, 0.1, 0.0],
            [0.5, 0.4, 0.1, 0.0],
            [0.1, 0.7, 0.2, 0.0],
            [0.2, 0.8, 0.0, 0.0],
            [0.0, 0.3, 0.7, 0.0],
        ]
    )
    metrics = classification_metrics(labels, probabilities)
    assert (metrics.samples, metrics.correct, metrics.accuracy) == (5, 3, 0.6)
    assert metrics.confusion_matrix == (
        (2, 1, 0, 0),
        (0, 1, 1, 0),
        (0, 0, 0, 0),
        (0, 0, 0, 0),
    )
    given_to_truth = [0.8, 0.5, 0.1, 0.8, 0.3]
    mean_loss = -sum(map(math.log, given_to_truth)) / 5
    assert metrics.log_loss == pytest.approx(mean_loss)
    assert metrics.per_class[0] == ClassMetrics(0, 1.0, 2 / 3, 0.8, 3)
    assert metrics.per_class[1] == ClassMetrics(1, 0.5, 0.5, 0.5, 2)
    assert metrics.per_class[2] == ClassMetrics(2, 0.0, 0.0, 0.0, 0)
    # Class 2 was predicted, class 3 occurs nowhere: it says nothing about the model.
    assert metrics.macro_f1 == pytest.approx((0.8 + 0.5 + 0.0) / 3)


def test_certainty_in_a_wrong_class_has_a_finite_loss() -> None:
    metrics = classification_metrics(np.array([1]), np.array([[1.0, 0.0]]))
    assert 10 < metrics.log_loss < math.inf


@pytest.mark.parametrize("shape", [(2, 3), (4, 3), (3,)])
def test_shapes_that_disagree_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="no scores for"):
        classification_metrics(np.zeros(3, dtype=np.int64), np.zeros(shape))


def test_no_samples_have_no_scores() -> None:
    with pytest.raises(ValueError, match="no scores for"):
        classification_metrics(np.zeros(0, dtype=np.int64), np.zeros((0, 3)))
