"""``./strata notebook``: open JupyterLab on a task's environment, or run a notebook."""

from __future__ import annotations

import argparse
import os
import re
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
from orchestration.atomic_files import write_atomically
from orchestration.checkout import Checkout
from orchestration.commands.in_environment import parser, surround
from orchestration.jupyter import Jupyter, provide_jupyter
from orchestration.screen import Screen

_START_SECONDS = 60
_STOP_SECONDS = 15
_ENDINGS = (".py", ".ipynb")


def main(arguments: Sequence[str]) -> None:
    """Start JupyterLab, print its address, and stop it on Ctrl-C or SIGTERM.

    With --execute a notebook is run from its top instead, and becomes a page.

    Raises:
        UserError: The request is wrong, or there is no Docker.
        RunError: The environment or the image cannot be made, Jupyter ended by itself,
            or a cell failed.
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
    described.add_argument(
        "--execute",
        type=Path,
        metavar="NOTEBOOK",
        help="run all cells of a notebook (.py with # %%%% cells, or .ipynb) instead, "
        "and write what they show as a page",
    )
    described.add_argument(
        "--page",
        type=Path,
        metavar="FILE",
        help="with --execute: the page; outputs/notebooks/NAME.html if left out",
    )
    args = described.parse_args(arguments)
    if args.page is not None and args.execute is None:
        raise UserError("--page is for --execute")
    checkout = Checkout.of_this_code()
    (checkout.root / "notebooks").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="strata-notebook-") as scratch:
        kernels = Path(scratch) / "kernels"
        if args.execute is not None:
            _check_notebook(args.execute)
            jupyter = provide_jupyter(checkout, kernels, args.docker, warn)
            _execute(args, checkout, jupyter)
        else:
            _check_port(args.port)
            jupyter = provide_jupyter(checkout, kernels, args.docker, warn)
            _serve(args, jupyter, Path(scratch) / "log")


def _serve(args: argparse.Namespace, jupyter: Jupyter, log: Path) -> None:
    options, ip = list(jupyter.options), "127.0.0.1"
    if args.docker:
        options += ["--publish", f"127.0.0.1:{args.port}:{args.port}"]
        options += ["--env", "JUPYTER_TOKEN"]
        ip = "0.0.0.0"
    surroundings = surround(args, live=True, options=options)
    root = "/workspace" if args.docker else surroundings.folder
    command = surroundings.command(
        [*jupyter.start, "jupyterlab", "--no-browser", f"--ip={ip}"]
        + [f"--port={args.port}", "--ServerApp.port_retries=0", "--allow-root"]
        + [f"--LabApp.app_dir={jupyter.lab}", f"--ServerApp.root_dir={root}"]
    )
    token = secrets.token_urlsafe(24)
    environment = {
        **os.environ,
        **surroundings.variables,
        **jupyter.variables,
        "JUPYTER_TOKEN": token,
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


def _check_notebook(path: Path) -> None:
    if path.suffix not in _ENDINGS:
        raise UserError(f"{path}: a notebook ends in {' or '.join(_ENDINGS)}")
    if not path.is_file():
        raise UserError(f"there is no notebook {path}")


def _execute(args: argparse.Namespace, checkout: Checkout, jupyter: Jupyter) -> None:
    """Run a notebook's cells in the folder notebooks/, and write the page."""
    read = subprocess.run(
        [str(jupyter.python), "-m", "jupytext", "--to", "ipynb", "--output", "-"]
        + [str(args.execute.absolute())],
        capture_output=True,
    )
    if read.returncode:
        raise UserError(f"{args.execute} is no notebook: {_last(read.stderr)}")
    options = [*jupyter.options]
    if args.docker:
        options += ["--workdir", "/workspace/notebooks"]
    surroundings = surround(args, live=True, options=options)
    command = surroundings.command(
        [*jupyter.start, "nbconvert", "--to", "html", "--execute", "--stdin"]
        + ["--stdout", "--log-level=ERROR"]
    )
    with Screen().steps(f"running {args.execute}"):
        page = subprocess.run(
            command,
            cwd=surroundings.folder / "notebooks",
            env={**os.environ, **surroundings.variables, **jupyter.variables},
            input=read.stdout,
            capture_output=True,
        )
    if page.returncode:
        raise RunError(f"{args.execute} failed: {_last(page.stderr)}")
    place = args.page or checkout.root / f"outputs/notebooks/{args.execute.stem}.html"
    write_atomically(place, page.stdout)
    say(str(args.page or place.relative_to(checkout.root)))


def _last(output: bytes) -> str:
    """Give the last line that says something, without colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", output.decode(errors="replace"))
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            problem = getattr(error, "strerror", None) or error
            raise UserError(f"port {port}: {problem}; choose another --port") from None


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
