"""Datasets elsewhere, brought to this machine once for each state of them.

What tells states apart is what the server says (names, sizes, tags); that only spares
the transfer. A step's key has the content that has arrived.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import obstore
import requests
from obstore.exceptions import BaseError
from obstore.store import from_url

from common.errors import RunError, UserError
from orchestration.atomic_files import make_folder_once

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
    try:
        return _copy(address, cache)
    except BaseError as error:
        raise RunError(f"{address} cannot be read: {type(error).__name__}") from None


def _copy(address: str, cache: Path) -> Path:
    folder, _, last = address.rstrip("/").rpartition("/")
    # A bucket has no folder above it.
    top = from_url(address if folder.endswith("/") else folder)
    prefix = None if folder.endswith("/") else last
    listed = sorted(
        (str(one["path"]), int(one["size"]), str(one["e_tag"]))
        for page in obstore.list(top, prefix)
        for one in page
    )
    if not listed and prefix is not None:
        try:
            one = obstore.head(top, prefix)
        except FileNotFoundError:
            raise UserError(f"{address}: there is nothing") from None
        listed = [(prefix, int(one["size"]), str(one["e_tag"]))]
    if not listed:
        raise UserError(f"{address}: there is nothing")

    def fill(new: Path) -> None:
        for name, _, _ in listed:
            target = new / "content" / name
            if not target.resolve().is_relative_to(new.resolve()):
                raise RunError(f"{address}: the name {name!r} leads out of the folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                for part in obstore.get(top, name).stream(min_chunk_size=_CHUNK):
                    file.write(part)

    kept = _kept(cache, address, json.dumps(listed), fill)
    return kept if prefix is None else kept / prefix


def _download(address: str, cache: Path) -> Path:
    shown = address.partition("?")[0]
    name = Path(shown).name or "file"
    try:
        with requests.get(address, stream=True, timeout=_SECONDS) as answer:
            answer.raise_for_status()
            tags = ("ETag", "Last-Modified", "Content-Length")
            state = json.dumps([answer.headers.get(tag) for tag in tags])

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
