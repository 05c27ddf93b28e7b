"""Output folders appear whole or not at all, whatever happens to the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UserError
from common.outputs import Run, check_output_folder, output_folder

_RUN = Run("paint", {"colour": "red"}, ("pytest",))

_FOLDER_CONTENTS = st.dictionaries(
    st.sampled_from(["a.txt", "b.bin", "deep/er/c.txt", "-", "ü"]),
    st.binary(max_size=9),
)


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _contents(folder: Path) -> dict[str, bytes] | None:
    """Read all files but run.json; None if there is no folder."""
    if not folder.exists():
        return None
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "run.json"
    }


def test_the_folder_appears_when_the_run_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "house"
    with output_folder(path, _RUN) as folder:
        _write(folder, {"wall": b"red", "in/side": b"white"})
        assert not path.exists()
    assert _contents(path) == {"wall": b"red", "in/side": b"white"}
    assert os.listdir(path.parent) == ["house"]
    run = json.loads((path / "run.json").read_text())
    assert run["program"] == "paint"
    assert run["arguments"] == {"colour": "red"}
    assert run["files"] == ["in/side", "wall"]
    assert run["versions"]["pytest"] == pytest.__version__
    assert run["seconds"] >= 0


@settings(deadline=None)
@given(
    runs=st.lists(
        st.tuples(
            _FOLDER_CONTENTS,
            st.sampled_from([None, RuntimeError, KeyboardInterrupt, SystemExit]),
        ),
        max_size=5,
    )
)
def test_the_folder_is_always_that_of_the_last_good_run(
    runs: list[tuple[dict[str, bytes], type[BaseException] | None]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    base = tmp_path_factory.mktemp("runs")
    path = base / "parent" / "house"
    expected: dict[str, bytes] | None = None
    for contents, failure in runs:
        if failure is None:
            with output_folder(path, _RUN) as folder:
                _write(folder, contents)
            expected = contents
        else:
            with pytest.raises(failure), output_folder(path, _RUN) as folder:
                _write(folder, contents)
                raise failure
        assert _contents(path) == expected
        # Nothing else is left behind, not even an empty parent.
        assert [p.name for p in base.rglob("*") if p.parent == path.parent] == (
            [] if expected is None else ["house"]
        )
        assert path.parent.exists() == (expected is not None)


def test_what_no_run_wrote_is_never_replaced(tmp_path: Path) -> None:
    def refusal(path: Path) -> str:
        with pytest.raises(UserError) as checked:
            check_output_folder(path, "paint")
        with pytest.raises(UserError) as entered, output_folder(path, _RUN):
            pytest.fail("the run began")
        assert str(checked.value) == str(entered.value)
        assert str(path) in str(entered.value)
        return str(entered.value)

    file = tmp_path / "file"
    file.write_text("mine")
    assert "is a file" in refusal(file)
    assert f"{file} is a file" in refusal(file / "below" / "it")

    thesis = tmp_path / "thesis"
    _write(thesis, {"chapter": b"1"})
    assert "holds files that no run wrote" in refusal(thesis)
    (thesis / "run.json").write_text('{"format": "another tool\'s"}')
    assert "holds files that no run wrote" in refusal(thesis)
    assert _contents(thesis) == {"chapter": b"1"}

    other = tmp_path / "other"
    with output_folder(other, Run("wallpaper")) as folder:
        _write(folder, {"roll": b"stripes"})
    assert "holds the output of wallpaper" in refusal(other)

    house = tmp_path / "house"
    with output_folder(house, _RUN) as folder:
        _write(folder, {"wall": b"red"})
    _write(house, {"deep/note": b"mine"})
    assert "holds deep/note, which no run wrote" in refusal(house)
    assert _contents(house) == {"wall": b"red", "deep/note": b"mine"}


def test_empty_folders_and_what_file_browsers_leave_are_replaced(
    tmp_path: Path,
) -> None:
    path = tmp_path / "house"
    path.mkdir()
    for _ in range(2):
        with output_folder(path, _RUN) as folder:
            _write(folder, {"wall": b"red"})
        _write(path, {".DS_Store": b""})
    assert _contents(path) == {"wall": b"red", ".DS_Store": b""}


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    disk, link = tmp_path / "disk", tmp_path / "house"
    disk.mkdir()
    link.symlink_to(disk)
    with output_folder(link, _RUN) as folder:
        _write(folder, {"wall": b"red"})
    assert link.is_symlink()
    assert _contents(disk) == {"wall": b"red"}


def test_what_appears_during_the_run_is_kept_and_so_is_the_run(tmp_path: Path) -> None:
    path = tmp_path / "house"
    with (
        pytest.raises(UserError, match="is a file") as caught,
        output_folder(path, _RUN) as folder,
    ):
        _write(folder, {"wall": b"red"})
        path.write_text("mine")
    assert path.read_text() == "mine"
    kept = Path(str(caught.value).rpartition(" is in ")[2])
    assert _contents(kept) == {"wall": b"red"}
    assert sorted(os.listdir(tmp_path)) == ["house", kept.name]


def test_a_folder_without_permission_is_refused_before_the_run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        # Others may enter it, and nobody may write; root may all, and becomes another.
        os.chmod(folder, 0o555)
        child = os.fork()
        if child == 0:
            status = 2
            try:
                if os.geteuid() == 0:
                    os.setuid(65534)
                check_output_folder(Path(folder) / "house", "paint")
            except UserError as error:
                status = "cannot be written: no access" not in str(error)
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_name_that_is_too_long_is_refused_before_the_run(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="cannot be written"),
        output_folder(tmp_path / "parent" / ("x" * 250), _RUN),
    ):
        pytest.fail("the run began")
    assert os.listdir(tmp_path) == []


def _run_until_killed(path: Path, contents: Mapping[str, bytes], steps: int) -> bool:
    """Run in a child that dies without clean-up after some file-system operations.

    Returns:
        Whether it ended before it was to die.
    """
    child = os.fork()
    if child == 0:
        left = steps

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event.startswith(("os.", "open", "shutil.", "fcntl.")):
                if left == 0:
                    os._exit(9)
                left -= 1

        sys.addaudithook(count)
        with output_folder(path, _RUN) as folder:
            _write(folder, contents)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_run_that_is_killed_at_any_step_loses_nothing(tmp_path: Path) -> None:
    old, new = {"wall": b"old", "roof": b"old"}, {"wall": b"new", "door": b"new"}
    steps = 0
    ended = False
    seen = set()
    while not ended:
        base = tmp_path / str(steps)
        path = base / "house"
        with output_folder(path, _RUN) as folder:
            _write(folder, old)
        ended = _run_until_killed(path, new, steps)
        assert _contents(path) in (old, new, None)
        # The next run puts right what is left, even one that fails itself.
        with pytest.raises(RuntimeError), output_folder(path, _RUN):
            raise RuntimeError
        assert _contents(path) in (old, new)
        assert os.listdir(base) == ["house"]
        seen.add(json.dumps(sorted(_contents(path) or {})))
        steps += 1
    assert _contents(path) == new
    assert steps > 20
    assert len(seen) == 2


_CHILD = """
import sys
from pathlib import Path
from common.command_line import run
from common.outputs import Run, output_folder

