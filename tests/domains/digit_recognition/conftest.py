"""Where and with how much of the machine the tests of digit recognition run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Leave the other cores to the tests that run beside these."""
    # Tests that do not ask for this need not wait for torch.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned nothing, which suffices: it says the same everywhere."""
    from domains.digit_recognition.models import build_model
    from domains.digit_recognition.saved_models import save_model

    folder = tmp_path_factory.mktemp("saved") / "model"
    folder.mkdir()
    save_model(folder, "mlp", "digits", build_model("mlp").state_dict())
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of twelve digits in a folder."""
    from domains.digit_recognition.data import load_samples

    folder = tmp_path_factory.mktemp("digits")
    images = load_samples("digits", "test", folder, 12).images
    for number, image in enumerate(images):
        grey = Image.fromarray((255 - image * 255).astype(np.uint8))
        grey.resize((60 + number, 60 + number)).save(folder / f"{number:02}.png")
    return folder
