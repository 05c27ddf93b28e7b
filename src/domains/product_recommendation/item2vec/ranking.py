"""Where methods rank the product that was held out, and how well they do by it.

Three methods give each user a score for each product: the cosine to the mean of the
vectors of what the user liked; how many users liked it; and how many users liked it
together with each of what the user liked. What the user liked already is not ranked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from common.work_progress import shown_progress
from domains.product_recommendation.item2vec.sentences import Sentences
from domains.product_recommendation.item2vec.vectors import Vectors

METHODS = ("item2vec", "co-occurrence", "popularity")

# The rank of what a method does not rank at all.
UNRANKED = np.iinfo(np.int64).max

# 64 MiB of scores.
_SCORES_AT_ONCE = 1 << 24
_CONFIDENCE_QUANTILES = (0.025, 0.975)
_NORMAL_QUANTILE = 1.959963984540054
_RESAMPLES_AT_ONCE = 50

_Scorer = Callable[["csr_array"], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Scores:
    """How well a method does.

    Attributes:
        hit_rate: The share of users whose held-out product is among the first k, by k,
            with Wilson's interval.
        mrr_at: The mean of 1 / rank, 0 behind the first k; by k, with the bootstrap's
            percentile interval over users.
        mrr: The mean of 1 / rank, likewise.
    """

    hit_rate: dict[int, Estimate]
    mrr_at: dict[int, Estimate]
    mrr: Estimate


def baskets(sentences: Sentences) -> csr_array:
    """Give who liked what as a matrix of ones; [sentences, products], float32."""
    ones = np.ones(len(sentences.words), np.float32)
    shape = (len(sentences), len(sentences.products))
    matrix = csr_array((ones, sentences.words, sentences.starts), shape=shape)
    matrix.sort_indices()
    return matrix


def held_out_ranks(
    liked: csr_array,
    products: npt.NDArray[np.object_],
    rows: npt.NDArray[np.int64],
    held_out: npt.NDArray[np.int64],
    vectors: Vectors,
) -> dict[str, npt.NDArray[np.int64]]:
    """Rank the held-out product of each user by each method.

    Equal scores are ranked by popularity, and then by name.

    Args:
        liked: Who liked what in training; [sentences, products].
        products: The products' names, sorted.
        rows: The users to rank for, as rows of liked; [users].
        held_out: Their held-out products, as positions in products; -1 for one that no
            sentence has.
        vectors: What was learned.

    Returns:
        The ranks by method, [users], from 1; UNRANKED where a method does not know the
        product or nothing of what the user liked.
    """
    popularity = np.asarray(liked.sum(axis=0)).astype(np.float32)
    # From the most popular: the position decides among equal scores.
    order = np.argsort(-popularity, kind="stable")
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    targets = np.where(held_out >= 0, places[held_out], -1)
    by_place = csr_array(liked[:, order])

    directions, has_vector = _aligned(vectors, products[order])
    together = _co_occurrence(by_place, rows)
    scorers: dict[str, tuple[_Scorer, npt.NDArray[np.bool_]]] = {
        "item2vec": (lambda some: (some @ directions) @ directions.T, has_vector),
        "co-occurrence": (
            lambda some: (some @ together).toarray(),
            np.ones(len(order), np.bool_),
        ),
        "popularity": (
            lambda some: np.tile(popularity[order], (some.shape[0], 1)),
            np.ones(len(order), np.bool_),
        ),
    }
    ranks = {name: np.full(len(rows), UNRANKED) for name in METHODS}
    with shown_progress("ranking", len(rows), "users") as advance:
        for part in _parts(len(rows), len(order)):
            some = by_place[rows[part]]
            for name, (score, is_ranked) in scorers.items():
                ranks[name][part] = _ranks(score(some), some, targets[part], is_ranked)
            advance(some.shape[0])
    # Without a vector for anything that the user liked there is nothing to go by.
    knows = (by_place[rows] @ has_vector.astype(np.float32)) > 0
    ranks["item2vec"][~knows] = UNRANKED
    return ranks


def score_ranks(
    ranks: dict[str, npt.NDArray[np.int64]],
    cutoffs: Sequence[int],
    resamples: int,
    seed: int,
) -> tuple[dict[str, Scores], dict[str, Estimate]]:
    """Score methods by their ranks.

    Args:
        ranks: The ranks of the same users by each method, from 1.
        cutoffs: For how many of the first products.
        resamples: How often the bootstrap draws users.
        seed: Decides which.

    Returns:
        The scores by method; and by how much the mean of 1 / rank of the first method
        is above that of each other, over the same draws of users.
    """
    reciprocal = {
        name: np.where(found == UNRANKED, 0, 1 / found) for name, found in ranks.items()
    }
    columns = [
        np.where(ranks[name] <= k, reciprocal[name], 0)
        for name in ranks
        for k in (*cutoffs, UNRANKED)
    ]
    values = np.stack(columns, axis=1)
    means = values.mean(axis=0)
    drawn = _bootstrap(values, resamples, seed)
    per_method = len(cutoffs) + 1
    scores: dict[str, Scores] = {}
    differences: dict[str, Estimate] = {}
    for number, name in enumerate(ranks):
        first = number * per_method
        estimates = [
            _percentiles(means[column], drawn[:, column])
            for column in range(first, first + per_method)
        ]
        hits = {k: int((ranks[name] <= k).sum()) for k in cutoffs}
        scores[name] = Scores(
            hit_rate={k: wilson(hit, len(ranks[name])) for k, hit in hits.items()},
            mrr_at=dict(zip(cutoffs, estimates)),
            mrr=estimates[-1],
        )
        if number:
            best, other = per_method - 1, first + per_method - 1
            differences[name] = _percentiles(
                means[best] - means[other], drawn[:, best] - drawn[:, other]
            )
    return scores, differences


def wilson(hits: int, count: int) -> Estimate:
    """Give a share with its 95 % score interval.

    The formula is E. B. Wilson's ("Probable inference, the law of succession, and
    statistical inference", 1927); it holds for shares near 0 as well.

    Args:
        hits: How many of them.
        count: How many there are, one at least.
    """
    share, square = hits / count, _NORMAL_QUANTILE**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = (
        _NORMAL_QUANTILE
        * np.sqrt(share * (1 - share) / count + square / (4 * count**2))
        / (1 + square / count)
    )
    # Rounding would leave a bound just beyond a share of 0 or 1.
    low, high = min(middle - half, share), max(middle + half, share)
    return Estimate(share, float(max(low, 0)), float(min(high, 1)))


def _aligned(
    vectors: Vectors, names: npt.NDArray[np.object_]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Give vectors at length one, in the order of names; zeros where there is none."""
    numbers = {name: number for number, name in enumerate(vectors.products.tolist())}
    found = np.asarray([numbers.get(name, -1) for name in names.tolist()])
    directions = vectors.directions()[found]
    directions[found < 0] = 0
    return directions, found >= 0