def main(arguments):
    with output_folder(Path(sys.argv[1]), Run("paint")) as folder:
        (folder / "wall").write_text("slow")
        print("painting", flush=True)
        sys.stdin.read()

sys.exit(run("paint", main))
"""


def _start_slow_run(path: Path) -> subprocess.Popen[str]:
    """Start a run in another process; it ends when its input does."""
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "painting\n"
    return child


@pytest.mark.parametrize(
    ("number", "status", "message"),
    [
        (signal.SIGINT, 130, "paint: error: interrupted\n"),
        (signal.SIGTERM, 143, "paint: error: terminated\n"),
    ],
)
def test_signals_leave_nothing_behind(
    number: signal.Signals, status: int, message: str, tmp_path: Path
) -> None:
    child = _start_slow_run(tmp_path / "parent" / "house")
    child.send_signal(number)
    _, errors = child.communicate()
    assert (child.returncode, errors) == (status, message)
    assert os.listdir(tmp_path) == []


def test_a_live_run_is_left_alone_and_a_killed_one_cleaned_up(tmp_path: Path) -> None:
    path = tmp_path / "house"
    killed, live = _start_slow_run(path), _start_slow_run(path)
    killed.kill()
    killed.communicate()
    with output_folder(path, _RUN) as folder:
        _write(folder, {"wall": b"fast"})
    assert _contents(path) == {"wall": b"fast"}
    assert len(os.listdir(tmp_path)) == 2  # the result, and what the live run works on
    live.communicate()
    assert live.returncode == 0
    assert _contents(path) == {"wall": b"slow"}
    assert os.listdir(tmp_path) == ["house"]
