"""Push images that a registry lacks, and say what that took."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from common.errors import RunError
from orchestration.images.content import Image
from orchestration.images.engine import Engine, PushError
from orchestration.images.registry import Registry

_ATTEMPTS = 3
_PAUSE_SECONDS = 2.0
# What the OCI distribution specification 1.1 allows in a tag.
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.-]")
# A branch of such a name would take the place of a content's or a commit's tag.
_DIGEST = re.compile(r"[0-9a-f]{24,}")


# Takes the bytes of layers that were moved and that there are, before compression.
Show = Callable[[int, int], None]


def push_image(
    engine: Engine,
    registry: Registry,
    image: Image,
    show: Show,
    tell: Callable[[str], None],
) -> tuple[str, int]:
    """Push an image that the engine has, trying again where that may help.

    What has reached the registry stays there, so that the next attempt, or the next
    command, goes on from there.

    Args:
        engine: Has the image.
        registry: Lacks it.
        image: The image.
        show: Is shown the progress.
        tell: Is told of attempts that failed.

    Returns:
        The image's digest in the registry, and the bytes of the layers that were
        transferred, compressed.

    Raises:
        RunError: It failed in every attempt, or the registry does not answer.
    """
    name = registry.full_name(image.name)
    engine.tag(image.name, name)
    try:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                moved = _push_once(engine, name, show)
                break
            except PushError as error:
                if attempt == _ATTEMPTS:
                    raise RunError(
                        f"pushing {name} failed {_ATTEMPTS} times, at last: {error}; "
                        "what has arrived is kept, the same command goes on from there"
                    ) from None
                tell(f"pushing {name} failed ({error}); trying again")
                time.sleep(_PAUSE_SECONDS * attempt)
    finally:
        engine.untag(name)
    manifest = registry.manifest(image.repository, image.tag)
    if manifest is None:
        raise RunError(f"{name} was pushed, and the registry does not have it")
    layers = [layer.partition(":")[2] for layer in engine.layers(image.name)]
    sizes = zip(layers, manifest.layer_sizes(), strict=True)
    return manifest.digest, sum(size for layer, size in sizes if layer[:12] in moved)


def add_tags(
    registry: Registry, image: Image, digest: str, tags: Iterable[str]
) -> None:
    """Have more tags stand for an image that the registry has.

    Args:
        registry: The registry.
        image: The image.
        digest: Its digest there.
        tags: The tags. One that stands for it already costs one question.

    Raises:
        RegistryError: The registry cannot be reached or refuses.
    """
    for tag in tags:
        if registry.digest(image.repository, tag) != digest:
            manifest = registry.manifest(image.repository, image.tag)
            if manifest is not None:
                registry.add_tag(image.repository, manifest, tag)


def tag_of_branch(branch: str) -> str:
    """Give the tag for a branch, never the same for two branches.

    A name that is a tag as it stands stays as it is, others get a part of their digest.
    """
    if _TAG.fullmatch(branch) and not _DIGEST.fullmatch(branch):
        return branch
    digest = hashlib.sha256(branch.encode()).hexdigest()[:8]
    plain = _NOT_IN_TAGS.sub("-", branch)[:100]
    return f"{plain}-{digest}".lstrip(".-")


def _push_once(engine: Engine, name: str, show: Show) -> frozenset[str]:
    """Push, and give the layers that were transferred, by the start of their digest."""
    layers: dict[str, tuple[int, int]] = {}
    moved = set()
    for message in engine.push(name):
        layer, status = message.get("id", ""), message.get("status", "")
        detail: dict[str, Any] = message.get("progressDetail") or {}
        if status == "Pushing" and "current" in detail:
            total = max(detail.get("total", 0), detail["current"])
            layers[layer] = (detail["current"], total)
            done, totals = zip(*layers.values(), strict=True)
            show(sum(done), sum(totals))
        elif status == "Pushed":
            moved.add(layer)
    return frozenset(moved)
