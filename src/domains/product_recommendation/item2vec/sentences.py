"""Sentences of products: made from ratings, read from their table, kept as numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from common.csv_tables import read_parts
from domains.product_recommendation.item2vec import tables

_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Sentences:
    """What each user liked, in the order of time.

    Attributes:
        users: The users' names, in the order of the table.
        products: The products' names, sorted.
        words: All sentences in a row, as positions in products; [words], int32.
        starts: Where each begins, and where the last ends; [sentences + 1], int64.
    """

    users: npt.NDArray[np.object_]
    products: npt.NDArray[np.object_]
    words: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.users)

    def __iter__(self) -> Iterator[list[str]]:
        """Give the sentences as lists of names, as often as it is asked for."""
        for first in range(0, len(self), _ROWS_AT_ONCE):
            starts = self.starts[first : first + _ROWS_AT_ONCE + 1]
            names = self.products[self.words[starts[0] : starts[-1]]].tolist()
            ends = (starts - starts[0]).tolist()
            for start, end in zip(ends, ends[1:]):
                yield names[start:end]

    def take(self, numbers: npt.NDArray[np.int64]) -> Sentences:
        """Give some of the sentences, by their positions."""
        pieces = [self.words[self.starts[n] : self.starts[n + 1]] for n in numbers]
        lengths = [len(piece) for piece in pieces]
        return Sentences(
            self.users[numbers],
            self.products,
            np.concatenate([np.empty(0, np.int32), *pieces]),
            np.cumsum([0, *lengths], dtype=np.int64),
        )


def split_ratings(
    ratings: pd.DataFrame, min_rating: float, min_liked: int
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Make sentences of liked products, without what is held out to evaluate by.

    Products that a user liked at the same time are in the order of their names.

    Args:
        ratings: As tables.ratings() declares them.
        min_rating: The lowest rating of a liked product.
        min_liked: The last product is held out of users who liked so many, 3 or more.

    Returns:
        Tables as SENTENCES and HELD_OUT declare them, sorted by user; and how many
        ratings were of liked products.
    """
    liked = ratings[ratings["rating"].to_numpy() >= min_rating]
    users = liked["user"].cat.codes.to_numpy()
    products = liked["product"].cat.codes.to_numpy()
    order = np.lexsort((products, liked["time"], users))
    users, products = users[order], products[order]
    firsts = np.flatnonzero(np.diff(users, prepend=-1))
    ends = np.append(firsts[1:], len(users))
    is_held_out = ends - firsts >= min_liked
    last_words = ends - is_held_out
    is_sentence = last_words - firsts >= 2

    user_names = liked["user"].cat.categories
    product_names = liked["product"].cat.categories
    words = product_names.to_numpy(dtype=object)[products].tolist()
    bounds = zip(firsts[is_sentence].tolist(), last_words[is_sentence].tolist())
    sentences = pd.DataFrame(
        {
            "user": pd.Categorical.from_codes(users[firsts[is_sentence]], user_names),
            "products": pd.Categorical(
                [" ".join(words[start:end]) for start, end in bounds]
            ),
        }
    )
    lasts = last_words[is_held_out]
    held_out = pd.DataFrame(
        {
            "user": pd.Categorical.from_codes(users[lasts], user_names),
            "product": pd.Categorical.from_codes(products[lasts], product_names),
        }
    )
    return sentences, held_out, len(liked)


def read_sentences(path: Path, limit: int | None = None) -> Sentences:
    """Read a table of sentences.

    Args:
        path: A CSV as SENTENCES declares it.
        limit: Read the first so many only.

    Returns:
        The sentences.

    Raises:
        UserError: It is no such table.
    """
    numbers: dict[str, int] = {}
    users: list[str] = []
    pieces = [np.empty(0, np.int32)]
    lengths = [0]
    for part in read_parts(path, tables.SENTENCES, _ROWS_AT_ONCE):
        if limit is not None:
            part = part.head(limit - len(users))
        users += part["user"].tolist()
        for sentence in part["products"].tolist():
            words = sentence.split(" ")
            coded = [numbers.setdefault(word, len(numbers)) for word in words]
            pieces.append(np.asarray(coded, np.int32))
            lengths.append(len(coded))
        if len(users) == limit:
            break
    found = np.asarray(list(numbers), dtype=object)
    order = np.argsort(found, kind="stable")
    new_numbers = np.empty(len(order), np.int32)
    new_numbers[order] = np.arange(len(order), dtype=np.int32)
    return Sentences(
        np.asarray(users, dtype=object),
        found[order],
        new_numbers[np.concatenate(pieces)],
        np.cumsum(lengths, dtype=np.int64),
    )
