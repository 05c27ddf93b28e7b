"""Train one of the models on samples in memory."""

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
from common.seeding import seed_everything
from common.threads import worthwhile_threads
from common.training import Epoch, TensorTrainer
from domains.digit_recognition.data import Samples
from domains.digit_recognition.models import build_model, to_inputs


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        model: Which model, as in models.build_model.
        epochs: Passes over the training samples.
        batch_size: Samples a step, over all processes.
        learning_rate: The highest of the one-cycle schedule.
        seed: Decides initial weights and the order of samples.
        device: One of common.task_scripts.DEVICES.
        mixed_precision: One of common.training.MIXED_PRECISIONS.
    """

    model: str
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


def fit(
    settings: Settings,
    training: Samples,
    validation: Samples,
    write_line: Callable[[str], None],
) -> Fit:
    """Train a new model.

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
    model = build_model(settings.model)
    dataset = _dataset(training)
    trainer = TensorTrainer(
        model,
        nn.CrossEntropyLoss(),
        # One fused operation a step instead of a dozen for each parameter.
        AdamW(model.parameters(), lr=settings.learning_rate, fused=True),
        validation=_dataset(validation),
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

    batch = dataset.tensors[0][: settings.batch_size]
    with worthwhile_threads(model, batch) as threads:
        weights = sum(parameter.numel() for parameter in model.parameters())
        write_line(
            f"{settings.model}: {weights:,} weights, on "
            + _place(trainer, threads)
            + f", {settings.batch_size} images a step"
        )
        trainer.fit(
            dataset,
            num_epochs=settings.epochs,
            batch_size=settings.batch_size,
            create_scheduler=one_cycle,
        )
    assert trainer.best_epoch is not None
    return Fit(tuple(trainer.epochs), trainer.best_epoch, trainer.best_weights)


def _dataset(samples: Samples) -> TensorDataset:
    return TensorDataset(to_inputs(samples.images), torch.from_numpy(samples.labels))


def _place(trainer: TensorTrainer, threads: int) -> str:
    device = trainer.device
    if device.type == "cuda":
        place = torch.cuda.get_device_name(device)
    elif device.type == "cpu":
        place = f"CPU ({threads} thread{'s'[: threads > 1]})"
    else:
        place = device.type.upper()
    return f"{trainer.num_processes} x {place}" if trainer.num_processes > 1 else place
