"""Train a new classifier on tensors: one-cycle schedule, AdamW, the best epoch kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import TensorDataset

from common.progress import ProgressCallback
from common.threads import worthwhile_threads
from common.training import Epoch, TensorTrainer


@dataclass(frozen=True)
class FitSettings:
    """How to train.

    Attributes:
        epochs: Passes over the training samples.
        batch_size: Samples a step, over all processes.
        learning_rate: The highest of the one-cycle schedule.
        seed: Decides the order of samples, and initial weights where the caller makes
            the model after seed_everything with it.
        device: One of common.task_scripts.DEVICES.
        mixed_precision: One of common.training.MIXED_PRECISIONS.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int = 0
    device: str = "auto"
    mixed_precision: str = "no"


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


def fit_classifier(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    training: TensorDataset,
    validation: TensorDataset,
    settings: FitSettings,
    write_line: Callable[[str], None],
    *,
    name: str,
    samples: str,
) -> Fit:
    """Train a new model.

    In a distributed run every process calls this, with the same arguments.

    Args:
        model: Maps a batch of inputs to logits.
        loss: Maps logits and labels to the batch's mean loss.
        training: Inputs and labels to learn from.
        validation: What to choose the best epoch by.
        settings: How to train.
        write_line: Takes lines about the progress.
        name: What the model is called there.
        samples: What its samples are called there, such as images.

    Returns:
        The epochs, and the best one's weights.

    Raises:
        UserError: The batch does not fit the samples or the processes.
        RunError: Training diverged.
    """
    trainer = TensorTrainer(
        model,
        loss,
        # One fused operation a step instead of a dozen for each parameter.
        AdamW(model.parameters(), lr=settings.learning_rate, fused=True),
        validation=validation,
        seed=settings.seed,
        device=settings.device,
        mixed_precision=settings.mixed_precision,
        callbacks=[ProgressCallback(write_line)],
    )
    steps = settings.epochs * math.floor(len(training) / settings.batch_size)

    def one_cycle(optimizer: torch.optim.Optimizer) -> OneCycleLR:
        # The schedule cannot end on its first step, and is moved on once after the
        # last.
        return OneCycleLR(
            optimizer, settings.learning_rate, total_steps=max(steps, 3) + 1
        )

    batch = training.tensors[0][: settings.batch_size]
    with worthwhile_threads(model, batch) as threads:
        weights = sum(parameter.numel() for parameter in model.parameters())
        write_line(
            f"{name}: {weights:,} weights, on {_place(trainer, threads)}, "
            f"{settings.batch_size} {samples} a step"
        )
        trainer.fit(
            training,
            num_epochs=settings.epochs,
            batch_size=settings.batch_size,
            create_scheduler=one_cycle,
        )
    assert trainer.best_epoch is not None
    return Fit(tuple(trainer.epochs), trainer.best_epoch, trainer.best_weights)


def _place(trainer: TensorTrainer, threads: int) -> str:
    device = trainer.device
    if device.type == "cuda":
        place = torch.cuda.get_device_name(device)
    elif device.type == "cpu":
        place = f"CPU ({threads} thread{'s'[: threads > 1]})"
    else:
        place = device.type.upper()
    return f"{trainer.num_processes} x {place}" if trainer.num_processes > 1 else place
