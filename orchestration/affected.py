"""Tasks, pipelines and images, with everything that a change of would affect them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from orchestration.changes import PACKAGE, Parts, Things, code_parts, image_parts
from orchestration.pipelines.code import Scripts
from orchestration.pipelines.loading import find_pipelines, load_pipeline
from orchestration.pipelines.spec import FromPath, Pipeline
from orchestration.target_graph import Tree
from orchestration.tasks import find_tasks

_DOMAINS = "src/domains/"
_SPECIFICATIONS = (".json", ".yaml", ".yml")
_FOLDERS = ("deploy", "environment")
# What a pipeline's steps have from the image that they run in, besides its packages.
_BELOW = ("docker/base", "dockerfile")


def describe_all(root: Path, tree: Tree) -> Things:
    """Give the parts of all tasks, pipelines and images of a tree.

    An image is made of what its tag stands for. A pipeline is made of its file, what
    its steps' scripts reach, the files of the tree that it reads in any profile, and
    what lies below the packages in its image. A task is made of its image, its
    pipeline, and the specification files of its folder.

    Args:
        root: The tree's root, where locks and pipelines are read.
        tree: The tree and its graph.

    Raises:
        UserError: A pipeline's file is wrong, or a lock lacks a package.
    """
    tasks = find_tasks(root, tree)
    images = image_parts(tree, tasks)
    scripts = Scripts(root, tree)
    pipelines: dict[str, Parts] = {}
    for name, path in find_pipelines(root, tree.files).items():
        file = path.relative_to(root).as_posix()
        image = images.get(name, {})
        pipelines[name] = {
            **{part: image[part] for part in image if part[0] in _BELOW},
            ("pipeline", file): tree.files[file],
            **_read_by(tree, load_pipeline(path, name), name, scripts),
        }
    made_of = {
        name: _merged(image, pipelines.get(name, {})) for name, image in images.items()
    }
    specifications = _specifications(tree, {*tasks, *pipelines})
    return {
        "tasks": {
            name: {
                **parts,
                **{
                    ("specification", file): tree.files[file]
                    for file in specifications[name]
                    if file not in {named for _, named in parts}
                },
            }
            for name, parts in made_of.items()
        },
        "pipelines": pipelines,
        "images": images,
    }


def _read_by(tree: Tree, pipeline: Pipeline, name: str, scripts: Scripts) -> Parts:
    """Give the parts that a pipeline's steps reach and read."""
    found: Parts = {}
    for step in pipeline.steps.values():
        code = scripts.code(name, step.script)
        found = _merged(found, code_parts(code.files, code.packages))
    paths = {
        source.path
        for sources in (
            *(step.inputs.values() for step in pipeline.steps.values()),
            *(profile.inputs.values() for profile in pipeline.profiles.values()),
        )
        for source in sources
        if isinstance(source, FromPath)
    }
    paths |= {
        dataset.address
        for datasets in (
            pipeline.datasets,
            *(profile.datasets for profile in pipeline.profiles.values()),
        )
        for dataset in datasets.values()
    }
    read = {
        ("input", file): state
        for file, state in tree.files.items()
        if file in paths or not paths.isdisjoint(map(str, PurePosixPath(file).parents))
    }
    return {**found, **read}


def _merged(one: Parts, other: Parts) -> Parts:
    """Put parts together. A package that two locks have keeps the pins of both."""
    both = {
        part: tuple(sorted({*map(str, one[part]), *map(str, other[part])}))
        for part in one
        if part in other and part[0] == PACKAGE and one[part] != other[part]
    }
    return {**one, **other, **both}


def _specifications(tree: Tree, names: Iterable[str]) -> Mapping[str, list[str]]:
    """Give the files of each folder below src/domains that say how it runs.

    They are YAML and JSON files, and all in environment/ and deploy/. One belongs to
    the nearest folder above it that is a task's or a pipeline's.
    """
    found: dict[str, list[str]] = {name: [] for name in names}
    for file in sorted(tree.files):
        path = PurePosixPath(file)
        if not file.startswith(_DOMAINS) or path.name == "BUILD":
            continue
        folders = path.relative_to(_DOMAINS).parents
        owner = next((str(one) for one in folders if str(one) in found), None)
        if owner is None:
            continue
        inner = path.relative_to(_DOMAINS + owner)
        if path.suffix in _SPECIFICATIONS or inner.parts[0] in _FOLDERS:
            found[owner].append(file)
    return found
