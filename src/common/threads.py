"""How many CPU threads a model is worth.

A batch of a small model is too little work to share: waking threads for each of its
operations takes longer than the operation, many times longer when other programs use
the cores. A batch of a convolutional network is worth every core.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

# From here on a second thread pays; measured with MLPs and CNNs on two cores.
_MULTIPLY_ADDS_PER_THREAD = 16_000_000


@contextmanager
def worthwhile_threads(model: nn.Module, batch: Tensor) -> Iterator[int]:
    """Limit torch's CPU threads to what one batch keeps busy.

    The limit depends on the model and the batch's shape alone, not on measured time, so
    that results stay repeatable. The threads in use before (OMP_NUM_THREADS) are never
    exceeded, and are restored at the end.

    Args:
        model: The model, on the CPU.
        batch: A batch as the model takes it.

    Yields:
        The number of threads.
    """
    before = torch.get_num_threads()
    threads = max(
        1, min(before, multiply_adds(model, batch) // _MULTIPLY_ADDS_PER_THREAD)
    )
    torch.set_num_threads(threads)
    try:
        yield threads
    finally:
        torch.set_num_threads(before)


def multiply_adds(model: nn.Module, batch: Tensor) -> int:
    """Count the multiplications of a forward pass in linear and convolutional layers.

    Args:
        model: The model; it runs once on the batch, without gradients, in evaluation
            mode.
        batch: A batch as the model takes it.

    Returns:
        Multiply-adds for the whole batch.
    """
    total = 0

    def count(layer: nn.Module, inputs: object, output: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total += output.numel() * weight[0].numel()

    layers = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    hooks = [
        layer.register_forward_hook(count)
        for layer in model.modules()
        if isinstance(layer, layers)
    ]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(batch)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return total
