"""Train the network on patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import TensorDataset

from common.fitting import Fit, FitSettings, fit_classifier
from common.seeding import seed_everything
from domains.video_quality.bad_pixels.network import DefectNetwork
from domains.video_quality.bad_pixels.samples import Samples, class_weights


def fit(
    settings: FitSettings,
    training: Samples,
    validation: Samples,
    write_line: Callable[[str], None],
) -> Fit:
    """Train a new network.

    Args:
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
    network = DefectNetwork()
    dataset = _dataset(training)
    network.standardise_like(dataset.tensors[0])
    return fit_classifier(
        network,
        _WeightedLoss(torch.from_numpy(class_weights(training.labels))),
        dataset,
        _dataset(validation),
        settings,
        write_line,
        name="network",
        samples="patches",
    )


@dataclass(frozen=True)
class _WeightedLoss:
    """Cross-entropy, each sample by the weight of its class.

    Divided by the number of samples and not, as torch's does, by the sum of their
    weights: so the mean over processes is what one process would have computed.
    """

    weights: Tensor

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        losses = functional.cross_entropy(logits, labels, reduction="none")
        return (losses * self.weights.to(labels.device)[labels]).mean()


def _dataset(samples: Samples) -> TensorDataset:
    return TensorDataset(
        torch.from_numpy(samples.patches), torch.from_numpy(samples.labels)
    )
