"""Products' vectors on disk: an array, the products in its order, and how it was made.

None of the files can run code when it is read, unlike a pickle.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from common.csv_tables import read_table, write_table
from common.errors import UserError
from common.json_files import read_json, write_json
from domains.product_recommendation.item2vec import tables

if TYPE_CHECKING:
    from domains.product_recommendation.item2vec.fitting import Settings

_FORMAT = "item2vec/1"
_VALUES, _VOCABULARY, _DESCRIPTION = "vectors.npy", "products.csv", "model.json"


@dataclass(frozen=True)
class Vectors:
    """A vector for each product.

    Attributes:
        products: The products' names, from the most frequent; [products].
        counts: In how many sentences each is; [products], int64.
        values: [products, dimensions], float32.
    """

    products: npt.NDArray[np.object_]
    counts: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]

    def directions(self) -> npt.NDArray[np.float32]:
        """Give the vectors at length one, so that products of them are cosines."""
        lengths = np.linalg.norm(self.values, axis=1, keepdims=True)
        directions: npt.NDArray[np.float32] = self.values / np.maximum(lengths, 1e-12)
        return directions


def save_vectors(folder: Path, vectors: Vectors, settings: Settings) -> None:
    """Write vectors.npy, products.csv and model.json to a new folder."""
    folder.mkdir()
    np.save(folder / _VALUES, vectors.values, allow_pickle=False)
    vocabulary = pd.DataFrame(
        {"product": pd.Categorical(vectors.products), "count": vectors.counts}
    )
    write_table(folder / _VOCABULARY, vocabulary, tables.VOCABULARY)
    write_json(folder / _DESCRIPTION, {"format": _FORMAT, **asdict(settings)})


def load_vectors(folder: Path) -> Vectors:
    """Read what :func:`save_vectors` wrote.

    Raises:
        UserError: A file is missing or damaged, or they do not fit together.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder of vectors; train makes one")
    found = read_json(folder / _DESCRIPTION).get("format")
    if found != _FORMAT:
        where = folder / _DESCRIPTION
        raise UserError(f"{where} has the format {found!r}, expected {_FORMAT!r}")
    vocabulary = read_table(folder / _VOCABULARY, tables.VOCABULARY)
    path = folder / _VALUES
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    if not isinstance(values, np.ndarray) or values.dtype != np.float32:
        raise UserError(f"{path} holds no numbers of 32 bits")
    if values.ndim != 2 or len(values) != len(vocabulary):
        shape = " x ".join(map(str, values.shape))
        raise UserError(
            f"{path} holds {shape} numbers for {len(vocabulary):,} products"
        )
    return Vectors(
        vocabulary["product"].to_numpy(dtype=object),
        vocabulary["count"].to_numpy(),
        values,
    )
