"""Pictures of the vectors, and of how well they recommend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from common.figures import save_figure
from domains.product_recommendation.item2vec.ranking import Estimate, Scores
from domains.product_recommendation.item2vec.vectors import Vectors

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart;
# markers differ as well.
_STYLES = (
    ("#0072B2", "o"),
    ("#D55E00", "s"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#E69F00", "v"),
    ("#56B4E9", "P"),
    ("#000000", "X"),
)
_LINES = ("-", "--", ":")
_REST = "#BBBBBB"
_PERPLEXITY = 50
# The map looks the same after twice as many.
_STEPS = 500
_MIN_PRODUCTS = 5


def save_scores(
    path: Path, scores: Mapping[str, Scores], users: int, title: str
) -> None:
    """Draw hit rate and MRR over the number of products that are shown to a user.

    Args:
        path: The PNG file to write.
        scores: By method.
        users: How many were scored.
        title: Heading.
    """
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    for axes, name in ((left, "hit_rate"), (right, "mrr_at")):
        for (method, found), (colour, marker), line in zip(
            scores.items(), _STYLES, _LINES
        ):
            estimates: dict[int, Estimate] = getattr(found, name)
            cutoffs = list(estimates)
            axes.fill_between(
                cutoffs,
                [one.low for one in estimates.values()],
                [one.high for one in estimates.values()],
                color=colour,
                alpha=0.2,
                lw=0,
            )
            values = [one.value for one in estimates.values()]
            axes.plot(
                cutoffs, values, line, color=colour, marker=marker, ms=4, label=method
            )
        axes.set_xscale("log")
        axes.set_xticks(cutoffs, [str(k) for k in cutoffs])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("products shown (k)")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    left.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=None))
    left.set_title("Held-out product is among them", fontsize=11)
    left.set_ylabel("hit rate@k")
    left.legend(title=f"{users:,} users, 95 % intervals", fontsize=9, title_fontsize=9)
    right.set_title("Mean of 1 / its rank", fontsize=11)
    right.set_ylabel("MRR@k")
    save_figure(figure, path)


def save_map(
    path: Path,
    vectors: Vectors,
    categories: Sequence[str | None],
    limit: int,
    seed: int,
) -> None:
    """Draw the vectors of the most frequent products on a map, coloured by category.

    The map is t-SNE's (van der Maaten and Hinton, "Visualizing data using t-SNE", 2008)
    by cosine: neighbours are kept, distances between groups mean little.

    Args:
        path: The PNG file to write.
        vectors: What was learned.
        categories: Each product's category, None where it is unknown.
        limit: Draw so many products at most.
        seed: Decides the map.
    """
    count = min(limit, len(vectors.products))
    figure = Figure(figsize=(8.4, 6.4), layout="constrained")
    axes = figure.subplots()
    x, y = _flattened(vectors.directions()[:count], seed).T
    labels = np.asarray(categories[:count], dtype=object)
    groups = _groups(labels)
    rest = ~np.isin(labels, groups)
    if rest.any():
        label = f"other, unknown ({rest.sum():,})" if groups else None
        axes.scatter(x[rest], y[rest], s=14, c=_REST, marker=".", label=label)
    for name, (colour, marker) in zip(groups, _STYLES):
        mine = labels == name
        axes.scatter(
            x[mine],
            y[mine],
            s=16,
            c=colour,
            marker=marker,
            alpha=0.75,
            lw=0,
            label=f"{name} ({mine.sum():,})",
        )
    axes.set_xlabel("t-SNE, first axis (no unit)")
    axes.set_ylabel("t-SNE, second axis (no unit)")
    axes.set_xticks([])
    axes.set_yticks([])
    if groups:
        axes.set_title(_finding(vectors, labels, count))
        axes.legend(
            title="category", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False
        )
    else:
        axes.set_title(f"The {count:,} products liked most; no categories are known")
    save_figure(figure, path)


def _flattened(
    directions: npt.NDArray[np.float32], seed: int
) -> npt.NDArray[np.float32]:
    if len(directions) < _MIN_PRODUCTS:
        # Too few to have neighbours.
        return np.pad(directions, ((0, 0), (0, 2)))[:, :2]
    perplexity = min(_PERPLEXITY, (len(directions) - 1) / 3)
    tsne = TSNE(
        metric="cosine",
        init="random",
        perplexity=perplexity,
        max_iter=_STEPS,
        random_state=seed % 2**32,
    )
    # Its threads wait for each other at each of many small steps: where other programs
    # use the cores, two take several times as long as one.
    with threadpool_limits(1, user_api="openmp"):
        points: npt.NDArray[np.float32] = tsne.fit_transform(directions)
    return points


def _groups(categories: npt.NDArray[np.object_]) -> list[str]:
    """Give the largest categories, as many as there are colours."""
    known = [name for name in categories.tolist() if name is not None]
    names, counts = np.unique(np.asarray(known, dtype=str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[: len(_STYLES)]
    return sorted(str(names[number]) for number in order)


def _finding(vectors: Vectors, categories: npt.NDArray[np.object_], count: int) -> str:
    share = neighbour_agreement(vectors.directions()[:count], categories)
    return (
        f"The {count:,} products liked most: the nearest neighbour is\n"
        f"of the same category for {share:.0%} of them"
    )


def neighbour_agreement(
    directions: npt.NDArray[np.float32], categories: npt.NDArray[np.object_]
) -> float:
    """Tell how many products have a nearest neighbour of their own category.

    Args:
        directions: Vectors at length one, [products, dimensions]; two at least.
        categories: Their categories, None where one is unknown; one is known at least.

    Returns:
        The share of the products whose category is known.
    """
    cosines = directions @ directions.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = cosines.argmax(axis=1)
    is_known = np.asarray([name is not None for name in categories.tolist()])
    return float((categories[nearest] == categories)[is_known].mean())
