"""Compare our training loop with the quick start of pytorch-accelerated.

The quick start is the first example of pytorch-accelerated's documentation. Both train
one model (784-128-64-10) with Adam, ours fused, on the same data in batches of one
size, both through pytorch-accelerated's Trainer, in turn in one process:

- the quick start: torchvision's MNIST data set, image by image through ToTensor, and
  the Trainer as it comes (worker processes, a progress bar, each loss read at once);
- ours: tensors batched by index, and common.training's Trainer, as train.py uses them.

Reading the files is left out on both sides. With --data_path it also measures how long
the convolutional network takes to learn MNIST.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_accelerated import Trainer
from torch import nn
from torch.optim import Adam
from torch.utils.data import Subset, TensorDataset
from torchvision import transforms
from torchvision.datasets import MNIST

from benchmarks.machine import machine
from common.command_line import Parser, positive_int, run, say
from common.fitting import FitSettings
from common.progress import ProgressCallback
from common.threads import worthwhile_threads
from common.training import TensorTrainer, predict, select_device
from domains.digit_recognition import options
from domains.digit_recognition.data import load_samples, split_validation
from domains.digit_recognition.fitting import fit
from domains.digit_recognition.mnist import FILES, load_mnist
from domains.digit_recognition.models import build_model, to_inputs

_LEARNING_RATE = 0.001
_IMAGES = 60_000
_GOAL = 0.99


@dataclass(frozen=True)
class Speeds:
    """Training samples a second, and how many times faster ours is."""

    quick_start: float
    ours: float
    ratio: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print.

    Args:
        arguments: The command's arguments; None takes those of the process.
    """
    args = _parser().parse_args(arguments)
    write_line: Callable[[str], None] = _ignore if args.json else say
    result: dict[str, Any] = {"machine": _machine()}
    for name, fact in result["machine"].items():
        write_line(f"{name:<22}{fact}")
    result["loop"] = _compare_loops(args, write_line)
    if args.data_path is not None:
        write_line("\nCNN on MNIST with train.py's defaults, files to test accuracy")
        result["mnist"] = _learn_mnist(args.data_path)
        for name, value in result["mnist"].items():
            write_line(f"{name:<22}{value}")
        if result["mnist"]["test accuracy"] < _GOAL:
            write_line(f"{'':<22}short of the {_GOAL:.0%} that it is measured to reach")
    if args.json:
        say(json.dumps(result, indent=2))


