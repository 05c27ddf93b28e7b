# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # What the vectors of products know
#
# A look at the last run of `product_recommendation/item2vec`. Bring its results first:
#
#     ./strata run product_recommendation/item2vec --profile toy
#     ./strata get last outputs/results/item2vec
#     ./strata notebook product_recommendation/item2vec

# %%
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt

from common.json_files import read_json
from domains.product_recommendation.item2vec.vectors import load_vectors

RESULTS = Path("../outputs/results/item2vec")

# %% [markdown]
# ## How often is the product that a user liked next among the first ten?

# %%
metrics = read_json(RESULTS / "evaluate/metrics.json")
scores = pd.DataFrame(
    {
        method: {
            "hit rate@10": found["hit_rate"]["10"]["value"],
            "from": found["hit_rate"]["10"]["low"],
            "to": found["hit_rate"]["10"]["high"],
            "MRR": found["mrr"]["value"],
        }
        for method, found in metrics["methods"].items()
    }
).T
scores.style.format("{:.3f}").background_gradient(subset=["hit rate@10", "MRR"])

# %% [markdown]
# ## Nearest to the most popular products

# %%
vectors = load_vectors(RESULTS / "train/vectors")
products = pd.read_csv(RESULTS / "clean/products.csv").set_index("product")
directions = vectors.directions()
cosines = pd.DataFrame(
    directions @ directions.T, index=vectors.products, columns=vectors.products
)
rows = []
for product in vectors.products[:5]:
    near = cosines[product].drop(product).nlargest(3)
    for other, cosine in near.items():
        rows.append([product, other, cosine])
neighbours = pd.DataFrame(rows, columns=["product", "neighbour", "cosine"])
for column in ("product", "neighbour"):
    described = neighbours[column].map(products["title"])
    neighbours[f"{column}'s title"] = described
neighbours

# %% [markdown]
# ## Are products of a category nearer to each other than to others?

# %%
categories = products["category"].reindex(vectors.products)
mean = (
    cosines.groupby(categories.to_numpy()).mean().T.groupby(categories.to_numpy()).mean()
)
figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
image = axes.imshow(mean, cmap="cividis")
axes.set_xticks(range(len(mean)), mean.columns, rotation=90)
axes.set_yticks(range(len(mean)), mean.index)
axes.set_title("Mean cosine between two categories' products")
_ = figure.colorbar(image, label="cosine")

# %% [markdown]
# ## What sells, and what is learnt of it

# %%
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
axes.loglog(range(1, len(vectors.counts) + 1), vectors.counts)
axes.set_xlabel("rank of the product")
axes.set_ylabel("users who like it")
axes.set_title(f"{len(vectors.counts):,} products with a vector")
axes.grid(alpha=0.3)
