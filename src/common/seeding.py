"""Repeatable randomness."""

from __future__ import annotations

from accelerate.utils import set_seed


def seed_everything(seed: int, process_index: int = 0) -> None:
    """Seed the generators of Python, NumPy and torch on all devices.

    Args:
        seed: The run's seed, from 0.
        process_index: The rank in a distributed run. Each rank gets its own stream, so
            that what is drawn per sample (dropout, augmentation) differs among them.
    """
    # NumPy takes 32 bits.
    set_seed((seed + process_index) % 2**32)
