"""What has changed since a commit, of what things are made of.

A thing (an image, a pipeline, a task) is described by its parts: files and locked
packages, with a state each. It is described in two trees, that of the commit from
which a reference has parted and the one that is here, and what differs are the reasons
why the thing is affected. Both graphs are Pants' own, so a part that is reached no more
is a reason as well; nothing is guessed from the names of changed files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from orchestration.checkout import Checkout
from orchestration.images.content import base_image, task_image
from orchestration.pipelines.keys import locked_packages
from orchestration.target_graph import Tree, read_passing_tree
from orchestration.tasks import Task, find_tasks

PACKAGE = "package"
_TEXTS = {
    "added": "{name} was added",
    "deleted": "{name} was deleted",
    "modified": "{name} was modified",
    "reached": "{name} is reached now",
    "unreached": "{name} is not reached any more",
    "version": "{name} is {after}, was {before}",
    "hashes": "{name} has other hashes or markers",
    "unreadable": "the tree at {name} cannot be read",
}

# Kind and name of each part, and its state. The name of a package is that of its lock's
# entry, all other parts are files by path.
Parts = Mapping[tuple[str, str], tuple[object, ...]]
# Parts by the name of a thing, by the kind of thing.
Things = Mapping[str, Mapping[str, Parts]]
Describe = Callable[[Path, Tree], Things]


@dataclass(frozen=True)
class Reason:
    """One difference.

    Attributes:
        kind: The kind of part; that of the thing if the thing is new; or tree, if what
            was there before cannot be known.
        name: The part.
        change: added, deleted or modified; reached or unreached, for a file or package
            that was there before and is; version or hashes, for a package.
        before: The locked versions before, for a package.
        after: The locked versions now, for a package.
    """

    kind: str
    name: str
    change: str
    before: str | None = None
    after: str | None = None

    def __str__(self) -> str:
        text = _TEXTS[self.change]
        return text.format(name=self.name, before=self.before, after=self.after)


@dataclass(frozen=True)
class Affected:
    """A thing that a change affects.

    Attributes:
        name: Its name.
        reasons: Why, sorted; at least one.
    """

    name: str
    reasons: tuple[Reason, ...]


def affected_since(
    checkout: Checkout,
    tree: Tree,
    reference: str,
    describe: Describe,
    tell: Callable[[str], None],
) -> dict[str, tuple[Affected, ...]]:
    """Find what is affected by the changes since a reference and HEAD have parted.

    Changes that are not committed count, and files that git does not know yet and does
    not ignore. Where the earlier tree cannot be read, everything counts as affected.

    Args:
        checkout: The checkout.
        tree: Its state.
        reference: A commit, branch or tag; git's null commit (0000...) stands for an
            empty tree.
        describe: Gives the things of a tree, by its root and state.
        tell: Is told why the earlier tree cannot be read.

    Returns:
        What is affected, by kind, sorted; of what there is now.

    Raises:
        UserError: There is no such commit, or something is wrong in the tree.
    """
    things = describe(checkout.root, tree)
    if len(reference) in (40, 64) and set(reference) == {"0"}:
        return _compare({}, {}, things, tree.files)
    base = checkout.merge_base(reference)
    with checkout.at(base) as there:
        try:
            earlier = read_passing_tree(there, checkout)
            described = describe(there.root, earlier)
        # It may be broken, or laid out as this code does not know it.
        except (UserError, OSError, LookupError, ValueError) as error:
            problem = str(error).replace(str(there.root), base[:12])
            tell(
                f"everything counts as affected: {base[:12]} cannot be read: {problem}"
            )
            reasons = (Reason("tree", base[:12], "unreadable"),)
            return {
                kind: tuple(Affected(name, reasons) for name in sorted(found))
                for kind, found in things.items()
            }
    return _compare(described, earlier.files, things, tree.files)


def describe_images(root: Path, tree: Tree) -> dict[str, dict[str, Parts]]:
    """Give the parts of all images, as their content has them.

    Raises:
        UserError: A task reaches a package that its lock lacks.
    """
    return {"images": image_parts(tree, find_tasks(root, tree))}


def image_parts(tree: Tree, tasks: Mapping[str, Task]) -> dict[str, Parts]:
    """Give the parts of tasks' images. Two images have the same if their tags agree."""
    if not tasks:
        return {}
    # Which Python image it builds on is in its Dockerfile.
    base = base_image(tree, "", "")
    below = {
        ("docker/base", name): tree.files[name]
        for name in (base.dockerfile, *base.files.values())
    }
    found: dict[str, Parts] = {}
    for task in tasks.values():
        image = task_image(tree, task, base)
        found[task.name] = {
            **below,
            ("dockerfile", image.dockerfile): tree.files[image.dockerfile],
            **code_parts(
                {name: tree.files[name] for name in image.files.values()},
                locked_packages(task.requirements),
            ),
        }
    return found


def code_parts(
    files: Mapping[str, tuple[str, bool]], packages: Mapping[str, Sequence[str]]
) -> dict[tuple[str, str], tuple[object, ...]]:
    """Give the parts of a closure: its files, and its packages with their pins."""
    return {
        **{("file", name): state for name, state in files.items()},
        **{(PACKAGE, name): tuple(pins) for name, pins in packages.items()},
    }


def _compare(
    before: Things,
    files_before: Mapping[str, object],
    after: Things,
    files_after: Mapping[str, object],
) -> dict[str, tuple[Affected, ...]]:
    found = {}
    for kind, things in after.items():
        affected = []
        for name, parts in sorted(things.items()):
            earlier = before.get(kind, {}).get(name)
            if earlier is None:
                reasons = [Reason(kind.removesuffix("s"), name, "added")]
            else:
                reasons = [
                    _reason(part, earlier.get(part), parts.get(part), there, here)
                    for part in sorted({*earlier, *parts})
                    if earlier.get(part) != parts.get(part)
                    for there, here in [
                        (part[1] in files_before, part[1] in files_after)
                    ]
                ]
            if reasons:
                affected.append(Affected(name, tuple(reasons)))
        found[kind] = tuple(affected)
    return found


def _reason(
    part: tuple[str, str],
    before: tuple[object, ...] | None,
    after: tuple[object, ...] | None,
    there: bool,
    here: bool,
) -> Reason:
    """Say how a part differs; there and here: whether both trees have its file."""
    kind, name = part
    if kind == PACKAGE:
        versions = _versions(before), _versions(after)
        if before is None or after is None:
            change = "reached" if before is None else "unreached"
        else:
            change = "hashes" if versions[0] == versions[1] else "version"
        return Reason(kind, name, change, *versions)
    if before is not None and after is not None:
        return Reason(kind, name, "modified")
    if before is None:
        return Reason(kind, name, "reached" if there else "added")
    return Reason(kind, name, "unreached" if here else "deleted")


def _versions(pins: tuple[object, ...] | None) -> str | None:
    """Give the versions among a package's pins, as ``name==version ; marker``."""
    if pins is None:
        return None
    found = {pin.partition("==")[2].split()[0] for pin in map(str, pins) if "==" in pin}
    return ", ".join(sorted(found))
