"""Training on tensors: batches, threads, the Trainer and weights on disk.

One file, because importing torch takes longer than all of these tests.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import TensorDataset

from common.errors import RunError, UserError
from common.progress import ProgressCallback
from common.seeding import seed_everything
from common.tensors import TensorBatches
from common.threads import multiply_adds, worthwhile_threads
from common.training import TensorTrainer, predict, select_device
from common.weights import load_weights, read_description, save_weights


def _flat(batches: TensorBatches) -> list[int]:
    return [int(value) for (batch,) in batches for value in batch]


@settings(deadline=None)
@given(
    samples=st.integers(1, 50),
    batch_size=st.integers(1, 60),
    processes=st.integers(1, 4),
    seed=st.none() | st.integers(0, 2**63 - 1),
    drop_last=st.booleans(),
)
def test_processes_share_each_batch_and_nothing_is_lost(
    samples: int, batch_size: int, processes: int, seed: int | None, drop_last: bool
) -> None:
    def batches(rank: int, of: int) -> list[Tensor]:
        loader = TensorBatches(
            TensorDataset(torch.arange(samples)),
            batch_size,
            seed=seed,
            drop_last=drop_last,
            process_index=rank,
            num_processes=of,
        )
        found = [batch for (batch,) in loader]
        assert len(found) == len(loader)
        return found

    alone = batches(0, 1)
    together = [batches(rank, processes) for rank in range(processes)]
    for number, batch in enumerate(alone):
        shares = [mine[number] for mine in together]
        assert sorted(torch.cat(shares).tolist()) == sorted(batch.tolist())
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    seen = sorted(torch.cat(alone).tolist()) if alone else []
    if drop_last:
        assert len(seen) == samples // batch_size * batch_size
        assert len(set(seen)) == len(seen)
    else:
        assert seen == list(range(samples))
    if seed is None:
        assert torch.equal(
            torch.cat([*alone, torch.empty(0)]).long(), torch.tensor(seen)
        )


def test_each_pass_has_another_order_that_follows_from_the_seed() -> None:
    def passes(seed: int) -> tuple[list[int], list[int]]:
        batches = TensorBatches(TensorDataset(torch.arange(100)), 8, seed=seed)
        return _flat(batches), _flat(batches)

    first, second = passes(1)
    assert first != second
    assert (first, second) == passes(1)
    assert first != passes(2)[0]


def test_inputs_and_labels_stay_together() -> None:
    numbers = torch.arange(100)
    batches = TensorBatches(TensorDataset(numbers, numbers * 2), 7, seed=3)
    for inputs, labels in batches:
        assert torch.equal(inputs * 2, labels)


def test_seeding_repeats_and_tells_processes_apart() -> None:
    def draw(seed: int, process: int = 0) -> tuple[float, float]:
        seed_everything(seed, process)
        return float(torch.rand(())), float(np.random.random())

    assert draw(5) == draw(5)
    assert len({draw(5), draw(6), draw(5, 7), draw(2**63 - 1)}) == 4


def test_multiply_adds_of_known_layers() -> None:
    batch = torch.zeros(2, 3, 8, 8)
    convolution = nn.Conv2d(3, 4, 3, padding=1)
    model = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))
    expected = 2 * (8 * 8 * 4 * 3 * 3 * 3 + 256 * 10)
    assert multiply_adds(model, batch) == expected
    assert model.training


def test_small_work_takes_one_thread_and_large_work_all() -> None:
    before = torch.get_num_threads()
    small, large = nn.Linear(8, 8), nn.Linear(4096, 4096)
    with worthwhile_threads(small, torch.zeros(4, 8)) as threads:
        assert threads == torch.get_num_threads() == 1
    with worthwhile_threads(large, torch.zeros(64, 4096)) as threads:
        assert threads == torch.get_num_threads() == min(before, 64)
    with pytest.raises(KeyError), worthwhile_threads(small, torch.zeros(4, 8)):
        raise KeyError
    assert torch.get_num_threads() == before


@pytest.fixture(scope="module")
def blobs() -> TensorDataset:
    """Make three clouds of points that a linear model can tell apart."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    centres = torch.tensor([[3.0, 0.0], [-3.0, 3.0], [-3.0, -3.0]])
    return TensorDataset(
        centres[labels] + torch.randn(300, 2, generator=generator), labels
    )


def _trainer(
    blobs: TensorDataset, learning_rate: float = 0.05, **options: object
) -> TensorTrainer:
    seed_everything(0)
    model = nn.Linear(2, 3)
    return TensorTrainer(
        model,
        nn.CrossEntropyLoss(),
        Adam(model.parameters(), lr=learning_rate),
        validation=blobs,
        device="cpu",
        **options,  # type: ignore[arg-type]
    )


def test_training_learns_and_keeps_the_best_epoch(blobs: TensorDataset) -> None:
    lines: list[str] = []
    trainer = _trainer(blobs, callbacks=[ProgressCallback(lines.append)])
    trainer.fit(blobs, num_epochs=12, batch_size=32)
    assert [epoch.number for epoch in trainer.epochs] == list(range(1, 13))
    assert trainer.epochs[-1].validation_accuracy > 0.97
    assert trainer.epochs[-1].train_loss < trainer.epochs[0].train_loss / 2
    best = trainer.best_epoch
    assert best == min(trainer.epochs, key=lambda epoch: epoch.validation_loss)
    assert [line[:12] for line in lines] == [f"epoch {n:>2}/12 " for n in range(1, 13)]
    assert f"accuracy {trainer.epochs[-1].validation_accuracy:7.2%}" in lines[-1]

    # The weights are those that the best epoch's scores were taken with.
    model = nn.Linear(2, 3)
    model.load_state_dict(trainer.best_weights)
    inputs, labels = blobs.tensors
    probabilities = predict(model, inputs, torch.device("cpu"))
    assert probabilities.shape == (300, 3)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(300).double())
    right = (probabilities.argmax(dim=1) == labels).double().mean()
    assert float(right) == pytest.approx(best.validation_accuracy)
    loss = -probabilities[torch.arange(300), labels].log().mean()
    assert float(loss) == pytest.approx(best.validation_loss, rel=1e-5)


