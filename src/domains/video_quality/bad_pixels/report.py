"""What the detectors' scores on test videos look like: files and pictures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.json_files import write_json
from domains.video_quality.bad_pixels.defects import CLASSES, HEALTHY, KINDS
from domains.video_quality.bad_pixels.feature_maps import FeatureMaps
from domains.video_quality.bad_pixels.pictures import (
    save_precision_recall,
    save_recall_by_kind,
)
from domains.video_quality.bad_pixels.scoring import CLASSICAL, NETWORK, Pixels


def write_report(
    folder: Path,
    videos: Sequence[FeatureMaps],
    pixels: Pixels,
    thresholds: Mapping[str, float],
    precision: float,
) -> dict[str, Any]:
    """Write metrics.json, defects.csv and two pictures.

    Args:
        folder: Where to write.
        videos: The test videos.
        pixels: Their scores; a defect is among them.
        thresholds: By detector, as they were chosen on other videos.
        precision: What they were chosen for.

    Returns:
        What metrics.json says.
    """
    curves = {name: pixels.curve(name) for name in (NETWORK, CLASSICAL)}
    metrics: dict[str, Any] = {
        "videos": len(videos),
        "pixels": len(pixels.classes),
        "defects": int((pixels.classes != HEALTHY).sum()),
        "wanted_precision": precision,
    }
    for name, curve in curves.items():
        best = curve.at_precision(precision)
        metrics[name] = {
            "threshold": thresholds[name],
            **_at_threshold(pixels, name, thresholds[name]),
            "average_precision": curve.average_precision,
            # At a threshold of the test videos' own, for comparison at one precision.
            "at_wanted_precision": {
                "threshold": best.score,
                "precision": best.precision,
                "recall": best.recall,
            },
        }
    write_json(folder / "metrics.json", metrics)
    _write_defects(folder / "defects.csv", videos, pixels, thresholds)
    points = {
        name: (metrics[name]["recall"], metrics[name]["precision"]) for name in curves
    }
    save_precision_recall(folder / "precision_recall.png", curves, points, metrics)
    save_recall_by_kind(folder / "recall_by_kind.png", metrics)
    return metrics


def _at_threshold(pixels: Pixels, detector: str, threshold: float) -> dict[str, Any]:
    """Count what a detector reports, in all and by kind."""
    is_defect = pixels.classes != HEALTHY
    reported = pixels.scores[detector] >= threshold
    found = int((reported & is_defect).sum())
    kinds = {}
    for number, kind in enumerate(KINDS, start=HEALTHY + 1):
        of_kind = pixels.classes == number
        kinds[kind] = _recall(int((reported & of_kind).sum()), int(of_kind.sum()))
        if detector == NETWORK:
            named = reported & (pixels.kinds == number)
            right = int((named & of_kind).sum())
            kinds[kind] |= {
                "named_right": right,
                "named": int(named.sum()),
                "precision": right / max(int(named.sum()), 1),
            }
    return {
        "reported": int(reported.sum()),
        "precision": found / max(int(reported.sum()), 1),
        **_recall(found, int(is_defect.sum())),
        "kinds": kinds,
    }


def _recall(found: int, defects: int) -> dict[str, Any]:
    return {"defects": defects, "found": found, "recall": found / max(defects, 1)}


def _write_defects(
    path: Path,
    videos: Sequence[FeatureMaps],
    pixels: Pixels,
    thresholds: Mapping[str, float],
) -> None:
    """List all pixels that are defects or that the network takes for one."""
    shown = (pixels.classes != HEALTHY) | _reported(pixels, NETWORK, thresholds)
    of_classical = _reported(pixels, CLASSICAL, thresholds)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["video", "row", "column", "kind", "found_as", "confidence", "classical"]
        )
        for place in np.flatnonzero(shown):
            number = int(np.searchsorted(pixels.places, place, side="right")) - 1
            row, column = divmod(
                int(place - pixels.places[number]), videos[number].width
            )
            confidence = float(pixels.scores[NETWORK][place])
            is_found = confidence >= thresholds[NETWORK]
            writer.writerow(
                [
                    videos[number].video,
                    row,
                    column,
                    CLASSES[pixels.classes[place]],
                    CLASSES[pixels.kinds[place]] if is_found else CLASSES[HEALTHY],
                    f"{confidence:.6f}",
                    "defect" if of_classical[place] else CLASSES[HEALTHY],
                ]
            )


def _reported(
    pixels: Pixels, detector: str, thresholds: Mapping[str, float]
) -> npt.NDArray[np.bool_]:
    reported: npt.NDArray[np.bool_] = pixels.scores[detector] >= thresholds[detector]
    return reported
