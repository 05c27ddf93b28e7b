"""What is at an address is the last result, whole, and what was there besides it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import RunError, UserError
from orchestration.delivery import MANIFEST, Delivered, deliver, put_artifact
from orchestration.file_digests import FileDigests
from orchestration.pipelines.datasets import fetch_dataset
from orchestration.pipelines.spec import Pipeline
from orchestration.store.content import Content, read_content
from orchestration.store.errors import CorruptArtifact
from orchestration.store.objects import Found, open_objects
from orchestration.store.store import Store

Tree = Mapping[str, str]
FIRST = {"a.txt": "one", "deep/b.txt": "two", "deep/c & ö.txt": "three"}
# From a store of one kind to a place of another.
ROUTES = [("folder", "folder"), ("folder", "s3"), ("folder", "az"), ("s3", "folder")]


@dataclass(frozen=True)
class Route:
    """A store, and a place that its results go to.

    Attributes:
        store: The store.
        place: The place's address.
        scratch: A folder for what a test makes.
    """

    store: Store
    place: str
    scratch: Path

    def add(self, tree: Tree) -> str:
        """Store a folder with these files; its reference."""
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        for name, text in tree.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return self.add_path(folder).reference

    def add_path(self, path: Path) -> Content:
        """Store a file or folder."""
        content = read_content(path, FileDigests(Path("/"), None), "inside")
        self.store.add(path, content)
        return content

    def put(self, tree: Tree) -> Delivered:
        """Deliver a folder with these files."""
        return self.send(self.add(tree))

    def send(self, reference: str, name: str = "result") -> Delivered:
        """Deliver an artifact."""
        return put_artifact(self.store, reference, name, self.place, Path("/"))

    def lose(self, text: str) -> None:
        """Take a file with this text out of the store."""
        path = self.scratch / "lost"
        path.write_text(text)
        digest = self.add_path(path).entries[0].digest
        self.store.objects.delete([f"cas/{digest}"])

    def files(self) -> dict[str, str]:
        """Read what is at the place, but for what deliveries say."""
        found = {one.name: self.read(one.name) for one in self.found()}
        found.pop(MANIFEST, None)
        return found

    def found(self) -> list[Found]:
        """List what is at the place."""
        if "://" in self.place:
            return list(open_objects(self.place).list(""))
        root = Path(self.place)
        return [
            Found(str(path.relative_to(root)), 0, path.stat().st_mtime)
            for path in sorted(root.rglob("*"))
            if path.is_file()
        ]

    def read(self, name: str) -> str:
        """Read a file at the place."""
        if "://" not in self.place:
            return Path(self.place, name).read_text()
        data = open_objects(self.place).get(name)
        assert data is not None
        return data.decode()

    def write(self, name: str, text: str) -> None:
        """Write a file at the place."""
        if "://" in self.place:
            open_objects(self.place).put(name, text.encode())
            return
        path = Path(self.place, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture(params=ROUTES, ids="-".join)
def route(request: pytest.FixtureRequest, tmp_path: Path) -> Route:
    def address(kind: str, name: str) -> str:
        if kind == "folder":
            return str(tmp_path / name)
        place = f"{request.getfixturevalue(kind)}/{name}"
        # SeaweedFS makes a bucket with its first object.
        open_objects(place.rpartition("/")[0]).put("first", b"")
        return place

    source, target = request.param
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Route(
        Store.open(address(source, "store")), address(target, "place"), scratch
    )


@pytest.fixture
def folders(tmp_path: Path) -> Route:
    (tmp_path / "scratch").mkdir()
    store = Store.open(str(tmp_path / "store"))
    return Route(store, str(tmp_path / "place"), tmp_path / "scratch")


def test_a_folder_comes_whole_and_then_what_says_so(route: Route) -> None:
    reference = route.add(FIRST)

    assert route.send(reference) == Delivered(3, 0, 0)

    assert route.files() == FIRST
    said = json.loads(route.read(MANIFEST))
    assert said["reference"] == reference
    assert [name for name, *_ in said["files"]] == sorted(FIRST)


def test_nothing_is_written_when_nothing_has_changed(route: Route) -> None:
    route.put(FIRST)
    before = route.found()

    done = route.put(FIRST)

    assert done == Delivered(0, 0, 3)
    assert str(done) == "nothing has changed (3 files)"
    assert route.found() == before


def test_a_change_replaces_and_removes_what_was_delivered_and_nothing_else(
    route: Route,
) -> None:
    route.put(FIRST)
    route.write("deep/own.txt", "somebody's")
    route.write("own.txt", "somebody's")

    done = route.put({"a.txt": "new", "deep/b.txt": "two", "d/e.txt": "four"})

    assert done == Delivered(2, 1, 1)
    assert str(done) == "2 files written, 1 removed, 1 as they were"
    own = {"deep/own.txt": "somebody's", "own.txt": "somebody's"}
    expected = {"a.txt": "new", "deep/b.txt": "two", "d/e.txt": "four"}
    assert route.files() == {**expected, **own}


def test_what_was_taken_away_comes_back(route: Route) -> None:
    route.put(FIRST)
    if "://" in route.place:
        open_objects(route.place).delete(["deep/b.txt"])
    else:
        Path(route.place, "deep/b.txt").unlink()

    assert route.put(FIRST) == Delivered(1, 0, 2)
    assert route.files() == FIRST


def test_a_delivery_that_broke_off_is_not_taken_for_a_whole_one(route: Route) -> None:
    route.put({"a.txt": "old", "b.txt": "old, too"})
    new = {"a.txt": "new", "stray.txt": "stray", "z.txt": "lost"}
    reference = route.add(new)
    route.lose("lost")

    with pytest.raises(CorruptArtifact):
        route.send(reference)

    assert json.loads(route.read(MANIFEST))["reference"] is None
    # Back to what was there: of the same size, and yet something else by now.
    route.put({"a.txt": "old", "b.txt": "old, too"})
    assert route.files() == {"a.txt": "old", "b.txt": "old, too"}
    # And on to what could not be had.
    route.put(new)
    assert route.files() == new


def test_a_file_comes_under_its_name(route: Route) -> None:
    path = route.scratch / "x"
    path.write_text("0.98")

    route.send(route.add_path(path).reference, "metrics.json")

    assert route.files() == {"metrics.json": "0.98"}


def test_what_was_delivered_is_a_dataset_of_the_same_content(
    s3: str, tmp_path: Path
) -> None:
    open_objects(s3).put("first", b"")
    store = Store.open(str(tmp_path / "store"))
    route = Route(store, f"{s3}/place", tmp_path)
    reference = route.add(FIRST)
    route.send(reference)

    path = fetch_dataset(route.place, tmp_path / "cache")

    assert route.add_path(path).reference == reference


def test_a_program_stays_one_and_empty_folders_are_left_out(folders: Route) -> None:
    made = folders.scratch / "made"
    (made / "nothing").mkdir(parents=True)
    (made / "run").write_text("#!/bin/sh\n")
    (made / "run").chmod(0o755)
    (made / "text").write_text("")

    assert folders.send(folders.add_path(made).reference) == Delivered(2, 0, 0)

    place = Path(folders.place)
    assert os.access(place / "run", os.X_OK) and not os.access(place / "text", os.X_OK)
    assert sorted(os.listdir(place)) == [MANIFEST, "run", "text"]


@pytest.mark.parametrize(
    "said",
    [
        "none of ours",
        "[]",
        '{"format": "delivery/2", "files": []}',
        '{"format": "delivery/1", "files": [["../x", "file", "", 0]]}',
        '{"format": "delivery/1", "files": [["/etc/x", "file", "", 0]]}',
        '{"format": "delivery/1", "files": [[1, "file", "", 0]]}',
        '{"format": "delivery/1", "files": [["x"]]}',
    ],
)
def test_what_no_delivery_has_said_is_not_believed(folders: Route, said: str) -> None:
    (Path(folders.place).parent / "x").write_text("mine")
    folders.write(MANIFEST, said)

    with pytest.raises(UserError, match=r"\.strata\.json was not left by a delivery"):
        folders.put(FIRST)

    assert folders.files() == {}
    assert folders.read(MANIFEST) == said
    assert (Path(folders.place).parent / "x").read_text() == "mine"


def test_a_result_cannot_say_what_was_delivered(folders: Route) -> None:
    with pytest.raises(RunError, match="have the step call it otherwise"):
        folders.put({MANIFEST: "{}"})
    assert not Path(folders.place).exists()


def test_a_place_that_is_a_file_is_named(folders: Route) -> None:
    Path(folders.place).write_text("mine")

    with pytest.raises(UserError, match="/place.*; nothing can be delivered there"):
        folders.put(FIRST)

    assert Path(folders.place).read_text() == "mine"


def test_only_what_is_done_is_delivered(folders: Route, tmp_path: Path) -> None:
    pipeline = Pipeline.model_validate(
        {
            "steps": {
                "cut": {
                    "script": "cut",
                    "outputs": {"parts": "cut/parts", "count": "n.txt"},
                },
                "sew": {"script": "sew", "outputs": ["coat"]},
            },
            "deliver": {
                "there": "cut/parts",
                f"{tmp_path}/count/": "cut/count",
                "coats": {"step": "sew", "output": "coat"},
            },
        }
    )
    number = folders.scratch / "number"
    number.write_text("3")
    outputs = {
        "parts": {"reference": folders.add(FIRST)},
        "count": {"reference": folders.add_path(number).reference},
    }
    said: list[str] = []

    deliver(pipeline, {"cut": outputs}, folders.store, tmp_path, said.append)

    assert said == [
        f"cut/count -> {tmp_path}/count: 1 files written",
        "cut/parts -> there: 3 files written",
    ]
    assert (tmp_path / "count/n.txt").read_text() == "3"
    assert (tmp_path / "there/a.txt").read_text() == "one"
    assert not (tmp_path / "coats").exists()


# Names of which some are folders of others, and few texts, so that they meet.
_NAMES = st.sampled_from(["a", "a/b", "a/b/c", "b", "b/a", "c"])
_TEXTS = st.sampled_from(["", "x", "y", "xx"])


def _is_tree(tree: Tree) -> bool:
    return not any(one.startswith(f"{name}/") for name in tree for one in tree)


_TREES = st.dictionaries(_NAMES, _TEXTS, max_size=4).filter(_is_tree)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(_TREES, st.booleans()), min_size=1, max_size=5))
def test_whatever_came_before_the_last_result_is_there(
    results: list[tuple[Tree, bool]],
) -> None:
    scratch = Path(tempfile.mkdtemp())
    try:
        store = Store.open(str(scratch / "store"))
        route = Route(store, str(scratch / "place"), scratch)
        own = {"a-own": "somebody's", "d/own": "somebody's"}
        for name, text in own.items():
            route.write(name, text)
        for tree, breaks in results:
            reference = route.add(tree)
            if breaks and tree:
                route.lose(sorted(tree.values())[0])
                try:
                    route.send(reference)
                except CorruptArtifact:
                    route.add(tree)
            route.send(reference)

            assert route.files() == {**own, **tree}
            assert json.loads(route.read(MANIFEST))["reference"] == reference
            assert route.send(reference) == Delivered(0, 0, len(tree))
    finally:
        shutil.rmtree(scratch)