def test_an_epoch_equals_a_loop_written_by_hand(blobs: TensorDataset) -> None:
    trainer = _trainer(blobs, seed=7)
    by_hand = nn.Linear(2, 3)
    by_hand.load_state_dict(trainer.model.state_dict())
    trainer.fit(blobs, num_epochs=2, batch_size=40)

    optimizer = Adam(by_hand.parameters(), lr=0.05)
    losses = []
    batches = TensorBatches(blobs, 40, seed=7, drop_last=True)
    for _ in range(2):
        for inputs, labels in batches:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(by_hand(inputs), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(float(loss.detach()))
    for name, tensor in by_hand.state_dict().items():
        assert torch.equal(trainer.get_model().state_dict()[name], tensor)
    assert trainer.epochs[0].train_loss == pytest.approx(np.mean(losses[:7]))
    assert trainer.epochs[1].train_loss == pytest.approx(np.mean(losses[7:]))


def test_the_schedule_moves_once_a_step(blobs: TensorDataset) -> None:
    trainer = _trainer(blobs)
    trainer.fit(
        blobs,
        num_epochs=3,
        batch_size=100,
        create_scheduler=lambda optimizer: LambdaLR(
            optimizer, lambda step: 1 - step / 10
        ),
    )
    rates = [epoch.learning_rate for epoch in trainer.epochs]
    assert rates == pytest.approx([0.05 * (1 - step / 10) for step in (2, 5, 8)])


def test_mixed_precision_trains_and_can_change_within_a_process(
    blobs: TensorDataset,
) -> None:
    for precision in ("bf16", "no", "bf16"):
        trainer = _trainer(blobs, mixed_precision=precision)
        trainer.fit(blobs, num_epochs=6, batch_size=32)
        assert trainer.epochs[-1].validation_accuracy > 0.95
        assert {tensor.dtype for tensor in trainer.best_weights.values()} == {
            torch.float32
        }


@pytest.mark.parametrize("batch_size", [301, 10_000])
def test_a_batch_larger_than_the_data_is_refused(
    batch_size: int, blobs: TensorDataset
) -> None:
    trainer = _trainer(blobs)
    with pytest.raises(UserError, match=f"--batch_size {batch_size} is larger than"):
        trainer.fit(blobs, num_epochs=1, batch_size=batch_size)


def test_a_diverged_run_says_so(blobs: TensorDataset) -> None:
    seed_everything(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 3))
    trainer = TensorTrainer(
        model, nn.CrossEntropyLoss(), SGD(model.parameters(), lr=1e30), device="cpu"
    )
    with pytest.raises(RunError, match=r"diverged: .* in epoch 1; lower --learning_r"):
        trainer.fit(blobs, num_epochs=3, batch_size=32)


def test_devices_that_are_not_there_are_refused() -> None:
    assert select_device("cpu").type == "cpu"
    with pytest.raises(UserError, match="fp16 needs a GPU"):
        select_device("cpu", "fp16")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="--device cuda: torch finds no CUDA"):
            select_device("cuda")


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[Path]:
    save_weights(tmp_path, nn.Linear(2, 3).state_dict(), {"layers": 1})
    yield tmp_path


def test_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    model, other = nn.Conv2d(3, 4, 5), nn.Conv2d(3, 4, 5)
    model.to(memory_format=torch.channels_last)
    save_weights(tmp_path, model.state_dict(), {"layers": 1})
    load_weights(tmp_path, other)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    assert read_description(tmp_path) == {"layers": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.json",
        "model.safetensors",
    ]
    # Whoever has no torch can read them: a JSON header before the numbers.
    content = io.BytesIO((tmp_path / "model.safetensors").read_bytes())
    header = json.loads(content.read(int.from_bytes(content.read(8), "little")))
    assert header["weight"]["shape"] == [4, 3, 5, 5]


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (nn.Linear(2, 4), "tensor bias has the shape 3, and the model needs 4"),
        (nn.Linear(5, 3), "tensor weight has the shape 3 x 2, and the model needs 3 x"),
        (nn.Linear(2, 3, bias=False), "holds the tensor bias, which the model lacks"),
        (nn.Bilinear(2, 2, 3), "tensor weight has the shape 3 x 2"),
        (nn.Sequential(nn.Linear(2, 3)), "lacks the tensor 0.bias"),
    ],
)
def test_weights_of_another_model_are_refused(
    model: nn.Module, problem: str, saved: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UserError) as error:
        load_weights(saved, model)
    assert str(error.value).startswith(str(saved / "model.safetensors"))
    assert problem in str(error.value)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


@settings(deadline=None)
@given(data=st.data())
def test_cut_off_weights_are_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "cut"
    folder.mkdir(exist_ok=True)
    save_weights(folder, nn.Linear(2, 3).state_dict(), {})
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        load_weights(folder, nn.Linear(2, 3))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model folder .*nowhere does not exist"):
        read_description(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"model\.json does not exist"):
        read_description(tmp_path)
    with pytest.raises(UserError, match=r"model\.safetensors does not exist"):
        load_weights(tmp_path, nn.Linear(2, 3))