def _compare_loops(
    args: argparse.Namespace, write_line: Callable[[str], None]
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        _provide_idx_files(root / "MNIST" / "raw", args.data_path)
        dataset = MNIST(root, transform=transforms.ToTensor())
        count = min(args.samples, len(dataset))
        ours = TensorDataset(
            to_inputs(dataset.data[:count].numpy().astype(np.float32) / 255),
            dataset.targets[:count],
        )
        write_line(f"\n{count:,} samples, {args.batch_size} a step; samples a second:")
        write_line(f"{'round':<8}{'quick start':>12}{'ours':>12}{'ratio':>9}")
        rounds: list[Speeds] = []
        for number in range(args.rounds + 1):
            seconds = (
                _time_quick_start(Subset(dataset, range(count)), args.batch_size),
                _time_ours(ours, args.batch_size),
            )
            if number:  # the first round warms up
                rounds.append(
                    Speeds(
                        count / seconds[0], count / seconds[1], seconds[0] / seconds[1]
                    )
                )
                write_line(_row(str(number), rounds[-1]))
    median = Speeds(
        *(
            statistics.median(getattr(one, name) for one in rounds)
            for name in ("quick_start", "ours", "ratio")
        )
    )
    write_line(_row("median", median))
    memory = _peak_gpu_memory()
    for name, mebibytes in memory.items():
        write_line(f"{name:<22}{mebibytes:,}")
    return {
        "samples": count,
        "batch_size": args.batch_size,
        "data": "MNIST" if args.data_path else "random bytes",
        "rounds": [asdict(one) for one in rounds],
        "median": asdict(median),
        **memory,
    }


def _time_quick_start(dataset: Subset[Any], batch_size: int) -> float:
    model = build_model("mlp")
    trainer = Trainer(
        model,
        loss_func=nn.CrossEntropyLoss(),
        optimizer=Adam(model.parameters(), lr=_LEARNING_RATE),
    )
    # What it prints is not what is measured; a terminal would slow it down a little.
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        start = time.perf_counter()
        trainer.train(
            train_dataset=dataset, num_epochs=1, per_device_batch_size=batch_size
        )
        return _seconds_since(start)


def _time_ours(dataset: TensorDataset, batch_size: int) -> float:
    model = build_model("mlp")
    trainer = TensorTrainer(
        model,
        nn.CrossEntropyLoss(),
        Adam(model.parameters(), lr=_LEARNING_RATE, fused=True),
        callbacks=[ProgressCallback(_ignore)],
    )
    start = time.perf_counter()
    with worthwhile_threads(model, dataset.tensors[0][:batch_size]):
        trainer.fit(dataset, num_epochs=1, batch_size=batch_size)
    return _seconds_since(start)


def _learn_mnist(data_path: Path) -> dict[str, Any]:
    epochs = options.EPOCHS["mnist"]
    _forget_gpu_memory()
    settings = FitSettings(epochs, options.BATCH_SIZE, options.LEARNING_RATE)
    start = time.perf_counter()
    samples = load_samples("mnist", "train", data_path)
    training, validation = split_validation(samples, settings.seed)
    loaded = _seconds_since(start)
    result = fit("cnn", settings, training, validation, _ignore)
    fitted = _seconds_since(start)
    model = build_model("cnn")
    model.load_state_dict(result.weights)
    test = load_samples("mnist", "test", data_path)
    probabilities = predict(model, to_inputs(test.images), select_device("auto"))
    right = probabilities.argmax(dim=1).numpy() == test.labels
    return {
        "test accuracy": float(right.mean()),
        "seconds": round(_seconds_since(start), 2),
        "epochs": epochs,
        "training samples/s": round(epochs * len(training) / (fitted - loaded)),
        **_peak_gpu_memory(),
    }


def _seconds_since(start: float) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _forget_gpu_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak_gpu_memory() -> dict[str, int]:
    """Give the most GPU memory in use since it was last forgotten, in MiB."""
    if not torch.cuda.is_available():
        return {}
    return {"peak GPU memory MiB": torch.cuda.max_memory_allocated() // 2**20}


def _provide_idx_files(folder: Path, data_path: Path | None) -> None:
    """Put MNIST's training files, or random bytes like them, where torchvision looks.

    torchvision wants all four files to be there, and reads the two that it is asked
    for.
    """
    if data_path is None:
        random = np.random.default_rng(0)
        images = random.integers(0, 256, (_IMAGES, 28, 28), dtype=np.uint8)
        labels = random.integers(0, 10, _IMAGES, dtype=np.uint8)
    else:
        images, labels = load_mnist(data_path, "train")
    folder.mkdir(parents=True)
    for part in FILES.values():
        for name, array in zip(part, (images, labels), strict=True):
            sizes = np.array(array.shape, dtype=">u4").tobytes()
            header = bytes([0, 0, 8, array.ndim]) + sizes
            (folder / name).write_bytes(header + array.tobytes())


def _machine() -> dict[str, Any]:
    facts: dict[str, Any] = {
        **machine(),
        "torch": version("torch"),
        "torch threads": torch.get_num_threads(),
        "pytorch-accelerated": version("pytorch-accelerated"),
        "device": "cpu",
    }
    if torch.cuda.is_available():
        facts["device"] = torch.cuda.get_device_name()
    return facts


def _row(name: str, speeds: Speeds) -> str:
    columns = f"{speeds.quick_start:>12,.0f}{speeds.ours:>12,.0f}"
    return f"{name:<8}{columns}{speeds.ratio:>8.1f}x"


def _ignore(line: str) -> None:
    """Take a line and show it to nobody."""


def _parser() -> Parser:
    parser = Parser(
        "training",
        "Compare our training loop with the quick start of pytorch-accelerated.",
        "./pants run benchmarks:training -- --data_path data/mnist",
    )
    parser.add_argument(
        "--data_path",
        type=Path,
        metavar="FOLDER",
        help="MNIST's idx files; random bytes of the same shape if left out",
    )
    parser.add_argument(
        "--samples",
        type=positive_int,
        default=_IMAGES,
        metavar="N",
        help="samples in an epoch",
    )
    parser.add_argument(
        "--batch_size",
        type=positive_int,
        default=32,
        metavar="N",
        help="samples a step; the quick start's is 32",
    )
    parser.add_argument(
        "--rounds",
        type=positive_int,
        default=3,
        metavar="N",
        help="pairs of measurements, after one that is not counted",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON and nothing else"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run("training", main))
