"""HTTP services of tests whose answers go wrong where a test wants it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any


@dataclass
class Fault:
    """What becomes of some requests instead of an answer.

    Attributes:
        method: Which.
        path: A regular expression that is looked for in their path.
        status: The answer's status; None cuts the connection.
        headers: The answer's headers.
        after: Do what was asked for first, so that only the answer is lost.
        times: How many requests.
        body: The answer's body.
    """

    method: str
    path: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False
    times: int = 1
    body: Any = None


class FaultyHandler(BaseHTTPRequestHandler):
    """Answers requests, or fails them."""

    protocol_version = "HTTP/1.1"
    # Headers and body go in two writes; the second would wait for the first's receipt.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the test looks at the requests."""

    def next_fault(self, faults: Iterable[Fault], path: str) -> Fault | None:
        """Give the first fault that is left for this request, and count it."""
        for fault in faults:
            if fault.times > 0 and fault.method == self.command:
                if re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def fail(self, fault: Fault) -> None:
        """Do to the connection what a fault says."""
        if fault.status is None:
            self.close_connection = True
            self.connection.close()
        else:
            self.reply(fault.status, fault.headers, fault.body)

    def reply(self, status: int, headers: dict[str, str], body: Any) -> None:
        """Answer with bytes, or with anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        if body is None:
            content = b""
        self.send_response(status)
        kind = "text/plain" if isinstance(body, bytes) else "application/json"
        for name, value in {"Content-Type": kind, **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
