"""Names of images that stand for one image today and for another tomorrow."""

from __future__ import annotations

HINT = "name a version, or better the digest"
_EXPRESSIONS = ("${", "$(", "{{")


def moving(image: str) -> str | None:
    """Say why an image's name is none of one image; None if it is.

    Args:
        image: The name, as ``docker pull`` takes it. A part that is filled in later is
            not judged.
    """
    name, _, digest = image.partition("@")
    if digest or any(mark in image for mark in _EXPRESSIONS):
        return None
    tag = name.rpartition("/")[2].partition(":")[2]
    if tag == "latest":
        return f"the image {image} is whatever latest stands for"
    return None if tag else f"the image {image} has no tag, which stands for latest"
