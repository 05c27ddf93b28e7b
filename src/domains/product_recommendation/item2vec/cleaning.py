"""Which ratings say something about taste."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

_BOTS_SHOWN = 20


@dataclass(frozen=True)
class Bounds:
    """What a rating has to keep to.

    Attributes:
        low: The lowest rating.
        high: The highest.
        ratings_per_user: How many products a person may have rated.
    """

    low: float
    high: float
    ratings_per_user: int


@dataclass(frozen=True)
class Report:
    """What became of the ratings.

    Attributes:
        read: How many there were.
        kept: How many are left.
        users: By how many users.
        products: Of how many products.
        dropped: How many were dropped, by reason; each counts for the first that fits.
        bots: The bots with most ratings, and how many these are.
    """

    read: int
    kept: int
    users: int
    products: int
    dropped: dict[str, int]
    bots: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return asdict(self)


def clean_ratings(ratings: pd.DataFrame, bounds: Bounds) -> tuple[pd.DataFrame, Report]:
    """Keep one rating, the latest, of each user for each product.

    The result does not depend on the order of the rows. Of ratings at the same time the
    highest is kept.

    Args:
        ratings: As LOADED_RATINGS declares them.
        bounds: What they have to keep to.

    Returns:
        The ratings, sorted by user, time and product, and what became of the others.
    """
    dropped: dict[str, int] = {}
    read = len(ratings)

    def keep(table: pd.DataFrame, reason: str, bad: npt.NDArray[np.bool_]) -> Any:
        dropped[reason] = int(bad.sum())
        return table[~bad] if dropped[reason] else table

    for column in ratings.columns:
        missing = ratings[column].isna().to_numpy(dtype=bool)
        ratings = keep(ratings, f"missing_{column}", missing)
    values = ratings["rating"].to_numpy()
    outside = (values < bounds.low) | (values > bounds.high)
    ratings = keep(ratings, "out_of_bounds", outside)
    ratings = ratings.astype({"time": "int64"})

    users, products = (_codes(ratings[name]) for name in ("user", "product"))
    order = np.lexsort((ratings["rating"], ratings["time"], products, users))
    ratings, users, products = ratings.iloc[order], users[order], products[order]
    same = (users[1:] == users[:-1]) & (products[1:] == products[:-1])
    numbers = ratings[["rating", "time"]].to_numpy()
    identical = same & (numbers[1:] == numbers[:-1]).all(axis=1)
    dropped["duplicate"] = int(identical.sum())
    dropped["rated_again_later"] = int(same.sum()) - dropped["duplicate"]
    last = np.append(~same, True)[: len(ratings)]
    ratings, users, products = ratings[last], users[last], products[last]

    counts = np.bincount(users, minlength=1)
    bots = counts > bounds.ratings_per_user
    names = ratings["user"].cat.categories
    worst = np.argsort(-counts, kind="stable")[: min(_BOTS_SHOWN, int(bots.sum()))]
    found = {str(names[code]): int(counts[code]) for code in worst}
    is_bot = bots[users]
    ratings = keep(ratings, "bot", is_bot)
    users, products = users[~is_bot], products[~is_bot]
    order = np.lexsort((products, ratings["time"], users))
    ratings = ratings.iloc[order].reset_index(drop=True)
    report = Report(
        read=read,
        kept=len(ratings),
        users=np.unique(users).size,
        products=np.unique(products).size,
        dropped=dropped,
        bots=found,
    )
    return ratings, report


def clean_products(
    about: pd.DataFrame, ratings: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Keep one row for each product that was rated.

    Of several rows the first that has a title is kept.

    Args:
        about: As LOADED_PRODUCTS declares it.
        ratings: As :func:`clean_ratings` gives them.

    Returns:
        The rows, sorted by product; and a report: how many were read and kept.
    """
    rated = ratings["product"].cat.remove_unused_categories().cat.categories
    known = about[about["product"].isin(rated)]
    first = known.assign(untitled=known["title"].isna())
    first = first.sort_values(["product", "untitled"], kind="stable")
    first = first.drop_duplicates("product").drop(columns="untitled")
    kept = first.reset_index(drop=True)
    return kept, {"read": len(about), "kept": len(kept), "rated": len(rated)}


def _codes(column: pd.Series[Any]) -> npt.NDArray[np.int32]:
    codes: npt.NDArray[np.int32] = column.cat.codes.to_numpy().astype(np.int32)
    return codes
