"""Pictures of the detectors' scores, and of the defects of a video.

Colours are Okabe and Ito's, which people with any kind of colour vision can tell apart;
lines and markers differ in form as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import PercentFormatter

from common.figures import save_figure
from domains.video_quality.bad_pixels.defects import KINDS, Defect
from domains.video_quality.bad_pixels.scoring import CLASSICAL, NETWORK, Curve

_LINES = {NETWORK: ("#0072B2", "-", "o"), CLASSICAL: ("#D55E00", "--", "s")}
_HATCHES = {NETWORK: "", CLASSICAL: "//"}
_MARKERS = {
    "dead": ("o", "#56B4E9"),
    "stuck": ("s", "#E69F00"),
    "flickering": ("D", "#F0E442"),
}
_NAMES = {NETWORK: "network", CLASSICAL: "temporal median"}


def save_precision_recall(
    path: Path,
    curves: Mapping[str, Curve],
    points: Mapping[str, tuple[float, float]],
    metrics: Mapping[str, Any],
) -> None:
    """Draw precision over recall at every threshold.

    Args:
        path: The PNG file to write.
        curves: By detector.
        points: Recall and precision at the threshold in use, by detector.
        metrics: What metrics.json says.
    """
    figure = Figure(figsize=(6, 4.6), layout="constrained")
    axes = figure.subplots()
    wanted = metrics["wanted_precision"]
    axes.axhline(wanted, color="#666666", lw=1, zorder=0)
    axes.annotate(
        f"precision wanted: {wanted:.0%}",
        (0.01, wanted),
        xytext=(0, -3),
        textcoords="offset points",
        va="top",
        fontsize=8,
        color="#444444",
    )
    for name, curve in curves.items():
        colour, line, marker = _LINES[name]
        axes.step(
            # No threshold, no report: by convention that is a precision of 1.
            [*curve.recalls, 0],
            [*curve.precisions, 1],
            line,
            where="post",
            color=colour,
            label=f"{_NAMES[name]}, average precision {curve.average_precision:.3f}",
        )
        recall, precision = points[name]
        axes.plot(
            recall,
            precision,
            marker,
            color=colour,
            ms=9,
            mec="white",
            mew=1.5,
            clip_on=False,
            zorder=5,
            label=f"in use: recall {recall:.0%}, precision {precision:.0%}",
        )
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.03)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(xmax=1))
    axes.set_xlabel("recall: defects that are reported")
    axes.set_ylabel("precision: reports that are defects")
    axes.set_title(
        f"{metrics['defects']:,} defects in {metrics['videos']:,} test videos, "
        f"{metrics['pixels']:,} pixels"
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=8)
    save_figure(figure, path)


def save_recall_by_kind(path: Path, metrics: Mapping[str, Any]) -> None:
    """Draw how many defects of each kind each detector finds at its threshold.

    Args:
        path: The PNG file to write.
        metrics: What metrics.json says.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    width = 0.38
    for side, name in zip((-0.5, 0.5), (NETWORK, CLASSICAL), strict=True):
        colour, _, _ = _LINES[name]
        kinds = [metrics[name]["kinds"][kind] for kind in KINDS]
        bars = axes.bar(
            np.arange(len(KINDS)) + side * width,
            [kind["recall"] for kind in kinds],
            0.94 * width,
            color=colour,
            hatch=_HATCHES[name],
            edgecolor="white",
            label=f"{_NAMES[name]} (precision {metrics[name]['precision']:.0%})",
        )
        counts = [f"{kind['found']} of {kind['defects']}" for kind in kinds]
        axes.bar_label(bars, counts, padding=2, fontsize=9)
    axes.set_xticks(range(len(KINDS)), KINDS)
    axes.set_ylim(0, 1.1)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.set_ylabel("recall: defects that are reported")
    axes.set_title(
        f"{metrics['defects']:,} defects in {metrics['videos']:,} test videos"
    )
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    save_figure(figure, path)


def save_overlay(
    path: Path, frame: npt.NDArray[Any], defects: Sequence[Defect], video: str
) -> None:
    """Draw a frame with its defects marked.

    Args:
        path: The PNG file to write.
        frame: [height, width], of any range; it is drawn from its 1st to its 99th
            percentile.
        defects: What to mark.
        video: The video's name, for the title.
    """
    height, width = frame.shape
    # The picture is 8 inches wide, or as high as that, and has room for the texts.
    scale = 8 / max(height, width)
    figure = Figure(
        figsize=(max(scale * width, 4.5), scale * height + 0.9), layout="constrained"
    )
    axes = figure.subplots()
    dark, light = np.percentile(frame, (1, 99))
    axes.imshow(frame, cmap="gray", vmin=dark, vmax=max(light, dark + 1))
    handles = []
    for kind in KINDS:
        marker, colour = _MARKERS[kind]
        of_kind = [defect for defect in defects if defect.kind == kind]
        style: dict[str, Any] = {
            "marker": marker,
            "mfc": "none",
            "mec": colour,
            "mew": 1.8,
            "ls": "none",
            # Bright on dark ground, and on bright ground within a dark line.
            "path_effects": [withStroke(linewidth=4, foreground="black")],
        }
        (line,) = axes.plot(
            [defect.column for defect in of_kind],
            [defect.row for defect in of_kind],
            ms=13,
            clip_on=False,
            **style,
        )
        # A marker at the border must not push the frame aside.
        line.set_in_layout(False)
        label = f"{kind}: {len(of_kind):,}"
        handles.append(Line2D([], [], ms=9, label=label, **style))
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    axes.tick_params(labelsize=8)
    axes.set_xlabel("column", fontsize=8)
    axes.set_ylabel("row", fontsize=8)
    total = f"{len(defects):,} defective pixel" + "s"[: len(defects) != 1]
    axes.set_title(f"{video}: {total}", fontsize=11)
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    save_figure(figure, path)
