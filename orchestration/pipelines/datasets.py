"""Datasets elsewhere, brought to this machine once for each state of them.

What tells states apart is what the server says (names, sizes, tags); that only spares
the transfer. A step's key has the content that has arrived.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import requests

from common.errors import RunError, UserError
from orchestration.atomic_files import make_folder_once
from orchestration.delivery import MANIFEST
from orchestration.store.buckets import open_bucket

_SECONDS = 60
_CHUNK = 1 << 20


def fetch_dataset(address: str, cache: Path) -> Path:
    """Give a dataset as a file or folder of this machine.

    Args:
        address: ``https://`` of a file; ``s3://``, ``az://`` or ``gs://`` of a file or
            of a folder. Credentials come from the environment.
        cache: The folder that keeps it.

    Raises:
        UserError: There is nothing at the address.
        RunError: It cannot be read.
    """
    if address.startswith("https://"):
        return _download(address, cache)
    return _copy(address, cache)


def _copy(address: str, cache: Path) -> Path:
    scheme, _, rest = address.partition("://")
    bucket, _, path = rest.strip("/").partition("/")
    objects = open_bucket(scheme, bucket, path, address)
    # What a delivery has written there, it is; what it says about that is none of it.
    listed = (one for one in objects.list("") if one.name != MANIFEST)
    found = sorted(listed, key=lambda one: one.name)
    only = None
    if not found and path:
        above, _, only = path.rpartition("/")
        objects = open_bucket(scheme, bucket, above, address)
        one = objects.look(only)
        found = [] if one is None else [one]
    if not found:
        raise UserError(f"{address}: there is nothing")

    def fill(new: Path) -> None:
        for one in found:
            target = Path(os.path.normpath(new / "content" / one.name))
            if not target.is_relative_to(new / "content"):
                raise RunError(f"{address}: {one.name!r} leads out of the folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            objects.fetch(one.name, target)

    state = json.dumps([[one.name, one.size, one.tag, one.modified] for one in found])
    kept = _kept(cache, address, state, fill)
    return kept if only is None else kept / only


def _download(address: str, cache: Path) -> Path:
    shown = address.partition("?")[0]
    name = Path(shown).name or "file"
    try:
        with requests.get(address, stream=True, timeout=_SECONDS) as answer:
            answer.raise_for_status()
            tags = [answer.headers.get(tag) for tag in ("ETag", "Last-Modified")]
            # Who tells states apart by nothing is asked for everything each time.
            state = json.dumps(tags if any(tags) else secrets.token_hex())

            def fill(new: Path) -> None:
                (new / "content").mkdir()
                with (new / "content" / name).open("wb") as file:
                    for part in answer.iter_content(_CHUNK):
                        file.write(part)

            return _kept(cache, address, state, fill) / name
    except requests.RequestException as error:
        problem = type(error).__name__
        if error.response is not None:
            problem = f"status {error.response.status_code}"
        raise RunError(f"{shown} cannot be read: {problem}") from None


def _kept(cache: Path, address: str, state: str, fill: Callable[[Path], None]) -> Path:
    name = hashlib.sha256(json.dumps([address, state]).encode()).hexdigest()
    return make_folder_once(cache / name[:24], fill) / "content"
