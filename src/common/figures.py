"""Pictures of a training run and its results.

Figures are made as objects and written to files: no display, no global plotting state,
and the same input gives the same bytes. Colours are Okabe and Ito's, which people with
any kind of colour vision can tell apart; lines differ in style as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, PercentFormatter

_STYLES = (("#0072B2", "-", "o"), ("#D55E00", "--", "s"), ("#009E73", ":", "^"))
_GREY = "#666666"
_DOTS_PER_INCH = 144
_SHADE_EXPONENT = 0.3


@dataclass(frozen=True)
class Panel:
    """One set of axes with a line for each series over epochs.

    Attributes:
        title: Heading.
        series: Values by name, one an epoch; a name looks the same in all panels, and
            there are three at most.
        percent: Values are shares; show them as percentages.
        logarithmic: Use a logarithmic axis.
    """

    title: str
    series: Mapping[str, Sequence[float]]
    percent: bool = False
    logarithmic: bool = False


def save_learning_curves(
    path: Path, panels: Sequence[Panel], best_epoch: int | None = None
) -> None:
    """Draw what happened over the epochs of a training run.

    Args:
        path: The PNG file to write.
        panels: Drawn side by side.
        best_epoch: An epoch to mark, counted from 1.
    """
    names = dict.fromkeys(name for panel in panels for name in panel.series)
    styles = dict(zip(names, _STYLES, strict=False))
    figure = Figure(figsize=(4.8 * len(panels), 3.6), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)
    for axes, panel in zip(grid[0], panels, strict=True):
        for name, values in panel.series.items():
            colour, line, marker = styles[name]
            epochs = range(1, len(values) + 1)
            axes.plot(
                epochs, values, line, color=colour, marker=marker, ms=4, label=name
            )
        if best_epoch is not None:
            axes.axvline(
                best_epoch,
                color=_GREY,
                lw=1,
                zorder=0,
                label=f"kept: epoch {best_epoch}",
            )
        if panel.percent:
            axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        if panel.logarithmic and all(v > 0 for s in panel.series.values() for v in s):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
            axes.yaxis.set_minor_formatter("{x:g}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlabel("epoch")
        axes.set_title(panel.title)
        axes.grid(alpha=0.3)
        axes.legend()
    save_figure(figure, path)


def save_confusion_matrix(
    path: Path, matrix: Sequence[Sequence[int]], title: str
) -> None:
    """Draw a confusion matrix, coloured by the share of each true class.

    Args:
        path: The PNG file to write.
        matrix: Sample counts; row is the true class, column the predicted one.
        title: Heading.
    """
    counts = np.asarray(matrix, dtype=np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.2 + 0.46 * len(counts)
    figure = Figure(figsize=(size + 0.9, size), layout="constrained")
    axes = figure.subplots()
    # Few mistakes are what one looks for; on a linear scale they would be invisible.
    shades = shares**_SHADE_EXPONENT
    image = axes.imshow(shades, cmap="cividis", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            axes.text(
                column,
                row,
                f"{count:,}",
                ha="center",
                va="center",
                fontsize=8,
                color="black" if shades[row, column] > 0.6 else "white",
            )
    axes.set_xticks(range(len(counts)))
    axes.set_yticks(range(len(counts)))
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    ticks = (0, 0.001, 0.01, 0.1, 0.5, 1)
    bar.set_ticks(
        [share**_SHADE_EXPONENT for share in ticks],
        labels=[f"{100 * share:g}%" for share in ticks],
    )
    save_figure(figure, path)


def save_image_grid(
    path: Path,
    images: npt.NDArray[np.float32],
    captions: Sequence[str],
    title: str,
    columns: int = 6,
) -> None:
    """Draw grey images in a grid, each with a caption above it.

    Args:
        path: The PNG file to write.
        images: [images, height, width]; each is drawn from its darkest to its lightest.
            Without images only the title is drawn.
        captions: One for each image.
        title: Heading.
        columns: Images in a row.
    """
    rows = max(1, -(-len(images) // columns))
    columns = min(columns, max(len(images), 4))
    height = 0.35 + 1.74 * rows if len(images) else 0.7
    figure = Figure(figsize=(1.35 * columns, height), layout="constrained")
    figure.suptitle(title)
    if len(images):
        cells: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
        for cell in cells:
            cell.axis("off")
        for cell, image, caption in zip(cells, images, captions, strict=False):
            cell.imshow(image, cmap="gray")
            cell.set_title(caption, fontsize=9)
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure to a PNG file; the same figure gives the same bytes."""
    # Without the library's version, which would change the bytes.
    figure.savefig(path, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
