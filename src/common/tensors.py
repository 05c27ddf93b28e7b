"""Data sets that are held as tensors and batched by index.

Reading a batch is one indexing operation a tensor, not one Python call a sample, and no
worker processes pass samples around.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import TensorDataset


class TensorBatches:
    """The batches of a data set, or one process's part of each.

    A batch size counts the samples of all processes together: rank r of n takes every
    n-th sample of a batch, from the r-th. So the batches, and up to rounding the
    gradients, are the same however many processes share the work.

    Args:
        dataset: The tensors; the first dimension of each counts samples.
        batch_size: Samples in a batch over all processes.
        device: Where batches are wanted. The tensors are moved there as a whole, once.
        seed: Shuffle, differently in each pass, in an order that follows from the seed
            and is the same in every process. None keeps the order of the data set.
        drop_last: Leave out the last batch of a pass if it is smaller than the others.
        process_index: This process's rank.
        num_processes: How many processes share each batch.
    """

    def __init__(
        self,
        dataset: TensorDataset,
        batch_size: int,
        *,
        device: torch.device | None = None,
        seed: int | None = None,
        drop_last: bool = False,
        process_index: int = 0,
        num_processes: int = 1,
    ) -> None:
        self._samples = len(dataset)
        self._tensors = tuple(tensor.to(device) for tensor in dataset.tensors)
        self._batch_size = batch_size
        self._drop_last = drop_last
        self._process_index = process_index
        self._num_processes = num_processes
        self._generator: torch.Generator | None = None
        if seed is not None:
            self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        """Count the batches of one pass."""
        whole, rest = divmod(self._samples, self._batch_size)
        return whole + (rest > 0 and not self._drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Pass over the data set once."""
        first, step = self._process_index, self._num_processes
        if self._generator is None:
            for batch in range(len(self)):
                start = batch * self._batch_size
                end = min(start + self._batch_size, self._samples)
                yield tuple(
                    tensor[start + first : end : step] for tensor in self._tensors
                )
        else:
            # On the CPU in any case: the order must not depend on the device.
            order = torch.randperm(self._samples, generator=self._generator)
            batches = torch.split(order.to(self._tensors[0].device), self._batch_size)
            for rows in batches[: len(self)]:
                part = rows[first::step] if step > 1 else rows
                yield tuple(tensor.index_select(0, part) for tensor in self._tensors)
