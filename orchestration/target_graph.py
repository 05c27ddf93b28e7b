"""What depends on what, as Pants knows it.

Pants is asked once for each state of the tree (``pants peek ::``); its answer is kept
under the digest of all files, so that a command in an unchanged tree starts no Pants.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.atomic_files import write_atomically
from orchestration.checkout import Checkout
from orchestration.file_digests import FileDigests
from orchestration.pants import ask_pants

_FORMAT = "target-graph/2"
_FIELDS = (
    "address",
    "target_type",
    "dependencies",
    "sources",
    "requirements",
    "resolve",
)
_KEPT = 16
# Says how Pants is started, and changes nothing about what it finds.
_NO_MATTER = frozenset({"PANTS_CONCURRENT"})


@dataclass(frozen=True)
class Target:
    """One of Pants' targets, with what the orchestrator needs of it.

    Attributes:
        address: Its name in Pants.
        kind: Its type, such as python_source.
        dependencies: Addresses of what it depends on, declared or inferred.
        sources: Its files, relative to the tree's root.
        requirements: The packages that it stands for, as requirements.
        resolve: The environment that it names; None takes the default one.
    """

    address: str
    kind: str
    dependencies: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    resolve: str | None = None


@dataclass(frozen=True)
class Closure:
    """Everything that some targets reach.

    Attributes:
        files: First-party files, relative to the tree's root, sorted.
        packages: Requirements of third-party packages, sorted.
    """

    files: tuple[str, ...]
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Tree:
    """The tree's state and its graph.

    Attributes:
        files: SHA-256 and executable bit of every file, by path.
        targets: Every target, by address.
    """

    files: Mapping[str, tuple[str, bool]]
    targets: Mapping[str, Target]

    def closure(self, addresses: Iterable[str]) -> Closure:
        """Collect the files and packages that targets reach over any number of edges.

        Raises:
            KeyError: There is no target of such an address.
        """
        reached: set[str] = set()
        queue = list(addresses)
        while queue:
            address = queue.pop()
            if address not in reached:
                reached.add(address)
                queue.extend(self.targets[address].dependencies)
        found = [self.targets[address] for address in reached]
        return Closure(
            tuple(sorted({s for t in found if _is_source(t) for s in t.sources})),
            tuple(sorted({r for t in found for r in t.requirements})),
        )


def _is_source(target: Target) -> bool:
    # Pants' own helpers stand for inputs and locks; packages are taken instead.
    return not target.kind.startswith("_")


def read_tree(checkout: Checkout) -> Tree:
    """Digest the tree and learn its graph, from memory where nothing has changed.

    Raises:
        UserError: Pants finds something wrong in the tree.
    """
    memory = _memory(checkout)
    digests = FileDigests(checkout.root, memory / "files.json")
    files = digests.tree(checkout.files())
    digests.save()
    return Tree(files, _graph(checkout, digests, files, memory))


def read_files(checkout: Checkout) -> Mapping[str, tuple[str, bool]]:
    """Digest the tree's files, and do not ask what depends on what.

    Returns:
        SHA-256 and executable bit of every file, by path.
    """
    digests = FileDigests(checkout.root, _memory(checkout) / "files.json")
    files = digests.tree(checkout.files())
    digests.save()
    return files


def read_passing_tree(passing: Checkout, lasting: Checkout) -> Tree:
    """Do the same for a checkout that is soon gone.

    Args:
        passing: The checkout.
        lasting: One of the same repository, beside which the graph is remembered; where
            that has been in the same state, Pants need not be asked.

    Raises:
        UserError: Pants finds something wrong in the tree.
    """
    digests = FileDigests(passing.root, None)
    files = digests.tree(passing.files())
    # A daemon would outlive the folder.
    graph = _graph(passing, digests, files, _memory(lasting), "--no-pantsd")
    return Tree(files, graph)


def _memory(checkout: Checkout) -> Path:
    return checkout.cache / "trees" / _short_digest(str(checkout.root))


def _graph(
    checkout: Checkout,
    digests: FileDigests,
    files: Mapping[str, tuple[str, bool]],
    memory: Path,
    *flags: str,
) -> dict[str, Target]:
    settings = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PANTS_") and name not in _NO_MATTER
    }
    key = _short_digest(
        json.dumps([_FORMAT, sorted(files.items()), sorted(settings.items())])
    )
    remembered = memory / "graphs" / f"{key}.json"
    try:
        listed = json.loads(remembered.read_bytes())
        os.utime(remembered)
    except (OSError, ValueError):
        listed = _peek(checkout, *flags)
        # Only what the tree as it was digested has led to is kept.
        if digests.tree(checkout.files()) == files:
            write_atomically(remembered, json.dumps(listed).encode())
            forget_oldest(remembered.parent)
    return {one["address"]: _target(one) for one in listed}


def _peek(checkout: Checkout, *flags: str) -> list[dict[str, Any]]:
    peeked = json.loads(ask_pants(checkout, *flags, "peek", "::"))
    return [{name: one[name] for name in _FIELDS if one.get(name)} for one in peeked]


def _target(peeked: Mapping[str, Any]) -> Target:
    return Target(
        peeked["address"],
        peeked["target_type"],
        tuple(peeked.get("dependencies", ())),
        tuple(peeked.get("sources", ())),
        tuple(peeked.get("requirements", ())),
        peeked.get("resolve"),
    )


def forget_oldest(folder: Path) -> None:
    """Keep the newest of what is remembered in a folder, so that it does not grow."""
    graphs = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    for path in graphs[:-_KEPT]:
        path.unlink(missing_ok=True)


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
