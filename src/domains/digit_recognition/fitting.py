"""Train one of the models on samples in memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.data import TensorDataset

from common.fitting import Fit, FitSettings, fit_classifier
from common.seeding import seed_everything
from domains.digit_recognition.data import Samples
from domains.digit_recognition.models import build_model, to_inputs


def fit(
    model: str,
    settings: FitSettings,
    training: Samples,
    validation: Samples,
    write_line: Callable[[str], None],
) -> Fit:
    """Train a new model.

    Args:
        model: Which model, as in models.build_model.
        settings: How to train.
        training: What to learn from.
        validation: What to choose the best epoch by.
        write_line: Takes lines about the progress.

    Returns:
        The epochs, and the best one's weights.

    Raises:
        UserError: The batch does not fit the samples or the processes.
        RunError: Training diverged.
    """
    seed_everything(settings.seed)
    return fit_classifier(
        build_model(model),
        nn.CrossEntropyLoss(),
        _dataset(training),
        _dataset(validation),
        settings,
        write_line,
        name=model,
        samples="images",
    )


def _dataset(samples: Samples) -> TensorDataset:
    return TensorDataset(to_inputs(samples.images), torch.from_numpy(samples.labels))
