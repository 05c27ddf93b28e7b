"""``./strata notebook``: open JupyterLab on a task's environment."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import requests

from common.command_line import positive_int, say, warn
from common.errors import RunError, UserError
from orchestration.checkout import Checkout
from orchestration.commands.in_environment import parser, surround
from orchestration.environments import provide_environment
from orchestration.locks import parse_lock

_LOCK = "3rdparty/notebook.lock"
_STARTER = "orchestration/notebook_kernel.py"
_START_SECONDS = 60
_STOP_SECONDS = 15
# Where a container has what on the host lies in the cache.
_IN_IMAGE = Path("/opt/notebook")


def main(arguments: Sequence[str]) -> None:
    """Start JupyterLab, print its address, and stop it on Ctrl-C or SIGTERM.

    Raises:
        UserError: The request is wrong, or there is no Docker.
        RunError: The environment or the image cannot be made, or Jupyter ended
            by itself.
    """
    described = parser(
        "strata notebook",
        "Open JupyterLab on a task's environment, with notebooks/ and everything that "
        "the task's scripts import. Jupyter itself is no part of the environment.",
        "./strata notebook digit_recognition --port 8899",
    )
    described.add_argument(
        "--port",
        type=positive_int,
        default=8888,
        metavar="PORT",
        help="where it listens",
    )
    args = described.parse_args(arguments)
    _check_port(args.port)
    checkout = Checkout.of_this_code()
    (checkout.root / "notebooks").mkdir(exist_ok=True)
    lock = parse_lock(_LOCK, (checkout.root / _LOCK).read_text())
    jupyter = provide_environment(checkout.cache, lock.requirements(), warn)
    with tempfile.TemporaryDirectory(prefix="strata-notebook-") as scratch:
        kernels, log = Path(scratch) / "share", Path(scratch) / "log"
        options: list[str] = []
        if args.docker:
            mounts = {
                jupyter / "lib/python3.11/site-packages": "packages",
                jupyter / "share/jupyter/lab": "lab",
                checkout.root / _STARTER: "start.py",
                kernels: "share",
            }
            for source, name in mounts.items():
                options += ["--volume", f"{source}:{_IN_IMAGE / name}:ro"]
            options += ["--publish", f"127.0.0.1:{args.port}:{args.port}"]
            options += ["--env", "JUPYTER_TOKEN", "--env", "JUPYTER_PATH"]
            packages, starter = _IN_IMAGE / "packages", _IN_IMAGE / "start.py"
            lab, shown, ip = _IN_IMAGE / "lab", _IN_IMAGE / "share", "0.0.0.0"
        else:
            packages = jupyter / "lib/python3.11/site-packages"
            starter, lab = checkout.root / _STARTER, jupyter / "share/jupyter/lab"
            shown, ip = kernels, "127.0.0.1"
        start = ["python", "-P", str(starter), str(packages)]
        _write_kernel(kernels, [*start, "ipykernel_launcher"])
        surroundings = surround(args, live=True, options=options)
        root = "/workspace" if args.docker else surroundings.folder
        command = surroundings.command(
            [*start, "jupyterlab", "--no-browser", f"--ip={ip}", f"--port={args.port}"]
            + ["--ServerApp.port_retries=0", f"--LabApp.app_dir={lab}", "--allow-root"]
            + [f"--ServerApp.root_dir={root}"]
        )
        token = secrets.token_urlsafe(24)
        environment = {
            **os.environ,
            **surroundings.variables,
            "JUPYTER_TOKEN": token,
            "JUPYTER_PATH": str(shown),
        }
        with log.open("w") as output:
            server = subprocess.Popen(
                command,
                cwd=surroundings.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C reaches this process only; Jupyter would ask a question.
                start_new_session=True,
            )
        try:
            _wait_until_it_answers(server, args.port, log)
            say(f"http://127.0.0.1:{args.port}/lab?token={token}")
            say("Ctrl-C stops it")
            server.wait()
            raise RunError(f"Jupyter ended by itself: {_last_lines(log)}")
        except KeyboardInterrupt:
            say("stopped")
        finally:
            _stop(server)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            problem = getattr(error, "strerror", None) or error
            raise UserError(f"port {port}: {problem}; choose another --port") from None


def _write_kernel(share: Path, start: Sequence[str]) -> None:
    """Describe the kernel: the task's own Python, as Jupyter's kernel specs say it."""
    folder = share / "kernels/python3"
    folder.mkdir(parents=True)
    described = {
        "argv": [*start, "-f", "{connection_file}"],
        "display_name": "Python of the task",
        "language": "python",
    }
    (folder / "kernel.json").write_text(json.dumps(described))
    for path in (share, share / "kernels", folder):
        path.chmod(0o755)


def _wait_until_it_answers(
    server: subprocess.Popen[bytes], port: int, log: Path
) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RunError(f"Jupyter did not start: {_last_lines(log)}")
        try:
            if requests.get(f"http://127.0.0.1:{port}/api", timeout=2).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.2)
    raise RunError(
        f"Jupyter does not answer after {_START_SECONDS} s: {_last_lines(log)}"
    )


def _last_lines(log: Path) -> str:
    return " ".join(log.read_text(errors="replace").splitlines()[-5:])


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End Jupyter with its kernels."""
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
