# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # Which defects are found, and what the missed ones look like
#
# A look at the last run of `video_quality/bad_pixels`. Bring its results first:
#
#     ./strata run video_quality/bad_pixels --profile toy
#     ./strata get last outputs/results/bad_pixels
#     ./strata notebook video_quality/bad_pixels

# %%
import csv
from collections import Counter
from pathlib import Path

from matplotlib import pyplot as plt
from PIL import Image

from common.json_files import read_json
from domains.video_quality.bad_pixels.feature_maps import find_maps
from domains.video_quality.bad_pixels.temporal import CHANNELS

RESULTS = Path("../outputs/results/bad_pixels")

# %% [markdown]
# ## The network beside the classical detector, each at its own threshold

# %%
metrics = read_json(RESULTS / "evaluate/metrics.json")
print(f"{'':12} precision  recall  average precision")
for method in ("network", "classical"):
    found = metrics[method]
    print(
        f"{method:12} {found['precision']:9.1%} {found['recall']:7.1%}"
        f" {found['average_precision']:18.3f}"
    )

# %% [markdown]
# ## Taken for what?

# %%
with (RESULTS / "evaluate/defects.csv").open(newline="") as file:
    defects = list(csv.DictReader(file))
taken = Counter((row["kind"], row["found_as"]) for row in defects)
for (kind, found_as), count in sorted(taken.items()):
    print(f"{count:5}  {kind:11} taken for {found_as}")

# %% [markdown]
# ## What the features show of one video
#
# A circle marks each true defect.

# %%
maps = {one.video: one for one in find_maps(RESULTS / "features/maps", print)}
video = defects[0]["video"]
values = maps[video].load()
here = [row for row in defects if row["video"] == video]
columns = 4
figure, grid = plt.subplots(
    -(-len(CHANNELS) // columns), columns, figsize=(14, 7), layout="constrained"
)
for axes in grid.flat:
    axes.axis("off")
for axes, name, channel in zip(grid.flat, CHANNELS, values):
    axes.imshow(channel, cmap="cividis")
    axes.scatter(
        [int(row["column"]) for row in here],
        [int(row["row"]) for row in here],
        s=60,
        facecolors="none",
        edgecolors="#D55E00",
    )
    axes.set_title(name)
_ = figure.suptitle(f"{video}: {len(here)} defects")

# %% [markdown]
# ## What scoring draws of it

# %%
(picture,) = (RESULTS / "score/overlays").glob(f"{video}*")
Image.open(picture)
