"""Show how far a training run is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from pytorch_accelerated.callbacks import TrainerCallback
from tqdm import tqdm

from common.training import Epoch, TensorTrainer


class ProgressCallback(TrainerCallback):  # type: ignore[misc]
    """A line for each finished epoch, and a bar for the running one.

    The bar is drawn on a terminal only; a log gets the lines. In a distributed run only
    the main process shows anything.

    Args:
        write_line: Takes each line, without its end.
    """

    def __init__(self, write_line: Callable[[str], None]) -> None:
        self._write_line = write_line
        self._bar: tqdm[Any] | None = None

    def on_train_epoch_start(self, trainer: TensorTrainer, **kwargs: Any) -> None:
        """Open the epoch's bar."""
        self._bar = tqdm(
            total=len(trainer._train_dataloader),
            desc=_position(trainer),
            unit=" batches",
            leave=False,
            dynamic_ncols=True,
            disable=not (trainer.is_main_process and sys.stderr.isatty()),
        )

    def on_train_step_end(self, trainer: TensorTrainer, **kwargs: Any) -> None:
        """Advance the bar; tqdm itself limits how often it draws."""
        if self._bar is not None:
            self._bar.update()

    def on_train_epoch_end(self, trainer: TensorTrainer, **kwargs: Any) -> None:
        """Remove the bar; the epoch's line takes its place."""
        if self._bar is not None:
            self._bar.close()

    def on_training_run_epoch_end(self, trainer: TensorTrainer, **kwargs: Any) -> None:
        """Write the epoch's line."""
        if trainer.is_main_process and trainer.epochs:
            epoch = trainer.epochs[-1]
            self._write_line(f"{_position(trainer)}  {_scores(epoch)}")


def _position(trainer: TensorTrainer) -> str:
    total = trainer.run_config.num_epochs
    return f"epoch {trainer.run_history.current_epoch:>{len(str(total))}}/{total}"


def _scores(epoch: Epoch) -> str:
    return (
        f"loss {epoch.train_loss:.4f}   validation: loss {epoch.validation_loss:.4f}, "
        f"accuracy {epoch.validation_accuracy:7.2%}"
    )
