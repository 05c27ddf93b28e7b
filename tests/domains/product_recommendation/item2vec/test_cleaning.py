"""Which ratings are kept and what is held out, beside slow and simple references."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from domains.product_recommendation.item2vec import tables
from domains.product_recommendation.item2vec.cleaning import (
    Bounds,
    clean_products,
    clean_ratings,
)
from domains.product_recommendation.item2vec.sentences import split_ratings

_Rating = tuple[str | None, str | None, float | None, int | None]
_BOUNDS = Bounds(1, 5, 3)

_RATINGS = st.lists(
    st.tuples(
        st.sampled_from(["u", "v", "w", None]),
        st.sampled_from(["a", "b", "c", "d", "e", None]),
        st.sampled_from([1.0, 4.0, 5.0, 0.0, 5.5, None]),
        st.sampled_from([1, 2, 3, None]),
    ),
    max_size=40,
)


def _table(ratings: list[_Rating]) -> pd.DataFrame:
    users, products, values, times = zip(*ratings) if ratings else ((), (), (), ())
    table = pd.DataFrame(
        {
            "user": pd.Categorical(users),
            "product": pd.Categorical(products),
            "rating": pd.array(values, dtype="Float64").to_numpy(
                "float64", na_value=float("nan")
            ),
            "time": pd.array(times, dtype="Int64"),
        }
    )
    return tables.LOADED_RATINGS.validate(table)


def _rows(table: pd.DataFrame) -> list[Any]:
    return [tuple(row) for row in table.astype({"user": object}).values.tolist()]


@settings(deadline=None)
@given(ratings=_RATINGS, seed=st.integers(0, 9))
def test_one_rating_is_kept_of_each_pair(ratings: list[_Rating], seed: int) -> None:
    latest: dict[tuple[str, str], tuple[int, float]] = {}
    for user, product, value, time in ratings:
        if user and product and value is not None and time and 1 <= value <= 5:
            key = (user, product)
            latest[key] = max(latest.get(key, (0, 0.0)), (time, value))
    counts = Counter(user for user, _ in latest)
    expected = sorted(
        (user, time, product, value)
        for (user, product), (time, value) in latest.items()
        if counts[user] <= _BOUNDS.ratings_per_user
    )
    kept, report = clean_ratings(_table(ratings), _BOUNDS)
    found = [(user, time, product, value) for user, product, value, time in _rows(kept)]
    assert found == expected
    assert report.read == len(ratings)
    assert report.kept == len(expected)
    assert report.kept + sum(report.dropped.values()) == report.read
    assert report.bots == {
        user: count
        for user, count in counts.items()
        if count > _BOUNDS.ratings_per_user
    }
    if expected:
        tables.ratings(1, 5).validate(kept)

    shuffled = random.Random(seed).sample(ratings, len(ratings))
    again, same_report = clean_ratings(_table(shuffled), _BOUNDS)
    assert _rows(again) == _rows(kept)
    assert same_report == report


@settings(deadline=None)
@given(ratings=_RATINGS)
def test_the_last_liked_product_is_held_out(ratings: list[_Rating]) -> None:
    kept, _ = clean_ratings(_table(ratings), Bounds(1, 5, 100))
    liked: dict[str, list[str]] = {}
    for user, product, value, _ in _rows(kept):
        if value >= 4:
            liked.setdefault(user, []).append(product)
    sentences, held_out, count = split_ratings(kept, 4, 3)
    assert count == sum(map(len, liked.values()))
    expected = {
        user: " ".join(products[:-1] if len(products) >= 3 else products)
        for user, products in liked.items()
        if len(products) >= 2
    }
    found = zip(sentences["user"].tolist(), sentences["products"].tolist())
    assert list(found) == list(expected.items())
    lasts = zip(held_out["user"].tolist(), held_out["product"].tolist())
    assert list(lasts) == [
        (user, products[-1]) for user, products in liked.items() if len(products) >= 3
    ]


def test_products_are_described_once_if_they_were_rated() -> None:
    ratings, _ = clean_ratings(
        _table([("u", "a", 4.0, 1), ("u", "b", 4.0, 1), ("v", "d", 4.0, 1)]), _BOUNDS
    )
    about = pd.DataFrame(
        [("b", None, "x"), ("c", "C", "x"), ("b", "B", None), ("b", "B2", "y")]
        + [("a", None, "z"), (None, "nobody", "z")],
        columns=["product", "title", "category"],
    ).astype("category")
    kept, report = clean_products(about, ratings)
    assert kept["product"].tolist() == ["a", "b"]
    assert kept["title"].tolist()[1] == "B"
    assert report == {"read": 6, "kept": 2, "rated": 3}
