"""The launcher sets Pants up whole or not at all, and says what is missing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# What the launcher runs of a bare system; no Python and nothing that gets one.
BARE = "bash cat cut dirname find grep mkdir mktemp mv rm sed sha256sum tail tr wc"


@contextmanager
def started(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start ``./pants --version`` in a process group of its own, and end it."""
    process = subprocess.Popen(
        ["./pants", "--version"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        # Without its daemon Pants leaves nothing running, without backends it is there
        # in half the time.
        "PANTS_BACKEND_PACKAGES": "[]",
        "PANTS_PANTSD": "false",
        "PANTS_VERIFY_CONFIG": "false",
    }


def environments(cache: Path) -> list[Path]:
    """Folders that the launcher made and finished."""
    return [path for path in cache.glob("strata/pants/*") if path.name[0] != "."]


@pytest.mark.skipif(
    not os.environ.get("CI"), reason="sets Pants up for a minute; CI=true runs it"
)
def test_a_killed_first_start_breaks_neither_of_two_that_follow_at_once(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with started(environment) as first:
        assert first.stderr is not None
        assert "first start" in first.stderr.readline()
        os.killpg(first.pid, signal.SIGKILL)
    assert environments(tmp_path / "cache") == []

    with started(environment) as left, started(environment) as right:
        outputs = [left.communicate(), right.communicate()]

    assert [left.returncode, right.returncode] == [0, 0], outputs
    assert [output for output, _ in outputs] == ["2.17.1\n", "2.17.1\n"]
    (made,) = environments(tmp_path / "cache")

    # An environment whose Python is gone is no environment.
    (made / "venv/bin/python").unlink()
    with started(environment) as again:
        assert again.stderr is not None
        assert "first start" in again.stderr.readline()


def failure(environment: dict[str, str]) -> str:
    """The one line that a failing start ends with."""
    with started(environment) as process:
        output, errors = process.communicate()
    lines = [line for line in errors.splitlines() if "first start" not in line]
    assert (process.returncode, output, len(lines)) == (2, "", 1), errors
    return lines[0]


def test_without_any_python_it_says_what_to_install(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in BARE.split():
        (tools / name).symlink_to(shutil.which(name) or name)
    environment |= {"PATH": str(tools), "HOME": str(tmp_path / "home")}
    environment.pop("PYENV_ROOT", None)

    line = failure(environment)

    assert "no Python 3" in line
    assert "apt-get install python3" in line
    assert environments(tmp_path / "cache") == []


def test_without_an_index_it_says_to_check_the_network(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    # The discard port: nothing listens there.
    nowhere = "http://127.0.0.1:9/simple"
    environment |= {
        "PIP_INDEX_URL": nowhere,
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "UV_DEFAULT_INDEX": nowhere,
        "UV_HTTP_RETRIES": "0",
    }

    line = failure(environment)

    assert "check the network" in line
    assert environments(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    cache = tmp_path / "cache"
    cache.write_text("a file where the folder should be")

    line = failure(environment)

    assert str(cache) in line
    assert "XDG_CACHE_HOME" in line
