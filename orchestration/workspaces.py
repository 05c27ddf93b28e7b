"""Folders that hold a closure and nothing else of the tree, to run it in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from common.errors import UserError
from orchestration.atomic_files import make_folder_once
from orchestration.checkout import Checkout
from orchestration.target_graph import Tree

_FORMAT = "workspace/1"


def provide_workspace(
    checkout: Checkout,
    tree: Tree,
    files: Sequence[str],
    folders: Mapping[str, Path],
    live: bool = False,
) -> Path:
    """Give a folder with a closure, at the paths that it has in the tree.

    Args:
        checkout: The checkout that the files are taken from.
        tree: Its state.
        files: The closure's files.
        folders: Folders from elsewhere that it shows under these names.
        live: Link to the files, so that an edit is seen while work goes on; otherwise
            they are copies, read-only, of the files as they are now.

    Returns:
        The folder, in the cache; the same for the same content.
    """
    content = {
        "format": _FORMAT,
        "files": [[name, *(() if live else tree.files[name])] for name in files],
        "folders": {name: str(path) for name, path in sorted(folders.items())},
        "linked to": str(checkout.root) if live else None,
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def fill(new: Path) -> None:
        if live:
            for name in files:
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).symlink_to(checkout.root / name)
        else:
            copy_files(checkout.root, tree, files, new)
            for name in files:
                (new / name).chmod((new / name).stat().st_mode & ~0o222)
        for name, path in folders.items():
            (new / name).symlink_to(path)

    return make_folder_once(checkout.cache / "workspaces" / digest[:24], fill)


def copy_files(root: Path, tree: Tree, names: Iterable[str], folder: Path) -> None:
    """Copy files of the tree as they were when it was read.

    Whatever the user's umask, they come with the modes that git and Pants give:
    readable by all, and executable by all or nobody.

    Raises:
        UserError: One has changed since, or is a link.
    """
    for name in names:
        if (root / name).is_symlink():
            raise UserError(f"{name} is a link; put the file itself there")
        digest, executable = tree.files[name]
        content = (root / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise UserError(f"{name} changed while it was read; start again")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o755 if executable else 0o644)