def _co_occurrence(liked: csr_array, rows: npt.NDArray[np.int64]) -> csr_array:
    """Count in how many sentences two products are together.

    Only for products that the given users liked; the other rows are empty.
    """
    asked = np.zeros(liked.shape[1], np.float32)
    asked[liked[rows].indices] = 1
    return csr_array((liked * asked).T @ liked)


def _parts(users: int, products: int) -> Iterator[slice]:
    size = max(1, _SCORES_AT_ONCE // max(products, 1))
    for start in range(0, users, size):
        yield slice(start, min(start + size, users))


def _ranks(
    scores: npt.NDArray[np.float32],
    liked: csr_array,
    targets: npt.NDArray[np.int64],
    is_ranked: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int64]:
    """Rank each row's target among what is ranked and not liked already."""
    rows = np.arange(len(targets))
    scores[:, ~is_ranked] = -np.inf
    scores[np.repeat(rows, np.diff(liked.indptr)), liked.indices] = -np.inf
    mine = scores[rows, targets][:, np.newaxis]
    is_before = np.arange(scores.shape[1]) < targets[:, np.newaxis]
    better = (scores > mine).sum(axis=1) + ((scores == mine) & is_before).sum(axis=1)
    is_known = (targets >= 0) & is_ranked[targets]
    return np.where(is_known, better + 1, UNRANKED)


def _bootstrap(
    values: npt.NDArray[np.float64], resamples: int, seed: int
) -> npt.NDArray[np.float64]:
    """Give the columns' means over users that are drawn with replacement.

    Returns:
        [resamples, columns].
    """
    random = np.random.default_rng(seed)
    count = len(values)
    means = []
    for start in range(0, resamples, _RESAMPLES_AT_ONCE):
        size = (min(_RESAMPLES_AT_ONCE, resamples - start), count)
        drawn = random.integers(count, size=size)
        times = np.stack([np.bincount(row, minlength=count) for row in drawn])
        means.append(times @ values / count)
    return np.concatenate(means)


def _percentiles(value: float, drawn: npt.NDArray[np.float64]) -> Estimate:
    low, high = np.quantile(drawn, _CONFIDENCE_QUANTILES)
    return Estimate(float(value), float(low), float(high))
