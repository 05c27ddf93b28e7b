"""An invented shop: products, people with tastes, and the defects of real data.

Products belong to a category and in it to a style. A few products of each style are
liked by many, most by few (Zipf's law). A person has a taste for one to three styles,
mostly of one category, finds most products by it, and the others by chance; what is
bought by taste is liked more often. Some people rate much more than others
(log-normal).

All that is random comes from one generator, block of people by block of people, so a
shop of any size is made in the memory of one block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

CATEGORIES = {
    "Kitchen": ("Kettle", "Pan", "Knife", "Teapot", "Bowl", "Grater", "Scale"),
    "Garden": ("Spade", "Hose", "Planter", "Rake", "Lantern", "Trellis", "Bench"),
    "Music": ("Guitar", "Drum", "Flute", "Tuner", "Stand", "Cable", "Pick"),
    "Toys": ("Robot", "Puzzle", "Kite", "Train", "Doll", "Blocks", "Marbles"),
    "Sports": ("Racket", "Ball", "Helmet", "Mat", "Bottle", "Glove", "Rope"),
    "Office": ("Lamp", "Stapler", "Folder", "Pen", "Desk", "Chair", "Clock"),
    "Beauty": ("Brush", "Mirror", "Soap", "Comb", "Lotion", "Towel", "Candle"),
}
STYLES = ("Rustic", "Modern", "Compact", "Classic", "Deluxe", "Colourful")

_COLOURS = ("black", "blue", "green", "oak", "red", "silver", "white", "yellow")
_FIRST_NAMES = ("Ada", "Ben", "Chloe", "Dev", "Eva", "Finn", "Gia", "Hugo", "Ines")
_LIKED = ("Just right", "Would buy it again", "Five years and still good", "A joy")
_DISLIKED = ("Not for me", "Broke after a week", "Smaller than it looks", "Went back")
_IDENTIFIER_DIGITS = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"

_PEOPLE_IN_BLOCK = 10_000
_ZIPF_EXPONENT = 0.9
_ACTIVITY_DEVIATION = 0.8
_MOST_TASTES = 3
_TASTE_SHARES = (0.45, 0.35, 0.2)
_SAME_CATEGORY = 0.8
_BY_TASTE = (0.02, 0.03, 0.1, 0.3, 0.55)
_BY_CHANCE = (0.25, 0.2, 0.25, 0.2, 0.1)
_DAY = 86_400
_FIRST_DAY = datetime(2009, 1, 1, tzinfo=UTC)
_DAYS = 2_000
_UNDESCRIBED = 0.03
_BOT_RATINGS = 3_000
_OUT_OF_BOUNDS = (0.0, -1.0, 6.0, 55.0)


@dataclass(frozen=True)
class Shop:
    """What a shop is made of.

    Attributes:
        people: How many people rate.
        products: How many products there are.
        ratings: How many ratings, before defects; it is at most a quarter of all pairs.
        noise: The share of products that are found by chance, not by taste.
        defects: The share of ratings that are spoilt, and of those that come twice.
        bots: How many more users rate almost everything in a day.
        seed: Decides all that is random.
    """

    people: int
    products: int
    ratings: int
    noise: float
    defects: float
    bots: int
    seed: int


@dataclass(frozen=True)
class _Shelves:
    """The products, style by style, each style from the most popular product.

    Attributes:
        identifiers: [products].
        styles: Each product's style, [products].
        chances: The running sum of the products' chances within the style plus the
            style's number, so that style + a random number finds a product of the
            style.
        anywhere: The running sum of their chances in the whole shop.
        style_chances: The running sum of the styles' chances.
    """

    identifiers: list[str]
    styles: npt.NDArray[np.int64]
    chances: npt.NDArray[np.float64]
    anywhere: npt.NDArray[np.float64]
    style_chances: npt.NDArray[np.float64]


def product_lines(shop: Shop) -> Iterator[bytes]:
    """Describe the products, a JSON object in each line, as public data sets do.

    A few products are not described.
    """
    random = np.random.default_rng([shop.seed, 1])
    shelves = _shelves(shop)
    order = random.permutation(shop.products)
    for product in order.tolist():
        category, style = _names(int(shelves.styles[product]))
        nouns = CATEGORIES[category]
        title = f"{style} {nouns[product % len(nouns)]} {product + 1}"
        described = {
            "asin": shelves.identifiers[product],
            "title": title,
            "main_cat": category,
            "categories": [[category, f"{style} {category}"]],
            "price": round(float(random.lognormal(3, 0.7)), 2),
        }
        if random.random() >= _UNDESCRIBED:
            yield orjson.dumps(described) + b"\n"


def rating_lines(shop: Shop) -> Iterator[bytes]:
    """Write the ratings, a JSON object in each line, as public data sets do.

    Among them are the defects: fields that are missing, ratings out of bounds, lines
    that are cut, and lines that come twice. The bots come last.
    """
    shelves = _shelves(shop)
    blocks = -(-shop.people // _PEOPLE_IN_BLOCK)
    for block in range(blocks):
        random = np.random.default_rng([shop.seed, 2, block])
        first = block * _PEOPLE_IN_BLOCK
        people = min(_PEOPLE_IN_BLOCK, shop.people - first)
        # Rounded so that the blocks' ratings add up.
        quota = (
            shop.ratings * (first + people) // shop.people
            - shop.ratings * first // shop.people
        )
        drawn = _draw(random, shop, shelves, people, quota)
        yield from _spoilt(
            _records(random, shelves, first, *drawn), random, shop.defects
        )
    random = np.random.default_rng([shop.seed, 3])
    for bot in range(shop.bots):
        count = min(shop.products, _BOT_RATINGS)
        products = random.choice(shop.products, count, replace=False)
        person = np.zeros(count, np.int64)
        ratings = np.full(count, 5.0)
        days = np.full(count, int(random.integers(_DAYS)))
        records = _records(
            random, shelves, shop.people + bot, person, products, ratings, days
        )
        yield from _spoilt(records, random, 0)


def _shelves(shop: Shop) -> _Shelves:
    random = np.random.default_rng([shop.seed, 0])
    styles = np.sort(np.arange(shop.products) % (len(CATEGORIES) * len(STYLES)))
    firsts = np.searchsorted(styles, styles)
    places = np.arange(shop.products) - firsts + 1
    popularity = places**-_ZIPF_EXPONENT
    present = np.unique(styles)
    style_weights = random.permutation(
        np.arange(1, len(present) + 1) ** -_ZIPF_EXPONENT * 0.5 + 0.5
    )
    sums = np.bincount(styles, popularity)
    within = np.cumsum(popularity / sums[styles])
    anywhere = np.cumsum(popularity * style_weights[styles])
    numbers = random.permutation(shop.products)
    return _Shelves(
        [f"B{_spelled(int(number), 9)}" for number in numbers],
        styles,
        within,
        anywhere / anywhere[-1],
        np.cumsum(style_weights) / style_weights.sum(),
    )


def _draw(
    random: np.random.Generator, shop: Shop, shelves: _Shelves, people: int, quota: int
) -> tuple[
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.float64],
    npt.NDArray[np.int64],
]:
    """Draw who rates what, how, and on which day."""
    tastes = np.searchsorted(
        shelves.style_chances, random.random((people, _MOST_TASTES))
    )
    # Styles of a category are next to each other, as many in each.
    nearby = tastes[:, :1] // len(STYLES) * len(STYLES)
    nearby = nearby + random.integers(len(STYLES), size=tastes.shape)
    is_nearby = random.random(tastes.shape) < _SAME_CATEGORY
    is_nearby[:, 0] = False
    tastes = np.minimum(np.where(is_nearby, nearby, tastes), shelves.styles[-1])
    how_many = random.integers(1, _MOST_TASTES + 1, people)
    activity = np.cumsum(random.lognormal(0, _ACTIVITY_DEVIATION, people))
    first_days = random.integers(0, _DAYS, people)
    pairs = np.empty(0, np.int64)
    by_taste = np.empty(0, np.bool_)
    while len(pairs) < quota:
        size = (quota - len(pairs)) * 3 // 2 + 100
        person = np.searchsorted(activity, random.random(size) * activity[-1])
        taste = np.searchsorted(np.cumsum(_TASTE_SHARES), random.random(size))
        style = tastes[person, taste % how_many[person]]
        is_taste = random.random(size) >= shop.noise
        chance = random.random(size)
        product = np.where(
            is_taste,
            np.searchsorted(shelves.chances, style + chance),
            np.searchsorted(shelves.anywhere, chance),
        )
        pair = person * shop.products + np.minimum(product, shop.products - 1)
        pairs, firsts = np.unique(np.append(pairs, pair), return_index=True)
        by_taste = np.append(by_taste, is_taste)[firsts]
    chosen = random.permutation(len(pairs))[:quota]
    person, product = np.divmod(pairs[chosen], shop.products)
    chance = random.random(quota)
    ratings = 1.0 + np.where(
        by_taste[chosen],
        np.searchsorted(np.cumsum(_BY_TASTE), chance),
        np.searchsorted(np.cumsum(_BY_CHANCE), chance),
    )
    days = first_days[person] + random.exponential(200, quota).astype(np.int64)
    return person, product, np.clip(ratings, 1, 5), days


def _records(
    random: np.random.Generator,
    shelves: _Shelves,
    first: int,
    people: npt.NDArray[np.int64],
    products: npt.NDArray[np.int64],
    ratings: npt.NDArray[np.float64],
    days: npt.NDArray[np.int64],
) -> Iterator[dict[str, Any]]:
    start = int(_FIRST_DAY.timestamp())
    words = random.integers(0, 1 << 16, len(people)).tolist()
    columns = (people.tolist(), products.tolist(), ratings.tolist(), days.tolist())
    for person, product, rating, day, word in zip(*columns, words):
        number = first + person
        texts = _LIKED if rating > 3 else _DISLIKED
        text = texts[word % len(texts)]
        time = start + day * _DAY
        yield {
            "reviewerID": f"A{_spelled(number, 12)}",
            "asin": shelves.identifiers[product],
            "reviewerName": f"{_FIRST_NAMES[number % len(_FIRST_NAMES)]} {number}",
            "helpful": [word % 3, word % 3 + word % 2],
            "style": {"colour": _COLOURS[word % len(_COLOURS)]},
            "reviewText": f"{text}. I have had it for {word % 300} days by now.",
            "overall": rating,
            "summary": text,
            "unixReviewTime": time,
            "reviewTime": f"{datetime.fromtimestamp(time, UTC):%m %d, %Y}",
        }


def _spoilt(
    records: Iterator[dict[str, Any]], random: np.random.Generator, share: float
) -> Iterator[bytes]:
    """Write records as lines, some of them spoilt and some of them twice."""
    for record in records:
        line = orjson.dumps(record) + b"\n"
        chance = random.random()
        if chance >= 2 * share:
            yield line
            continue
        kind = int(random.integers(8))
        if chance < share:
            yield line
            yield line
        elif kind == 0:
            yield line[: len(line) // 2] + b"\n"
        elif kind <= 3:
            name = ("reviewerID", "asin", "overall", "unixReviewTime")[kind]
            yield orjson.dumps(record | {name: None}) + b"\n"
        else:
            wrong = _OUT_OF_BOUNDS[kind % len(_OUT_OF_BOUNDS)]
            yield orjson.dumps(record | {"overall": wrong}) + b"\n"


def _names(style: int) -> tuple[str, str]:
    """Give a style's category and name."""
    category, number = divmod(style, len(STYLES))
    return list(CATEGORIES)[category], STYLES[number]


def _spelled(number: int, length: int) -> str:
    """Spell a number as an identifier that looks random but is the number's alone."""
    base = len(_IDENTIFIER_DIGITS)
    digits = []
    # Odd, and no multiple of 17, so it has an inverse: no two numbers meet.
    number = number * 6_364_136_223_846_793_005 % base**length
    for _ in range(length):
        number, digit = divmod(number, base)
        digits.append(_IDENTIFIER_DIGITS[digit])
    return "".join(digits)
