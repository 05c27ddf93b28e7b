"""Train a classifier on tensors with pytorch-accelerated.

The loop, the callbacks and the distribution over devices are those of
:class:`pytorch_accelerated.Trainer` and accelerate. :class:`TensorTrainer` replaces
what costs more than the arithmetic when models are small: the data loader, and the wait
for each batch's loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator, DistributedType
from accelerate.state import AcceleratorState
from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import TrainerCallback
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import TensorDataset

from common.errors import RunError, UserError
from common.seeding import seed_everything
from common.tensors import TensorBatches

MIXED_PRECISIONS = ("no", "fp16", "bf16")

# Large enough to keep a device busy, small enough for the memory of any.
_INFERENCE_BATCH_SIZE = 1000


@dataclass(frozen=True)
class Epoch:
    """What one epoch of training came to.

    Attributes:
        number: Counted from 1.
        learning_rate: Of the last step.
        train_loss: Mean loss of the epoch's batches, each before its own step.
        validation_loss: Mean loss over the validation samples after the epoch.
        validation_accuracy: Share of the validation samples predicted right, 0 to 1.
    """

    number: int
    learning_rate: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float


def select_device(name: str, mixed_precision: str = "no") -> torch.device:
    """Choose where to compute, and check that the precision exists there.

    Args:
        name: One of common.task_scripts.DEVICES; "auto" is a GPU where there is one.
        mixed_precision: One of MIXED_PRECISIONS.

    Returns:
        The device that accelerate will use.

    Raises:
        UserError: There is no GPU, or fp16 is asked for without one.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--device cuda: torch finds no CUDA device here; use --device cpu"
        )
    device: torch.device = _accelerator(name, "no").device
    if device.type == "cpu" and mixed_precision == "fp16":
        raise UserError("--mixed_precision fp16 needs a GPU; use bf16 or no")
    return device


def predict(model: nn.Module, inputs: Tensor, device: torch.device) -> Tensor:
    """Run a classifier in evaluation mode and full precision.

    Args:
        model: Maps inputs to logits; it is moved to the device.
        inputs: [samples, ...].
        device: Where to compute.

    Returns:
        Class probabilities, [samples, classes], float64 on the CPU.
    """
    model.to(device).eval()
    batches = TensorBatches(TensorDataset(inputs), _INFERENCE_BATCH_SIZE, device=device)
    with torch.inference_mode():
        logits = [model(batch).cpu() for (batch,) in batches]
    return torch.cat(logits).double().softmax(dim=1)


