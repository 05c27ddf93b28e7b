"""The tables that the steps hand on as CSV files: their columns, types and bounds.

Each is declared here and nowhere else, and is checked where it leaves a step and where
it enters one. Identifiers hold no white space, so a sentence can be split at its
spaces.
"""

from __future__ import annotations

import pandera.pandas as pa

from common.csv_tables import matches

_HAS_NO_SPACE = matches(r"\S+", "a text without white space")
_IS_SENTENCE = matches(r"\S+( \S+)*", "products with a space between them")


def _identifier(*, nullable: bool = False, unique: bool = False) -> pa.Column:
    return pa.Column("category", _HAS_NO_SPACE, nullable=nullable, unique=unique)


def _table(name: str, columns: dict[str, pa.Column]) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, name=name, strict=True, ordered=True)


def ratings(low: float | None = None, high: float | None = None) -> pa.DataFrameSchema:
    """Declare cleaned ratings: all values are there, ratings within bounds.

    A row for each pair of a user and a product, sorted by user, time and product. Time
    is in any unit that grows.
    """
    checks = []
    if low is not None and high is not None:
        text = f"from {low:g} to {high:g}"
        checks = [pa.Check.in_range(low, high, error=text)]
    return _table(
        "ratings",
        {
            "user": _identifier(),
            "product": _identifier(),
            "rating": pa.Column("float64", checks),
            "time": pa.Column("int64"),
        },
    )


# As they were found: every value may be missing, and any number is a rating.
LOADED_RATINGS = _table(
    "loaded ratings",
    {
        "user": _identifier(nullable=True),
        "product": _identifier(nullable=True),
        "rating": pa.Column("float64", nullable=True),
        "time": pa.Column("Int64", nullable=True),
    },
)


def _about_products(name: str, product: pa.Column) -> pa.DataFrameSchema:
    return _table(
        name,
        {
            "product": product,
            "title": pa.Column("category", nullable=True),
            "category": pa.Column("category", nullable=True),
        },
    )


# What is known about products, as it was found. Without a file of them there are none.
LOADED_PRODUCTS = _about_products("loaded products", _identifier(nullable=True))

# The same of products that somebody has rated, each once.
PRODUCTS = _about_products("products", _identifier(unique=True))

# The products that a user liked, in the order of time.
SENTENCES = _table(
    "sentences",
    {
        "user": _identifier(unique=True),
        "products": pa.Column("category", _IS_SENTENCE),
    },
)

# The product that a user liked last, which the user's sentence lacks.
HELD_OUT = _table(
    "held-out products",
    {"user": _identifier(unique=True), "product": _identifier()},
)

# The products that have a vector, from the most frequent; count is in how many
# sentences.
VOCABULARY = _table(
    "vocabulary",
    {
        "product": _identifier(unique=True),
        "count": pa.Column("int64", pa.Check.ge(1, error="1 or more")),
    },
)

# What to recommend to each user, best first; score is a cosine.
RECOMMENDATIONS = _table(
    "recommendations",
    {
        "user": _identifier(),
        "rank": pa.Column("int64", pa.Check.ge(1, error="1 or more")),
        "product": _identifier(),
        "score": pa.Column("float64"),
        "title": pa.Column("category", nullable=True),
    },
)
