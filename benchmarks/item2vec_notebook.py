"""What benchmarks/item2vec.py measures beside ours: the same work as a notebook does
it.

pandas reads the file whole, gensim learns with the same settings, and one process does
everything from top to bottom. It is written to be plain, and fast where that costs no
lines: whole columns at a time, and users scored in batches.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from gensim.models import Word2Vec
from matplotlib import pyplot
from scipy.sparse import csr_array
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

_BATCH = 1_000
_CUTOFFS = (1, 2, 5, 10, 20, 50, 100)


def main() -> None:
    """Read, clean, learn, score and draw; print the scores as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ratings", type=Path, required=True)
    parser.add_argument("--products", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--max_ratings_per_user", type=int, required=True)
    parser.add_argument("--dimensions", type=int, required=True)
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--negative", type=int, required=True)
    parser.add_argument("--sample", type=float, required=True)
    parser.add_argument("--learning_rate", type=float, required=True)
    parser.add_argument("--min_count", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--resamples", type=int, required=True)
    parser.add_argument("--map_products", type=int, required=True)
    args = parser.parse_args()
    args.output.mkdir(parents=True)

    # load
    columns = ["reviewerID", "asin", "overall", "unixReviewTime"]
    ratings = pd.read_json(args.ratings, lines=True, convert_dates=False)[columns]
    products = pd.read_json(args.products, lines=True)
    ratings.to_csv(args.output / "ratings.csv", index=False)

    # clean
    ratings = ratings.dropna()
    ratings = ratings[ratings["overall"].between(1, 5)]
    ratings = ratings.sort_values(["reviewerID", "unixReviewTime", "asin"])
    ratings = ratings.drop_duplicates(["reviewerID", "asin"], keep="last")
    counts = ratings.groupby("reviewerID")["asin"].transform("size")
    ratings = ratings[counts <= args.max_ratings_per_user]
    ratings.to_csv(args.output / "clean.csv", index=False)

    # preprocess
    liked = ratings[ratings["overall"] >= 4]
    sentences = liked.groupby("reviewerID")["asin"].agg(list)
    held_out = {user: words[-1] for user, words in sentences.items() if len(words) > 2}
    training = [
        words[:-1] if user in held_out else words
        for user, words in sentences.items()
        if len(words) > 1
    ]
    users = [user for user, words in sentences.items() if len(words) > 1]

    # train
    model = Word2Vec(
        training,
        vector_size=args.dimensions,
        window=args.window,
        negative=args.negative,
        sample=args.sample,
        alpha=args.learning_rate,
        min_count=args.min_count,
        epochs=args.epochs,
        workers=args.workers,
        sg=1,
        seed=0,
    )
    model.wv.save_word2vec_format(str(args.output / "vectors.txt"))

    # evaluate
    random = np.random.default_rng(0)
    names = sorted({word for words in training for word in words})
    numbers = {name: number for number, name in enumerate(names)}
    rows = np.repeat(np.arange(len(training)), [len(words) for words in training])
    words = np.array([numbers[word] for sentence in training for word in sentence])
    likes = csr_array(
        (np.ones(len(words), np.float32), (rows, words)),
        shape=(len(training), len(names)),
    )
    directions = np.zeros((len(names), args.dimensions), np.float32)
    for name, direction in zip(model.wv.index_to_key, model.wv.get_normed_vectors()):
        directions[numbers[name]] = direction
    together = csr_array(likes.T @ likes)
    popularity = np.asarray(likes.sum(axis=0))
    scored = [
        (row, numbers[held_out[user]])
        for row, user in enumerate(users)
        if user in held_out and held_out[user] in numbers
    ]
    if len(scored) > args.users:
        chosen = random.choice(len(scored), args.users, replace=False)
        scored = [scored[number] for number in chosen]
    ranks: dict[str, list[np.ndarray]] = {
        "item2vec": [],
        "co-occurrence": [],
        "popularity": [],
    }
    for start in range(0, len(scored), _BATCH):
        batch = np.array(scored[start : start + _BATCH])
        some, targets = likes[batch[:, 0]], batch[:, 1]
        for method, scores in (
            ("item2vec", (some @ directions) @ directions.T),
            ("co-occurrence", (some @ together).toarray()),
            ("popularity", np.tile(popularity, (len(batch), 1))),
        ):
            scores[some.nonzero()] = -np.inf
            mine = scores[np.arange(len(batch)), targets]
            ranks[method].append((scores > mine[:, np.newaxis]).sum(axis=1) + 1)
    metrics = {}
    for method, pieces in ranks.items():
        found = np.concatenate(pieces)
        reciprocal = 1 / found
        means = [
            reciprocal[random.integers(len(found), size=len(found))].mean()
            for _ in range(args.resamples)
        ]
        metrics[method] = {
            "hit_rate@10": float((found <= 10).mean()),
            "mrr": float(reciprocal.mean()),
            "mrr_interval": np.quantile(means, [0.025, 0.975]).tolist(),
        }
        pyplot.plot(_CUTOFFS, [(found <= k).mean() for k in _CUTOFFS], label=method)
    pyplot.legend()
    pyplot.savefig(args.output / "metrics.png")
    pyplot.figure()
    names = model.wv.index_to_key[: args.map_products]
    with threadpool_limits(1, user_api="openmp"):
        points = TSNE(
            metric="cosine", init="random", perplexity=50, max_iter=500, random_state=0
        ).fit_transform(model.wv.vectors[: args.map_products])
    category_of = dict(zip(products["asin"], products["main_cat"]))
    categories = pd.Series([category_of.get(name, "unknown") for name in names])
    for category in sorted(categories.unique()):
        x, y = points[categories == category].T
        pyplot.scatter(x, y, s=8, label=category)
    pyplot.legend()
    pyplot.savefig(args.output / "map.png")
    print(json.dumps(metrics))


if __name__ == "__main__":
    main()
