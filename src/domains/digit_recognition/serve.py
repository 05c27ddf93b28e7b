"""Read handwritten digits for whoever asks over HTTP."""

from __future__ import annotations

import argparse
import json
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import Parser, non_negative_int, run, say
from common.errors import RunError, UserError
from common.task_scripts import add_device_argument
from domains.digit_recognition import options
from domains.digit_recognition.images import decode_digit

if TYPE_CHECKING:
    from domains.digit_recognition.reader import Reader

_LARGEST_PORT = 65535
# Of a body, in bytes: a page that is scanned in colour, as PNG, has fewer.
_LARGEST_BODY = 32 * 2**20
# Requests at a time; further ones wait.
_THREADS = 4
_LOOK_SECONDS = 0.5

_Respond = Callable[[str, list[tuple[str, str]]], object]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is told to end.

    Args:
        arguments: The command's arguments; None takes those of the process.

    Raises:
        UserError: An argument or the model is wrong.
        RunError: The server has ended by itself.
    """
    args = _parser().parse_args(arguments)
    if args.port > _LARGEST_PORT:
        raise UserError(f"--port {args.port}: takes a port, up to {_LARGEST_PORT}")

    # Only now: torch takes seconds, and neither --help nor a wrong flag needs it.
    from waitress.server import create_server

    from domains.digit_recognition.reader import Reader
    from domains.digit_recognition.saved_models import find_model

    reader = Reader(find_model(args.model_path), args.device)
    try:
        # Not before the model is there: whoever can connect is answered.
        listening = socket.create_server((args.host, args.port))
    except OSError as error:
        where = f"--host {args.host} --port {args.port}"
        raise UserError(f"{where}: cannot listen there: {error.strerror}") from None
    # A line for each request that waits a moment would bury what matters.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    server = create_server(
        _Application(reader, args.invert),
        sockets=[listening],
        threads=_THREADS,
        max_request_body_size=_LARGEST_BODY,
        ident=None,
    )
    ended = threading.Event()

    def answer() -> None:
        try:
            server.run()
        finally:
            ended.set()

    # Not here: its loop would swallow the signal that ends the process.
    threading.Thread(target=answer, daemon=True).start()
    host, port = listening.getsockname()
    say(f"{reader.name}, at http://{host}:{port}/score")
    try:
        # An endless wait would not see a signal that came just before it, or that the
        # system gave to another thread.
        while not ended.wait(_LOOK_SECONDS):
            pass
    finally:
        # Requests that are being answered get their answer.
        server.task_dispatcher.shutdown()
    raise RunError("the server ended by itself")


class _Application:
    """The answers, as WSGI (PEP 3333) wants them."""

    def __init__(self, reader: Reader, invert: str) -> None:
        self._reader = reader
        self._invert = invert
        # Decoding sets a filter of warnings, of which a process has one alone; and one
        # image's computing takes all cores.
        self._one_at_a_time = threading.Lock()
        self._routes = {"/health": ("GET", _health), "/score": ("POST", self._score)}

    def __call__(self, request: dict[str, Any], respond: _Respond) -> Iterable[bytes]:
        status, said = self._answer(request)
        if isinstance(said, str):
            kind, text = "text/plain; charset=utf-8", f"{said}\n"
        else:
            kind, text = "application/json", f"{json.dumps(said)}\n"
        content = text.encode()
        headers = [("Content-Type", kind), ("Content-Length", str(len(content)))]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", self._routes[request["PATH_INFO"]][0]))
        respond(f"{status.value} {status.phrase}", headers)
        return [content]

    def _answer(self, request: dict[str, Any]) -> tuple[HTTPStatus, object]:
        path = request["PATH_INFO"]
        if path not in self._routes:
            return HTTPStatus.NOT_FOUND, "there are GET /health and POST /score"
        method, answer = self._routes[path]
        if request["REQUEST_METHOD"] != method:
            return HTTPStatus.METHOD_NOT_ALLOWED, f"{path} takes {method}"
        return answer(request)

    def _score(self, request: dict[str, Any]) -> tuple[HTTPStatus, object]:
        content = request["wsgi.input"].read()
        try:
            with self._one_at_a_time:
                image = decode_digit(content, "the body", self._invert)
                (reading,) = self._reader.read([image])
        except UserError as error:
            return HTTPStatus.BAD_REQUEST, " ".join(str(error).split())
        return HTTPStatus.OK, asdict(reading)


def _health(request: dict[str, Any]) -> tuple[HTTPStatus, object]:
    return HTTPStatus.OK, "ready"


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "serve",
        "Read the handwritten digit on a PNG image that is sent by POST to /score; GET "
        "/health answers as soon as the model is loaded. Ends with SIGTERM or Ctrl-C.",
        options.SCRIPTS.command("serve", "--port", "8080"),
    )
    parser.add_argument(
        "--model_path",
        type=Path,
        default=options.TRAIN_OUTPUT,
        metavar="FOLDER",
        help="output folder of a training run, or a folder with one somewhere below",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen: this machine alone; 0.0.0.0 is all its networks",
    )
    parser.add_argument(
        "--port",
        type=non_negative_int,
        default=8080,
        metavar="N",
        help="where to listen; 0 takes one that is free",
    )
    options.add_invert_argument(parser)
    add_device_argument(parser)
    return parser


if __name__ == "__main__":
    sys.exit(run("serve", main))
