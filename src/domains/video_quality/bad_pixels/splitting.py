"""Which videos are for training, validation and testing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import UserError
from domains.video_quality.bad_pixels.feature_maps import FeatureMaps

TRAINING, VALIDATION, TEST = "training", "validation", "test"


@dataclass(frozen=True)
class Split:
    """How videos are divided, by their names alone.

    So a video stays in its part when others come and go, and evaluate, which is told
    the same shares, never scores a video that the network has been trained on.

    Attributes:
        validation: Share of the videos that thresholds are chosen on.
        test: Share of the videos that are scored.
    """

    validation: float
    test: float

    def part_of(self, video: str) -> str:
        """Tell which part a video belongs to."""
        digest = hashlib.sha256(video.encode()).digest()
        place = int.from_bytes(digest[:6], "big") / 2**48
        if place < self.test:
            return TEST
        return VALIDATION if place < self.test + self.validation else TRAINING

    def select(self, videos: Sequence[FeatureMaps], part: str) -> list[FeatureMaps]:
        """Take the videos of one part.

        Raises:
            UserError: There are none.
        """
        chosen = [maps for maps in videos if self.part_of(maps.video) == part]
        if not chosen:
            raise UserError(
                f"none of the {len(videos)} videos is for {part}, which the names "
                f"decide (--validation {self.validation:g}, --test {self.test:g}); "
                "there have to be more videos, or train has to set other shares"
            )
        return chosen
