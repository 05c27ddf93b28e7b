"""Train the network on patches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import TensorDataset

from common.progress import ProgressCallback
from common.seeding import seed_everything
from common.threads import worthwhile_threads
from common.training import Epoch, TensorTrainer
from domains.video_quality.bad_pixels.network import DefectNetwork
from domains.video_quality.bad_pixels.samples import Samples, class_weights


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        epochs: Passes over the training samples.
        batch_size: Samples a step, over all processes.
        learning_rate: The highest of the one-cycle schedule.
        seed: Decides initial weights and the order of samples.
        device: One of common.task_scripts.DEVICES.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True)
class Fit:
    """What training came to.

    Attributes:
        epochs: All epochs, in order.
        best_epoch: The one whose weights are kept: the best on the validation samples.
        weights: Its state dict, on the CPU.
    """

    epochs: tuple[Epoch, ...]
    best_epoch: Epoch
    weights: Mapping[str, Tensor]


def fit(
    settings: Settings,
    training: Samples,
    validation: Samples,
    write_line: Callable[[str], None],
) -> Fit:
    """Train a new network.

    In a distributed run every process calls this, with the same arguments.

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
    trainer = TensorTrainer(
        network,
        _WeightedLoss(torch.from_numpy(class_weights(training.labels))),
        AdamW(network.parameters(), lr=settings.learning_rate, fused=True),
        validation=_dataset(validation),
        seed=settings.seed,
        device=settings.device,
        callbacks=[ProgressCallback(write_line)],
    )
    steps = settings.epochs * math.floor(len(training) / settings.batch_size)

    def one_cycle(optimizer: torch.optim.Optimizer) -> OneCycleLR:
        # The schedule cannot end on its first step, and is moved on once after the
        # last.
        return OneCycleLR(
            optimizer, settings.learning_rate, total_steps=max(steps, 3) + 1
        )

    batch = dataset.tensors[0][: settings.batch_size]
    with worthwhile_threads(network, batch) as threads:
        processes = trainer.num_processes
        write_line(
            f"{sum(weight.numel() for weight in network.parameters()):,} weights, "
            f"{settings.batch_size} patches a step, on {processes} process"
            + "es"[: 2 * (processes > 1)]
            + f" of {threads} thread"
            + "s"[: threads > 1]
        )
        trainer.fit(
            dataset,
            num_epochs=settings.epochs,
            batch_size=settings.batch_size,
            create_scheduler=one_cycle,
        )
    assert trainer.best_epoch is not None
    return Fit(tuple(trainer.epochs), trainer.best_epoch, trainer.best_weights)


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