class TensorTrainer(Trainer):  # type: ignore[misc]
    """A pytorch-accelerated Trainer that reads batches from tensors.

    Batch sizes count the samples of all processes together. Batches are shuffled and
    all of one size: an incomplete last one is left out, so each epoch leaves out
    others.

    Args:
        model: Maps a batch of inputs to logits.
        loss_func: Maps logits and labels to the batch's mean loss.
        optimizer: Over the model's parameters.
        validation: Inputs and labels that are scored after each epoch.
        seed: Decides the order of the samples and whatever else is random in training.
        device: One of common.task_scripts.DEVICES.
        mixed_precision: One of MIXED_PRECISIONS.
        callbacks: pytorch-accelerated's callbacks.
    """

    # The base class is untyped.
    model: nn.Module
    optimizer: Any
    _accelerator: Any

    def __init__(
        self,
        model: nn.Module,
        loss_func: Callable[[Tensor, Tensor], Tensor],
        optimizer: Optimizer,
        *,
        validation: TensorDataset | None = None,
        seed: int = 0,
        device: str = "auto",
        mixed_precision: str = "no",
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        # Before the base class, which creates its accelerator on the way.
        self._device_name = device
        self._mixed_precision = mixed_precision
        self._validation = validation
        self._seed = seed
        super().__init__(model, loss_func, optimizer, callbacks=callbacks)
        self._stepped_optimizer = optimizer
        self._is_plain = True
        self._parameters: list[nn.Parameter] = []
        self._last_learning_rate = math.nan
        self._loss_tracker = _LossTracker()
        self.epochs: list[Epoch] = []
        self.best_epoch: Epoch | None = None
        self.best_weights: dict[str, Tensor] = {}

    @property
    def is_main_process(self) -> bool:
        """Whether this process speaks for all."""
        return bool(self._accelerator.is_main_process)

    @property
    def num_processes(self) -> int:
        """How many processes train together."""
        return int(self._accelerator.num_processes)

    def fit(
        self,
        dataset: TensorDataset,
        *,
        num_epochs: int,
        batch_size: int,
        create_scheduler: Callable[[Optimizer], LRScheduler] | None = None,
    ) -> None:
        """Train, and keep each epoch's scores and the weights of the best epoch.

        The best epoch is that of the lowest validation loss: a few hundred samples tell
        epochs apart by it when their accuracies are equal or differ by chance.

        Args:
            dataset: Inputs and labels.
            num_epochs: Passes over the data set.
            batch_size: Samples in a batch over all processes.
            create_scheduler: Makes a learning-rate schedule that is advanced each step.

        Raises:
            UserError: The batch is larger than the data set, or the processes cannot
                share it evenly.
            RunError: The loss is no longer a number.
        """
        if batch_size > len(dataset):
            raise UserError(
                f"--batch_size {batch_size} is larger than the training data, "
                f"{len(dataset):,} samples"
            )
        if batch_size % self.num_processes:
            raise UserError(
                f"--batch_size {batch_size} is not a multiple of the "
                f"{self.num_processes} processes that share it"
            )
        self.epochs, self.best_epoch, self.best_weights = [], None, {}
        self.train(
            dataset,
            num_epochs,
            per_device_batch_size=batch_size // self.num_processes,
            create_scheduler_fn=create_scheduler,
        )

    def create_train_dataloader(
        self, batch_size: int, train_dl_kwargs: dict[str, Any] | None = None
    ) -> TensorBatches:
        """Batch by index instead of sample by sample in worker processes."""
        self._train_dl_kwargs = {"batch_size": batch_size}
        return TensorBatches(
            self.train_dataset,
            batch_size * self.num_processes,
            device=self.device,
            seed=self._seed,
            drop_last=True,
            process_index=self._accelerator.process_index,
            num_processes=self.num_processes,
        )

    def create_scheduler(self) -> LRScheduler:
        """Make the schedule for the optimizer that is stepped, not its wrapper."""
        scheduler: LRScheduler = self.create_scheduler_fn(self._stepped_optimizer)
        return scheduler

    def backward_step(self, loss: Tensor) -> None:
        """Go backward without accelerate's scaling where its factor is 1."""
        if self._is_plain:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            super().backward_step(loss)

    def optimizer_step(self) -> None:
        """Step without accelerate's wrapper where that only passes the call on."""
        self._stepped_optimizer.step()

    def optimizer_zero_grad(self) -> None:
        """Drop the gradients without the checks that optimizers make for it."""
        for parameter in self._parameters:
            parameter.grad = None

    def training_run_epoch_end(self) -> None:
        """Score the validation samples, record the epoch, keep the best weights."""
        number = self.run_history.current_epoch
        train_loss = self.run_history.get_latest_metric("train_loss_epoch")
        rate = self.optimizer.param_groups[0]["lr"]
        if self.scheduler is not None:
            # The scheduler has already set the rate of the step to come.
            rate = self._last_learning_rate
        self._check_finite(train_loss, number, rate)
        if self._validation is None:
            return
        loss, accuracy = self._validate(self._validation)
        # The last step's damage shows here first.
        self._check_finite(loss, number, rate)
        epoch = Epoch(number, float(rate), train_loss, loss, accuracy)
        self.epochs.append(epoch)
        best = self.best_epoch
        if best is None or loss < best.validation_loss:
            self.best_epoch = epoch
            self.best_weights = {
                name: tensor.detach().cpu().clone()
                for name, tensor in self.get_model().state_dict().items()
            }

    def scheduler_step(self) -> None:
        """Advance the schedule, remembering the rate that was used."""
        if self.scheduler is not None:
            self._last_learning_rate = self._stepped_optimizer.param_groups[0]["lr"]
            self.scheduler.step()

    @staticmethod
    def _check_finite(loss: float, epoch: int, rate: float) -> None:
        if not math.isfinite(loss):
            raise RunError(
                f"training diverged: the loss is {loss} in epoch {epoch}; "
                f"lower --learning_rate (it was {rate:.3g} at last)"
            )

    def _validate(self, dataset: TensorDataset) -> tuple[float, float]:
        """Score a part of the samples in each process and add up."""
        model = self.get_model()
        model.eval()
        batches = TensorBatches(
            dataset,
            _INFERENCE_BATCH_SIZE * self.num_processes,
            device=self.device,
            process_index=self._accelerator.process_index,
            num_processes=self.num_processes,
        )
        sums = torch.zeros(3, device=self.device)
        with torch.no_grad():
            for inputs, labels in batches:
                if len(labels):
                    logits = model(inputs)
                    loss = self.loss_func(logits, labels) * len(labels)
                    right = (logits.argmax(dim=1) == labels).sum()
                    count = torch.full_like(loss, len(labels))
                    sums += torch.stack([loss, right.to(loss.dtype), count]).float()
        loss_sum, correct, count = (
            self.gather(sums).view(-1, 3).double().sum(0).tolist()
        )
        return loss_sum / count, correct / count

    def _create_accelerator(self) -> Accelerator:
        return _accelerator(self._device_name, self._mixed_precision)

    def _prepare_model_optimizer_and_dataloaders(self) -> None:
        """Prepare all but the batches, which know their process and device already."""
        self._accelerator = self._create_accelerator()
        seed_everything(self._seed, self._accelerator.process_index)
        self.model, self.optimizer = self._accelerator.prepare(
            self.model, self.optimizer
        )
        kinds = (
            DistributedType.NO,
            DistributedType.MULTI_CPU,
            DistributedType.MULTI_GPU,
        )
        # What accelerate wraps is then only passed on, at a cost of microseconds that
        # are a third of a small model's step.
        self._is_plain = (
            self._accelerator.scaler is None
            and self._accelerator.distributed_type in kinds
        )
        self._stepped_optimizer = (
            self.optimizer.optimizer if self._is_plain else self.optimizer
        )
        self._parameters = list(self.model.parameters())

    def _update_loss_tracker(self, batch_loss: Tensor, batch_size: int) -> None:
        """Note the loss without reading it: that would wait for the device."""
        self._loss_tracker.update(batch_loss.detach(), batch_size)


class _LossTracker:
    """The base class's loss tracker, with tensors that are read once an epoch."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._losses: list[Tensor] = []
        self.running_count = 0

    def update(self, batch_loss: Tensor, batch_size: int) -> None:
        self._losses.append(batch_loss)
        self.running_count += batch_size

    @property
    def total_loss(self) -> float:
        # All batches are of one size.
        mean = torch.stack(self._losses).float().cpu().double().mean()
        return float(mean) * self.running_count


def _accelerator(device: str, mixed_precision: str) -> Accelerator:
    # accelerate keeps its settings for the whole process; a second run in one process,
    # in a notebook or a test, may want others. The process group has to stay.
    AcceleratorState._reset_state(
        reset_partial_state=not torch.distributed.is_initialized()
    )
    # Unless it is told to stay on the CPU, accelerate leaves processes on machines
    # without a GPU to themselves.
    cpu = device == "cpu" or not torch.accelerator.is_available()
    return Accelerator(cpu=cpu, mixed_precision=mixed_precision)
