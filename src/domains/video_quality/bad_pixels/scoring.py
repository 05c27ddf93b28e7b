"""Two detectors, the thresholds they are used with, and how well they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import average_precision_score, precision_recall_curve

from domains.video_quality.bad_pixels.defects import HEALTHY
from domains.video_quality.bad_pixels.feature_maps import FeatureMaps
from domains.video_quality.bad_pixels.network import (
    DefectNetwork,
    probabilities,
    to_inputs,
)
from domains.video_quality.bad_pixels.samples import truth_map
from domains.video_quality.bad_pixels.temporal import CHANNELS, Maps

Scores = npt.NDArray[np.float32]
NETWORK, CLASSICAL = "network", "classical"


@dataclass(frozen=True)
class Threshold:
    """From which score on a pixel counts as defective.

    Attributes:
        score: The threshold.
        precision: Share of the pixels from there on that are defects, 0 to 1.
        recall: Share of the defects that are from there on, 0 to 1.
    """

    score: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Curve:
    """Precision and recall at every threshold, from the lowest score to the highest.

    Attributes:
        scores: Thresholds.
        precisions: At each.
        recalls: At each.
        average_precision: The area under the curve, in steps.
    """

    scores: npt.NDArray[np.float64]
    precisions: npt.NDArray[np.float64]
    recalls: npt.NDArray[np.float64]
    average_precision: float

    def at_precision(self, wanted: float) -> Threshold:
        """Choose the threshold of the highest recall at a precision or above.

        Of several with that recall the highest is chosen: a lower one would only report
        more healthy pixels. Where none reaches the precision, the highest precision
        stands in for it.
        """
        reached = self.precisions >= min(wanted, self.precisions.max())
        recall = self.recalls[reached].max()
        best = np.flatnonzero(reached & (self.recalls == recall))[-1]
        return Threshold(
            float(self.scores[best]),
            float(self.precisions[best]),
            float(self.recalls[best]),
        )


@dataclass(frozen=True)
class Pixels:
    """All pixels of some videos, one after another.

    Attributes:
        classes: The true ones, [pixels].
        kinds: The kind of defect that the network finds likeliest, [pixels].
        scores: By detector, [pixels].
        places: Where a video's pixels begin.
    """

    classes: npt.NDArray[np.int8]
    kinds: npt.NDArray[np.int8]
    scores: dict[str, Scores]
    places: npt.NDArray[np.int64]

    def curve(self, detector: str) -> Curve:
        """Score a detector at every threshold; there has to be a defect."""
        is_defect = self.classes != HEALTHY
        scores = self.scores[detector]
        precisions, recalls, thresholds = precision_recall_curve(is_defect, scores)
        return Curve(
            np.asarray(thresholds, dtype=np.float64),
            precisions[:-1],
            recalls[:-1],
            float(average_precision_score(is_defect, scores)),
        )


def classical_scores(maps: Maps) -> Scores:
    """Score pixels as the usual detector does: how far from their neighbours they stay.

    Returns:
        The size of the median over time of the residual to the median of the eight
        pixels around, as a share of white, [height, width].
    """
    scores: Scores = np.abs(maps[CHANNELS.index("residual_median")])
    return scores


def network_scores(of_classes: Scores) -> tuple[Scores, npt.NDArray[np.int8]]:
    """Score pixels by the network.

    Args:
        of_classes: [CLASSES, height, width].

    Returns:
        The probability that a pixel is not healthy, and the likeliest kind of defect.
    """
    kinds = of_classes[HEALTHY + 1 :].argmax(axis=0) + HEALTHY + 1
    return of_classes[HEALTHY + 1 :].sum(axis=0), kinds.astype(np.int8)


def score_pixels(
    videos: Sequence[FeatureMaps],
    truth: Path,
    network: DefectNetwork,
    device: torch.device,
) -> Pixels:
    """Score all pixels of videos with both detectors.

    Raises:
        UserError: A table or a map is missing or malformed.
    """
    classes, kinds, places = [], [], [0]
    scores: dict[str, list[Scores]] = {NETWORK: [], CLASSICAL: []}
    for video in videos:
        maps = video.load()
        by_class = probabilities(network, to_inputs(maps, video.noise), device)
        of_network, likeliest = network_scores(by_class)
        classes.append(truth_map(truth, video).astype(np.int8).ravel())
        kinds.append(likeliest.ravel())
        scores[NETWORK].append(of_network.ravel())
        scores[CLASSICAL].append(classical_scores(maps).ravel())
        places.append(places[-1] + likeliest.size)
    return Pixels(
        np.concatenate(classes),
        np.concatenate(kinds),
        {name: np.concatenate(parts) for name, parts in scores.items()},
        np.array(places[:-1]),
    )
