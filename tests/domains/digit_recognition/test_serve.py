"""serve, as a process of its own that is asked over HTTP."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest
from PIL import Image

from common.command_line import run
from domains.digit_recognition import predict, serve

pytestmark = pytest.mark.usefixtures("one_thread")

DOCKERFILE = Path("src/domains/digit_recognition/environment/Dockerfile").absolute()
# Read before a test changes the folder: Pants puts the sources on the path relative to
# it.
_PYTHONPATH = os.pathsep.join(os.path.abspath(path) for path in sys.path)


@dataclass(frozen=True)
class Server:
    """A server that listens."""

    process: subprocess.Popen[str]
    line: str

    @property
    def address(self) -> tuple[str, int]:
        found = re.search(r"at http://([\d.]+):(\d+)/score$", self.line)
        assert found, self.line
        return found[1], int(found[2])

    def ask(
        self, method: str, path: str, body: bytes | None = None
    ) -> tuple[int, str, str]:
        """Ask, and give the answer's status, kind and text."""
        connection = HTTPConnection(*self.address, timeout=30)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            kind = answer.getheader("Content-Type", "")
            return answer.status, kind, answer.read().decode()
        finally:
            connection.close()


@contextmanager
def serving(model_path: Path) -> Iterator[Server]:
    """Start what the task's image starts, with another port and model."""
    given = {"--host": "127.0.0.1", "--port": "0", "--model_path": str(model_path)}
    words = json.loads(DOCKERFILE.read_text().partition("\nCMD ")[2])
    assert words[:3] == ["python", "-m", "domains.digit_recognition.serve"]
    flags = dict(zip(words[3::2], words[4::2], strict=True))
    assert flags == {"--host": "0.0.0.0", "--port": "8080", "--model_path": "/models"}
    command = [sys.executable, *words[1:3]]
    for name, value in given.items():
        command += [name, value]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": _PYTHONPATH, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            yield Server(process, process.stdout.readline().rstrip("\n"))
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose model lies where platforms put one."""
    mounted = tmp_path_factory.mktemp("models")
    shutil.copytree(model, mounted / "digit_recognition/3/model")
    with serving(mounted) as server:
        yield server


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def test_it_says_what_it_serves_and_is_ready_then(server: Server) -> None:
    assert server.line.startswith("mlp, trained on digits, at http://127.0.0.1:")
    assert server.ask("GET", "/health") == (
        200,
        "text/plain; charset=utf-8",
        "ready\n",
    )


def test_images_are_read_as_predict_reads_them_also_many_at_a_time(
    server: Server, model: Path, digits: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    flags = ["--model_path", str(model), "--output_path", str(output)]
    assert run("predict", predict.main, [str(digits), *flags, "--device", "cpu"]) == 0
    with (output / "predictions.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))

    def score(path: str) -> tuple[int, str, str]:
        return server.ask("POST", "/score", Path(path).read_bytes())

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(score, [row["path"] for row in expected]))

    assert len(answers) == 12
    for (status, kind, text), row in zip(answers, expected, strict=True):
        assert (status, kind) == (200, "application/json")
        read = json.loads(text)
        assert read["digit"] == int(row["digit"])
        assert read["confidence"] == pytest.approx(float(row["confidence"]), abs=1e-5)
        shares = [float(row[f"probability_{digit}"]) for digit in range(10)]
        assert read["probabilities"] == pytest.approx(shares, abs=1e-5)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/score", b"seven", 400, "the body is no PNG image, or is damaged"),
        ("POST", "/score", None, 400, "the body is no PNG image, or is damaged"),
        (
            "POST",
            "/score",
            png(Image.new("L", (30, 30), 255)),
            400,
            "the body is blank: it shows no digit",
        ),
        (
            "POST",
            "/score",
            png(Image.new("1", (9600, 9600))),
            400,
            "the body is too large: more pixels than any digit needs",
        ),
        ("GET", "/score", None, 405, "/score takes POST"),
        ("POST", "/health", b"", 405, "/health takes GET"),
        ("GET", "/", None, 404, "there are GET /health and POST /score"),
        ("POST", "/score/../etc", b"", 404, "there are GET /health and POST /score"),
    ],
    ids=str,
)
def test_what_cannot_be_answered_is_told_in_a_line(
    server: Server, method: str, path: str, body: bytes, status: int, said: str
) -> None:
    found, kind, text = server.ask(method, path, body)

    assert (found, text) == (status, f"{said}\n")
    assert kind.startswith("text/plain")


def test_a_picture_that_is_cut_short_is_refused(server: Server, digits: Path) -> None:
    content = (digits / "00.png").read_bytes()

    status, _, text = server.ask("POST", "/score", content[: len(content) // 2])

    assert status == 400
    assert re.fullmatch(r"the body cannot be read: [^\n]+\n", text)


def test_a_body_that_is_too_large_is_refused_before_it_has_come(server: Server) -> None:
    connection = HTTPConnection(*server.address, timeout=30)
    connection.putrequest("POST", "/score")
    connection.putheader("Content-Length", str(2**40))
    connection.endheaders()

    assert connection.getresponse().status == 413
    connection.close()


def test_sigterm_ends_it_with_the_status_of_all_commands(model: Path) -> None:
    with serving(model / "model.safetensors") as server:
        kept = HTTPConnection(*server.address, timeout=30)
        kept.request("GET", "/health")
        assert kept.getresponse().status == 200

        # To a thread that does not wait for it: the system may choose any.
        threads = os.listdir(f"/proc/{server.process.pid}/task")
        os.kill(max(map(int, threads)), signal.SIGTERM)
        output, errors = server.process.communicate(timeout=30)

        kept.close()
    assert server.process.returncode == 143
    assert (output, errors) == ("", "serve: error: terminated\n")


def _nothing(model: Path) -> None:
    """Leave all as it is."""


def _copy(model: Path) -> None:
    shutil.copytree(model, model.parent / "other")


def _remove(model: Path) -> None:
    shutil.rmtree(model)


@pytest.mark.parametrize(
    ("flags", "damage", "problem"),
    [
        ([], _remove, "models holds no model: no model.json below it"),
        ([], _copy, "models holds 2 models, name one: models/a/1, models/a/other"),
        (["--model_path", "nowhere"], _nothing, "model folder nowhere does not exist"),
        (["--port", "65536"], _nothing, "--port 65536: takes a port, up to 65535"),
        (["--port", "-1"], _nothing, "--port: '-1' is not a whole number"),
        (["--host", "256.0.0.1"], _nothing, "--host 256.0.0.1 --port 0: cannot listen"),
        (["--invert", "maybe"], _nothing, "'maybe' is none of auto, yes, no"),
        (["--pord", "1"], _nothing, "--pord; did you mean --port?"),
    ],
)
def test_a_wrong_request_is_one_line(
    flags: list[str],
    damage: Callable[[Path], None],
    problem: str,
    model: Path,
    scratch: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(model, scratch / "models/a/1")
    damage(scratch / "models/a/1")

    given = ["--model_path", "models", "--port", "0", *flags]
    assert run("serve", serve.main, given) == 2

    errors = capsys.readouterr().err
    assert re.fullmatch(r"serve: error: [^\n]+\n", errors)
    assert problem in errors


def test_a_port_that_is_taken_is_named(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flags = ["--model_path", str(model), "--port", str(port)]
        assert run("serve", serve.main, flags) == 2

    said = f"--host 127.0.0.1 --port {port}: cannot listen there: Address already in"
    assert f"serve: error: {said}" in capsys.readouterr().err
