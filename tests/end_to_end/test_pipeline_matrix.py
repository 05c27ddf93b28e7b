"""A step runs when something that it depends on has changed, and at no other time."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.store.objects import open_objects
from tests.end_to_end.conftest import missing
from tests.end_to_end.mill import STEPS, Mill
from tests.orchestration.store.conftest import Server, s3_store, seaweedfs

__all__ = ["seaweedfs"]  # a fixture

Edit = Callable[[Mill], object]


def append(name: str, text: str = "\n# edited\n") -> Edit:
    def edit(mill: Mill) -> None:
        path = mill.tree.root / name
        path.write_text(path.read_text() + text)

    return edit


def bump(package: str) -> Edit:
    def edit(mill: Mill) -> None:
        lock = mill.tree.root / "3rdparty/torch.lock"
        # One hash less is another set of files, and installs all the same.
        entry = re.compile(rf"(?m)^({package}==.*\n)    --hash=.*\n(    --hash)")
        text, count = entry.subn(r"\1\2", lock.read_text())
        assert count == 1
        lock.write_text(text)

    return edit


def touched(mill: Mill) -> None:
    os.utime(mill.grain / "a.txt", (1_000_000_000, 1_000_000_000))


def same_size_and_time(mill: Mill) -> None:
    path = mill.grain / "a.txt"
    status = path.stat()
    path.write_text("BARLEY")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def older(mill: Mill) -> None:
    new = mill.grain.parent / "older"
    new.write_text("BARLEY")
    os.utime(new, (1_000_000_000, 1_000_000_000))
    new.replace(mill.grain / "a.txt")


def retargeted(mill: Mill) -> None:
    (mill.grain.parent / "linked/wheat.txt").write_text("wheat")
    (mill.grain / "c.txt").unlink()
    (mill.grain / "c.txt").symlink_to("../linked/wheat.txt")


def retargeted_to_the_same(mill: Mill) -> None:
    (mill.grain.parent / "linked/copy.txt").write_text("rye")
    (mill.grain / "c.txt").unlink()
    (mill.grain / "c.txt").symlink_to("../linked/copy.txt")


INPUTS: dict[str, tuple[Edit, set[str]]] = {
    "nothing": (lambda mill: None, set()),
    "touched": (touched, set()),
    "same size and time": (same_size_and_time, {"grind", "bake", "sieve"}),
    "older": (older, {"grind", "bake", "sieve"}),
    "renamed": (
        lambda mill: (mill.grain / "a.txt").rename(mill.grain / "z.txt"),
        {"grind", "bake", "sieve"},
    ),
    "added": (
        lambda mill: (mill.grain / "d.txt").write_text("spelt"),
        {"grind", "bake", "sieve"},
    ),
    "emptied": (
        lambda mill: (mill.grain / "a.txt").write_text(""),
        {"grind", "bake", "sieve"},
    ),
    # What comes of it is the same, and there it stops.
    "executable": (
        lambda mill: (mill.grain / "a.txt").chmod(0o755),
        {"grind", "sieve"},
    ),
    "read-only": (lambda mill: (mill.grain / "a.txt").chmod(0o444), set()),
    "link retargeted": (retargeted, {"grind", "bake", "sieve"}),
    "link to the same bytes": (retargeted_to_the_same, set()),
    "another step's input": (
        lambda mill: (mill.grain.parent / "one.txt").write_text("two"),
        {"weigh"},
    ),
}


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_count_by_content(mill: Mill, name: str) -> None:
    edit, expected = INPUTS[name]
    edit(mill)

    ran = mill.ran()

    assert set(ran) == expected
    if "grind" in expected:
        assert ran["grind"].startswith("input grain: tree:")
    if "weigh" in expected:
        assert ran["weigh"].startswith("input grain: file:")
    if "bake" in expected:
        assert ran["bake"].startswith("input flour: file:")


SOURCES: dict[str, tuple[Edit, set[str], str]] = {
    "imported helper": (
        append("src/domains/mill/helper.py"),
        {"grind"},
        "file src/domains/mill/helper.py changed",
    ),
    "helper two imports away": (
        append("src/domains/mill/deep.py", "AMOUNT = 11\n"),
        {"grind", "bake"},
        "file src/domains/mill/deep.py changed",
    ),
    "package resource": (
        append("src/domains/mill/label.txt"),
        {"grind", "bake"},
        "file src/domains/mill/label.txt changed",
    ),
    "sibling that nobody imports": (append("src/domains/mill/unused.py"), set(), ""),
    "a file of the build": (append("3rdparty/torch.in", "# edited\n"), set(), ""),
    "package that is reached": (bump("tqdm"), {"grind"}, "package tqdm changed"),
    "package that is not reached": (bump("numpy"), set(), ""),
}


@pytest.mark.parametrize("name", SOURCES)
def test_code_and_packages_count_as_far_as_they_are_reached(
    mill: Mill, name: str
) -> None:
    edit, expected, reason = SOURCES[name]
    edit(mill)

    ran = mill.ran()

    assert set(ran) == expected
    assert ran.get("grind", "") == reason


@pytest.mark.parametrize(
    ("value", "runs"), [("8", False), ("8.0", False), ("'8'", False), ("9", True)]
)
def test_parameters_count_by_value(mill: Mill, value: str, runs: bool) -> None:
    ran = mill.ran("--set", f"factor={value}")

    assert set(ran) == ({"grind", "bake"} if runs else set())
    assert not runs or ran["grind"] == "argument --factor: 8 -> 9"


def test_declared_variables_count_and_no_others_are_seen(
    mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILL_SECRET", "hunter2")
    assert mill.ran() == {}
    monkeypatch.setenv("MILL_SPEED", "fast-9f31")

    run = mill.run()

    assert run["steps"]["grind"]["reason"] == "environment variable MILL_SPEED is new"
    seen = json.loads(mill.read(run, "grind", "flour"))
    assert (seen["speed"], seen["secret"]) == ("fast-9f31", None)
    # A value may be secret: it is in no document of the store.
    kept = [p for name in ("records", "runs") for p in (mill.folder / name).rglob("*")]
    assert not any(p.is_file() and b"fast-9f31" in p.read_bytes() for p in kept)


def test_a_command_sees_what_it_reaches_and_nothing_else(mill: Mill) -> None:
    run = mill.run()
    seen = json.loads(mill.read(run, "grind", "flour"))

    assert seen["importable"] == ["tqdm"]
    assert not seen["siblings"]
    assert seen["folder"] == ["inputs", "outputs"]


def test_why_names_what_differs_and_shows_the_text(mill: Mill) -> None:
    append("src/domains/mill/deep.py", "AMOUNT = 12\n")(mill)

    said = mill.strata("why", "mill", "grind").output

    assert "file src/domains/mill/deep.py changed\n" in said
    assert "+AMOUNT = 12\n" in said
    assert "waits for what grind" in mill.strata("why", "mill", "bake").output
    assert "weigh is cached" in mill.strata("why", "mill", "weigh").output
    planned = json.loads(mill.strata("plan", "mill", "--json").output)
    states = {step["step"]: step["state"] for step in planned}
    assert states == {
        "grind": "runs",
        "bake": "waits",
        "sieve": "cached",
        "weigh": "cached",
    }


def test_a_new_item_alone_is_run_and_planned(mill: Mill) -> None:
    (mill.grain / "d.txt").write_text("spelt for one item")
    planned = json.loads(mill.strata("plan", "mill", "--json").output)
    (sieve,) = (step for step in planned if step["step"] == "sieve")
    assert sieve["items"] == {
        "a.txt": "cached",
        "b.txt": "cached",
        "c.txt": "cached",
        "d.txt": "runs",
    }

    # Nor does the collector take what the others gave.
    collected = mill.strata("store", "gc", "--grace", "0s")
    assert collected.status == 0, collected.errors

    run = mill.run()

    assert run["steps"]["sieve"]["ran"] == 1
    outcome = mill.strata(
        "get", f"{run['id']}:sieve/fine", str(mill.folder.parent / "fine")
    )
    assert outcome.status == 0, outcome.errors
    fine = mill.folder.parent / "fine"
    assert {path.name: path.read_text() for path in fine.iterdir()} == {
        "a.txt.txt": "a.txt barley",
        "b.txt.txt": "b.txt oats",
        "c.txt.txt": "c.txt rye",
        "d.txt.txt": "d.txt spelt for one item",
    }


def test_an_output_that_the_store_has_lost_is_made_again(mill: Mill) -> None:
    run = mill.run()
    reference = run["steps"]["grind"]["outputs"]["flour"]["reference"]
    blob = mill.folder / "cas" / reference.partition(":")[2]
    content = blob.read_bytes()
    blob.unlink()

    assert mill.ran() == {"grind": "the store has lost an output of it"}
    assert blob.read_bytes() == content


def test_an_output_that_is_damaged_in_the_store_is_made_again(mill: Mill) -> None:
    run = mill.run()
    reference = run["steps"]["grind"]["outputs"]["flour"]["reference"]
    blob = mill.folder / "cas" / reference.partition(":")[2]
    content = blob.read_bytes()
    blob.chmod(0o644)
    blob.write_bytes(content.swapcase())

    # bake has to run, and finds that what it is to read is damaged.
    run = mill.run("--set", "mood=fine")

    assert {name: step["state"] for name, step in run["steps"].items()} == {
        "grind": "done",
        "bake": "done",
        "sieve": "cached",
        "weigh": "cached",
    }
    assert blob.read_bytes() == content


def test_pipelines_share_what_their_steps_have_in_common(mill: Mill) -> None:
    run = mill.run(pipeline="mill/nightly")

    assert run["steps"]["grind"]["state"] == "cached"


def test_another_clone_on_another_branch_for_another_user_has_it_all(
    mill: Mill,
    seaweedfs: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The two have nothing in common but the address of a bucket.
    bucket = s3_store(seaweedfs.port, monkeypatch)
    # SeaweedFS makes a bucket with its first object.
    open_objects(bucket).put("tmp/first", b"")
    filled = mill.strata("store", "push", bucket)
    assert filled.status == 0, filled.errors
    clone = tmp_path / "clone"
    mill.tree.git("clone", "--quiet", str(mill.tree.root), str(clone))
    shutil.copytree(mill.grain.parent, clone / "data", symlinks=True)
    other = Mill(type(mill.tree)(clone), bucket)
    other.tree.git("checkout", "--quiet", "-b", "feature/other")
    for name in ("USER", "LOGNAME"):
        monkeypatch.setenv(name, "somebody")
    try:
        assert other.ran() == {}
        # And what the clone adds is there for the first.
        (other.grain / "d.txt").write_text("spelt")
        assert set(other.ran()) == {"grind", "bake", "sieve"}
        (mill.grain / "d.txt").write_text("spelt")
        assert Mill(mill.tree, bucket).ran() == {}
        got = other.strata("get", "last:grind/flour", str(tmp_path / "flour"))
        assert got.status == 0, got.errors
        assert "spelt" in (tmp_path / "flour").read_text()
    finally:
        for pid in clone.glob(".pids/*/pantsd/pid"):
            os.kill(int(pid.read_text()), 15)


def test_another_operating_system_counts_except_for_a_portable_step(
    mill: Mill, tmp_path: Path
) -> None:
    release = tmp_path / "os-release"
    release.write_text("ID=other\nVERSION_ID=1\n")
    script = f'mount --bind "{release}" /etc/os-release && exec "$@"'
    probe = ["unshare", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*probe, "true"], capture_output=True).returncode:
        missing("no mount namespace can be made here; it takes root")

    outcome = mill.tree.run(
        *probe, "./strata", "plan", "mill", "--json", "--store", str(mill.store)
    )

    planned = {step["step"]: step for step in json.loads(outcome.output)}
    assert {n for n in STEPS if planned[n]["state"] == "cached"} == {"weigh"}
    assert planned["grind"]["reason"].startswith("system: host: ")
    assert "-> host: other 1" in planned["grind"]["reason"]
