"""Names of images with their digests, as arguments of commands."""

from __future__ import annotations

import argparse
import re

_PINNED = re.compile(r"[\w.:/-]+@sha256:[0-9a-f]{64}")


def pinned(text: str) -> str:
    """Parse the name of an image with its digest."""
    if not _PINNED.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text}: takes NAME@sha256:DIGEST; ./strata image TASK --push prints it"
        )
    return text
