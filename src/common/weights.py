"""Model weights in safetensors, with a JSON description beside them.

Neither file can run code when it is read, unlike a pickle.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from common.errors import UserError
from common.json_files import read_json, write_json

WEIGHTS_FILE = "model.safetensors"
DESCRIPTION_FILE = "model.json"


def save_weights(
    folder: Path, weights: Mapping[str, Tensor], description: Mapping[str, Any]
) -> None:
    """Write model.safetensors and model.json.

    Args:
        folder: An existing folder.
        weights: A module's state dict.
        description: What it takes to build the module, as JSON values.
    """
    tensors = {
        name: weights[name].detach().cpu().contiguous() for name in sorted(weights)
    }
    save_file(tensors, folder / WEIGHTS_FILE)
    write_json(folder / DESCRIPTION_FILE, description)


def read_description(folder: Path) -> dict[str, Any]:
    """Read model.json.

    Raises:
        UserError: The folder or the file is missing, or it holds no JSON object.
    """
    if not folder.is_dir():
        raise UserError(f"model folder {folder} does not exist")
    return read_json(folder / DESCRIPTION_FILE)


def load_weights(folder: Path, model: nn.Module) -> None:
    """Read model.safetensors into a module, on the CPU or wherever the module is.

    Args:
        folder: The folder that :func:`save_weights` wrote to.
        model: A module of the same structure; it is changed.

    Raises:
        UserError: The file is missing or damaged, or a tensor is missing, unknown or of
            another shape.
    """
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise UserError(f"{path} does not exist")
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    expected = model.state_dict()
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise UserError(f"{path} lacks the tensor {name}")
        if name not in expected:
            raise UserError(f"{path} holds the tensor {name}, which the model lacks")
        if found[name].shape != expected[name].shape:
            raise UserError(
                f"{path}: tensor {name} has the shape {_shape(found[name])}, "
                f"and the model needs {_shape(expected[name])}"
            )
    model.load_state_dict(found)


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "()"
