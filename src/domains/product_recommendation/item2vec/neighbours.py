"""Find the products whose vectors are nearest to a basket's."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from common.errors import UserError
from domains.product_recommendation.item2vec.vectors import Vectors

_PROPOSED = 3
_PROPOSAL_CUTOFF = 0.5


class Recommender:
    """Recommends what is nearest, by cosine, to the mean of what is liked.

    Args:
        vectors: The products' vectors.
        titles: Titles by product, of those that have one.
    """

    def __init__(self, vectors: Vectors, titles: Mapping[str, str]) -> None:
        self._names = vectors.products
        self._directions = vectors.directions()
        self._numbers = {name: n for n, name in enumerate(vectors.products.tolist())}
        self._titles = titles

    def find(self, text: str) -> str:
        """Find a product by its identifier, or by its title where only one has it.

        Raises:
            UserError: There is none, or it has no vector; the nearest are named.
        """
        if text in self._numbers:
            return text
        wanted = text.casefold()
        named = {name: self._titles.get(name, "").casefold() for name in self._numbers}
        same = [name for name, title in named.items() if title == wanted]
        if len(same) == 1:
            return str(same[0])
        if same:
            listed = ", ".join(same[:_PROPOSED])
            raise UserError(f"{len(same)} products have the title {text!r}: {listed}")
        raise UserError(
            f"no vector for a product {text!r}; the nearest names are "
            f"{', '.join(self._nearest_names(wanted, named))}"
        )

    def shown(self, name: str) -> str:
        """Give a product's identifier, and its title if there is one."""
        title = self._titles.get(name)
        return f"{name}  {title}" if title else name

    def nearest(self, basket: Sequence[str], count: int) -> list[tuple[str, float]]:
        """Give the nearest products to a basket that are not in it, nearest first.

        Args:
            basket: Products that have a vector.
            count: How many.

        Returns:
            Products and cosines.
        """
        numbers = np.asarray([[self._numbers[name] for name in basket]])
        found, scores = self._top([numbers[0]], count)[0]
        return list(zip(self._names[found].tolist(), scores.tolist(), strict=True))

    def for_baskets(
        self, users: Sequence[str], baskets: Sequence[Sequence[str]], count: int
    ) -> tuple[pd.DataFrame, int]:
        """Recommend for many users at once.

        Args:
            users: Their names.
            baskets: What each likes; products without a vector are passed over.
            count: How many products for each.

        Returns:
            A table as RECOMMENDATIONS declares it, without users none of whose products
            has a vector; and how many products were passed over.
        """
        known = [
            np.asarray([self._numbers[p] for p in basket if p in self._numbers], int)
            for basket in baskets
        ]
        passed_over = sum(map(len, baskets)) - sum(map(len, known))
        pairs = [(user, some) for user, some in zip(users, known) if len(some)]
        tops = self._top([some for _, some in pairs], count)
        empty = np.empty(0, int)
        numbers = np.concatenate([empty, *(found for found, _ in tops)])
        products = self._names[numbers]
        table = pd.DataFrame(
            {
                "user": pd.Categorical(
                    [user for (user, _), (f, _) in zip(pairs, tops) for _ in f]
                ),
                "rank": np.concatenate(
                    [empty, *(np.arange(1, len(found) + 1) for found, _ in tops)]
                ),
                "product": pd.Categorical(products),
                "score": np.concatenate(
                    [np.empty(0), *(scores.astype(np.float64) for _, scores in tops)]
                ),
                "title": pd.Categorical([self._titles.get(p) for p in products]),
            }
        )
        return table, passed_over

    def _top(
        self, baskets: Sequence[npt.NDArray[np.int64]], count: int
    ) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        if not baskets:
            return []
        means = np.stack([self._directions[some].mean(axis=0) for some in baskets])
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        scores = (means / np.maximum(lengths, 1e-12)) @ self._directions.T
        for row, some in zip(scores, baskets):
            row[some] = -np.inf
        return [_best(row, count) for row in scores]

    def _nearest_names(self, wanted: str, titles: Mapping[str, str]) -> list[str]:
        """Name the products whose identifier or title is most like a text."""
        spelled: dict[str, str] = {}
        for name, title in titles.items():
            spelled.setdefault(name.casefold(), name)
            if title:
                spelled.setdefault(title, name)
        near = [text for text in spelled if wanted in text][:_PROPOSED]
        near = near or difflib.get_close_matches(
            wanted, spelled, _PROPOSED, _PROPOSAL_CUTOFF
        )
        names = dict.fromkeys(spelled[text] for text in near)
        # Nothing is like it: what is popular shows at least what a name looks like.
        shown = list(names) or list(titles)[:_PROPOSED]
        return [
            f"{name} ({self._titles[name]})" if name in self._titles else name
            for name in shown
        ]


def _best(
    scores: npt.NDArray[np.float32], count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Give the highest scores and where they are, the first of equal ones first."""
    count = min(count, int(np.isfinite(scores).sum()))
    if not count:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    limit = np.partition(scores, -count)[-count]
    above = np.flatnonzero(scores >= limit)
    order = above[np.argsort(-scores[above], kind="stable")][:count]
    return order, scores[order]
