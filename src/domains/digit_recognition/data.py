"""The data sets, all as images like MNIST's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.errors import UserError
from domains.digit_recognition.images import fit_to_frame
from domains.digit_recognition.mnist import load_mnist, read_part

CLASSES = 10
# The test samples are the same in every run, whatever its seed: a model is never scored
# on samples that another seed has trained it on.
_DIGITS_TEST_SHARE = 0.2
_DIGITS_SPLIT_SEED = 0
_VALIDATION_SHARE = 0.1
_VALIDATION_LIMIT = 5000


@dataclass(frozen=True)
class Samples:
    """Images with their labels.

    Attributes:
        images: [samples, 28, 28], 0 (paper) to 1 (ink).
        labels: [samples], 0 to 9.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Samples:
        """Select samples by index."""
        return Samples(self.images[rows], self.labels[rows])


def load_samples(
    dataset: str, part: str, data_path: Path, limit: int | None = None
) -> Samples:
    """Read one part of a data set.

    Args:
        dataset: "digits", scikit-learn's handwritten digits (1,797 images of 8 x 8
            pixels from the UCI repository, "Optical Recognition of Handwritten
            Digits"), of which a fixed, stratified fifth is for testing; "mnist"; or
            "prepared", what prepare has left of either.
        part: "train" or "test".
        data_path: Where MNIST is, or is downloaded to, or what prepare has left.
        limit: Keep the first so many samples.

    Returns:
        The samples.

    Raises:
        UserError: The files are not there, or damaged.
    """
    if dataset == "digits":
        samples = _digits(part)
    else:
        read = load_mnist if dataset == "mnist" else read_part
        samples = _scaled(*read(data_path, part))
    return samples.take(slice(limit))


def split_validation(samples: Samples, seed: int) -> tuple[Samples, Samples]:
    """Set a tenth of the training samples aside for validation, 5,000 at most.

    Args:
        samples: All training samples.
        seed: Decides which.

    Returns:
        Training and validation samples.

    Raises:
        UserError: There are too few to have both.
    """
    if len(samples) < 2:
        raise UserError("--limit 1 leaves no sample for validation; use 2 or more")
    count = min(_VALIDATION_LIMIT, max(1, round(len(samples) * _VALIDATION_SHARE)))
    order = np.random.default_rng(seed).permutation(len(samples))
    return samples.take(np.sort(order[count:])), samples.take(np.sort(order[:count]))


def _digits(part: str) -> Samples:
    # Here, and not for those who only read MNIST: it takes seconds.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bundle = load_digits()
    train, test = train_test_split(
        np.arange(len(bundle.target)),
        test_size=_DIGITS_TEST_SHARE,
        random_state=_DIGITS_SPLIT_SEED,
        stratify=bundle.target,
    )
    rows = train if part == "train" else test
    images = bundle.images.astype(np.float32)
    return Samples(
        np.stack([fit_to_frame(images[row]) for row in rows]),
        bundle.target[rows].astype(np.int64),
    )


def _scaled(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Samples:
    return Samples(images.astype(np.float32) / np.float32(255), labels.astype(np.int64))
