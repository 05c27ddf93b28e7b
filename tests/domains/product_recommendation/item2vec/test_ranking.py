"""Ranks and scores, beside slow and simple references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from domains.product_recommendation.item2vec.ranking import (
    METHODS,
    UNRANKED,
    baskets,
    held_out_ranks,
    score_ranks,
    wilson,
)
from domains.product_recommendation.item2vec.sentences import Sentences
from domains.product_recommendation.item2vec.vectors import Vectors

_PRODUCTS = 7
_BASKETS = st.lists(
    st.sets(st.integers(0, _PRODUCTS - 1), min_size=2, max_size=5),
    min_size=1,
    max_size=8,
)


def _sentences(found: list[set[int]]) -> Sentences:
    words = [np.asarray(sorted(basket), np.int32) for basket in found]
    return Sentences(
        np.asarray([f"u{number}" for number in range(len(found))], dtype=object),
        np.asarray([f"p{number}" for number in range(_PRODUCTS)], dtype=object),
        np.concatenate(words),
        np.cumsum([0, *map(len, words)], dtype=np.int64),
    )


@given(found=_BASKETS, seed=st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_ranks_are_those_of_sorting_all_products(
    found: list[set[int]], seed: int
) -> None:
    random = np.random.default_rng(seed)
    known = random.permutation(_PRODUCTS)[:5]
    values = random.normal(size=(5, 3)).astype(np.float32)
    vectors = Vectors(
        np.asarray([f"p{n}" for n in known], dtype=object), np.ones(5, np.int64), values
    )
    targets = np.asarray(
        [random.choice([-1, *(set(range(_PRODUCTS)) - basket)]) for basket in found]
    )
    sentences = _sentences(found)
    rows = np.arange(len(found))
    ranks = held_out_ranks(
        baskets(sentences), sentences.products, rows, targets, vectors
    )

    popularity = [sum(p in basket for basket in found) for p in range(_PRODUCTS)]
    units = {int(p): v / np.linalg.norm(v) for p, v in zip(known, values)}
    for row, (basket, target) in enumerate(zip(found, targets.tolist())):
        mine = [units[p] for p in basket if p in units]
        scores: dict[str, dict[int, float]] = {
            "popularity": dict(enumerate(popularity)),
            "co-occurrence": {
                p: sum(len(other & basket) for other in found if p in other)
                for p in range(_PRODUCTS)
            },
            "item2vec": {
                p: float(np.sum(mine, axis=0) @ unit) if mine else 0.0
                for p, unit in units.items()
            },
        }
        for method in METHODS:
            candidates = [p for p in scores[method] if p not in basket]
            candidates.sort(key=lambda p: (-scores[method][p], -popularity[p], p))
            knows = target in candidates and (method != "item2vec" or bool(mine))
            expected = candidates.index(target) + 1 if knows else UNRANKED
            assert ranks[method][row] == expected


def test_scores_are_means_over_users() -> None:
    ranks = {
        "item2vec": np.asarray([1, 2, 20, UNRANKED]),
        "popularity": np.asarray([4, UNRANKED, UNRANKED, UNRANKED]),
    }
    scores, ahead = score_ranks(ranks, (1, 10), 200, seed=0)
    assert scores["item2vec"].hit_rate[1].value == 0.25
    assert scores["item2vec"].hit_rate[10].value == 0.5
    assert scores["item2vec"].mrr_at[10].value == pytest.approx(1.5 / 4)
    assert scores["item2vec"].mrr.value == pytest.approx(1.55 / 4)
    assert scores["popularity"].mrr.value == pytest.approx(0.25 / 4)
    assert ahead["popularity"].value == pytest.approx(1.3 / 4)
    assert score_ranks(ranks, (1, 10), 200, seed=0) == (scores, ahead)


def test_the_bootstrap_covers_the_mean_of_a_population() -> None:
    random = np.random.default_rng(0)
    truth = float(np.mean(1 / np.arange(1, 11)))
    covered = 0
    for number in range(200):
        ranks = {"item2vec": random.integers(1, 11, 150)}
        mrr = score_ranks(ranks, (10,), 200, seed=number)[0]["item2vec"].mrr
        covered += mrr.low <= truth <= mrr.high
    assert 180 <= covered <= 199


@settings(deadline=None)
@given(count=st.integers(1, 5_000), share=st.floats(0, 1))
def test_the_interval_of_a_share_is_wilsons(count: int, share: float) -> None:
    hits = round(count * share)
    found = wilson(hits, count)
    expected = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert found.value == hits / count
    assert found.low == pytest.approx(expected.low, abs=1e-9)
    assert found.high == pytest.approx(expected.high, abs=1e-9)
