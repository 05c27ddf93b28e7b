"""Runs that fail, are stopped or killed, and runs of a part of a pipeline."""

from __future__ import annotations

import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest

from tests.end_to_end.conftest import missing
from tests.end_to_end.mill import Mill


def states(run: dict[str, dict[str, dict[str, str]]]) -> dict[str, str]:
    return {name: step["state"] for name, step in run["steps"].items()}


@contextmanager
def started(mill: Mill, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """Start a run and make sure that it has ended afterwards."""
    process = subprocess.Popen(
        # Who runs the tests may have them survive their terminal; a run shall not.
        ["env", "--default-signal=HUP", "./strata", "run", "mill"]
        + ["--store", str(mill.store), *flags],
        cwd=mill.tree.root,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def verified(mill: Mill) -> bool:
    return mill.strata("store", "verify").status == 0


def test_a_failure_shows_the_last_lines_and_where_the_log_is(mill: Mill) -> None:
    (mill.grain / "d.txt").write_text("a stone")

    outcome = mill.strata("run", "mill", "--set", "mood=bad", "--keep-going")

    assert outcome.status == 1
    assert "x bake   failed: it ended with status 1\nthe oven is cold" in outcome.errors
    # What does not depend on it went on, and failed for a reason of its own.
    assert "d.txt has a stone" in outcome.errors
    (logs,) = re.findall(r"\./strata (logs \S+ \S+) has the log", outcome.errors)
    assert mill.strata(*logs.split()).output == "the oven is cold\n"
    shown = mill.strata("show", "last").output
    assert re.search(r"(?m)^bake +failed", shown)
    assert "the oven is cold" in shown


def test_what_depends_on_a_failure_is_skipped(mill: Mill) -> None:
    (mill.tree.root / "src/domains/mill/label.txt").unlink()
    (mill.tree.root / "src/domains/mill/label.txt").write_bytes(b"\xff")

    run = mill.run("--keep-going")

    assert states(run) == {
        "grind": "failed",
        "bake": "skipped",
        "sieve": "cached",
        "weigh": "cached",
    }


def test_items_that_are_done_are_kept_when_another_fails(mill: Mill) -> None:
    (mill.grain / "d.txt").write_text("spelt")
    (mill.grain / "e.txt").write_text("a stone")
    assert states(mill.run())["sieve"] == "failed"
    (mill.grain / "e.txt").write_text("emmer")

    assert mill.run()["steps"]["sieve"]["ran"] == 1


@pytest.mark.parametrize(
    ("mood", "problem"),
    [
        ("forgetful", "it ended well but has not written its output bread"),
        ("careless", "its input flour changed while it was at work; nothing was kept"),
        ("scribbling", "it wrote to the folder of its code; nothing was kept"),
    ],
)
def test_a_command_that_breaks_the_rules_leaves_nothing(
    mill: Mill, mood: str, problem: str
) -> None:
    before = mill.run()

    run = mill.run("--set", f"mood={mood}")

    assert run["steps"]["bake"]["state"] == "failed"
    assert run["steps"]["bake"]["message"].startswith(problem)
    assert verified(mill)
    after = mill.run("--force", "bake")
    assert after["steps"]["bake"]["outputs"] == before["steps"]["bake"]["outputs"]


def test_wrong_flags_are_all_named_before_anything_runs(mill: Mill) -> None:
    path = mill.tree.root / "src/domains/mill/pipeline.yaml"
    text = path.read_text().replace("mood: ${params.mood}", "mud: ${params.mood}")
    text = text.replace('mood: "${params.mood}"', 'mud: "${params.mood}"')
    text = text.replace("      factor: ${params.factor}", "      factor: many")
    path.write_text(text)

    outcome = mill.strata("run", "mill")

    assert (outcome.status, outcome.output) == (2, "")
    assert "steps.bake.args.mud: bake has no --mud (did you mean" in outcome.errors
    assert len(mill.strata("runs", "--json").output.split('"id"')) == 2


def wait_for_baking(process: subprocess.Popen[str]) -> int:
    """Wait until bake is at work; the number of its process."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    while True:
        assert process.poll() is None
        for log in caches.glob("strata/runs/*/bake.log"):
            found = re.search(r"baking as (\d+)\n", log.read_text())
            if found and is_there(int(found[1])):
                return int(found[1])
        time.sleep(0.02)


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_that_is_killed_takes_its_commands_with_it(mill: Mill) -> None:
    with started(mill, "--set", "mood=slow") as process:
        baking = wait_for_baking(process)
        process.kill()
    deadline = time.monotonic() + 20
    while is_there(baking) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert not is_there(baking)


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)],
)
def test_a_stopped_run_ends_its_commands_and_goes_on_later(
    mill: Mill, number: signal.Signals, status: int
) -> None:
    with started(mill, "--set", "mood=slow") as process:
        baking = wait_for_baking(process)
        process.send_signal(number)
        process.wait(30)
        assert process.returncode == status
    assert not is_there(baking)
    assert json.loads(mill.strata("show", "last", "--json").output)["state"] == (
        "stopped"
    )
    assert verified(mill)
    assert set(states(mill.run()).values()) == {"cached"}


def test_a_run_that_is_killed_at_any_moment_does_no_harm(
    mill: Mill, tmp_path: Path
) -> None:
    moments = random.Random(7)
    start = time.monotonic()
    right = mill.run("--force", "grind", "--set", "factor=20")
    usual = time.monotonic() - start
    for factor in range(30, 36):
        with started(mill, "--set", f"factor={factor}"):
            time.sleep(moments.uniform(0, usual))
        assert verified(mill)
    fresh = Mill(mill.tree, tmp_path / "fresh")

    for factor in range(30, 36):
        run = mill.run("--set", f"factor={factor}")
        assert run["state"] == "done"
        seen = json.loads(mill.read(run, "grind", "flour"))
        assert seen["amount"] == 10 * factor
    outputs = {name: step["outputs"] for name, step in right["steps"].items()}
    again = fresh.run("--set", "factor=20")
    assert {name: step["outputs"] for name, step in again["steps"].items()} == outputs


def test_a_clock_that_is_set_back_does_no_harm(mill: Mill) -> None:
    faketime = shutil.which("faketime")
    if faketime is None:
        missing("there is no faketime (Debian: apt-get install faketime)")
    assert faketime is not None
    (mill.grain / "a.txt").write_text("millet")
    ahead = mill.tree.run(
        *(faketime, "+400 days", "./strata", "run", "mill", "--json"),
        *("--store", str(mill.store)),
    )
    assert json.loads(ahead.output)["state"] == "done", ahead.errors

    assert mill.ran() == {}
    assert mill.strata("store", "gc").status == 0
    assert mill.ran() == {}
    (mill.grain / "a.txt").write_text("MILLET")
    assert set(mill.ran()) == {"grind", "bake", "sieve"}
    assert mill.ran() == {}
    assert verified(mill)


def test_a_step_alone_runs_on_what_the_others_gave_last(mill: Mill) -> None:
    # grind would run; bake takes its last result.
    label = mill.tree.root / "src/domains/mill/label.txt"
    label.write_text("wheat")
    alone = mill.run("--only", "bake", "--force", "bake")
    assert states(alone) == {"bake": "done"}

    until = mill.run("--until", "grind")
    assert states(until) == {"grind": "done"}
    rest = mill.run("--from", "grind")
    assert states(rest) == {"grind": "cached", "bake": "done"}

    outcome = mill.strata("run", "mill", "--only", "bale")
    assert outcome.status == 2
    assert "mill has no step bale (did you mean bake?)" in outcome.errors


def test_an_output_comes_back_as_it_was_written(mill: Mill, tmp_path: Path) -> None:
    outcome = mill.strata("get", "last:bake/bread", str(tmp_path / "bread"))

    assert outcome.status == 0, outcome.errors
    bread = tmp_path / "bread"
    assert sorted(path.name for path in bread.iterdir()) == [
        "crumbs",
        "cut.sh",
        "loaf.txt",
    ]
    assert os.access(bread / "cut.sh", os.X_OK)
    assert not os.access(bread / "loaf.txt", os.X_OK)
    # Whoever edits it does not edit the store.
    (bread / "loaf.txt").write_text("toast")
    assert verified(mill)
    wrong = mill.strata("get", "last:bake/bred", str(tmp_path / "other"))
    assert wrong.status == 2
    assert "bake has no output bred (did you mean bread?)" in wrong.errors
    taken = mill.strata("get", "last:bake", str(bread))
    assert (taken.status, (bread / "loaf.txt").read_text()) == (2, "toast")

    for name, found in (("last", "all/bake/bread"), ("last:bake", "all/bread")):
        folder = tmp_path / name
        assert mill.strata("get", name, str(folder / "all")).status == 0
        assert (folder / found / "loaf.txt").is_file()


def test_a_pipeline_is_drawn(mill: Mill, tmp_path: Path) -> None:
    drawn = mill.strata("dag", "mill").output
    assert drawn.splitlines()[:2] == [
        "grind  [cached]  <- data/grain",
        "└─ bake  [cached]",
    ]

    assert mill.strata("dag", "mill", "--svg", str(tmp_path / "m.svg")).status == 0
    svg = (tmp_path / "m.svg").read_text()
    assert all(f">{name}</text>" in svg for name in ("grind", "bake", "data/grain"))


def test_containers_give_what_processes_give(
    mill: Mill, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = mill.run()

    first = mill.run("--engine", "docker")
    again = mill.run("--engine", "docker")

    assert states(first) == {
        "grind": "done",
        "bake": "done",
        "sieve": "done",
        "weigh": "cached",  # it is portable
    }
    assert set(states(again).values()) == {"cached"}
    for name, step in first["steps"].items():
        assert step["outputs"] == local["steps"][name]["outputs"]
    # Another image below is another system.
    base = os.environ.get("STRATA_PYTHON_IMAGE")
    if base is not None:
        dockerfile = io.BytesIO(f"FROM {base}\nENV MILL=1\n".encode())
        engine.images.build(fileobj=dockerfile, tag="mill/python:other")
        monkeypatch.setenv("STRATA_PYTHON_IMAGE", "mill/python:other")
        planned = mill.strata("plan", "mill", "--engine", "docker", "--json")
        states_there = {p["step"]: p["state"] for p in json.loads(planned.output)}
        assert states_there == {
            "grind": "runs",
            "bake": "waits",
            "sieve": "runs",
            "weigh": "cached",
        }
        engine.images.remove("mill/python:other", noprune=True)
    assert first["steps"]["grind"]["reason"].startswith("system: host: ")
