"""The Docker engine, and the few things that are asked of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.context import ContextAPI
from docker.errors import APIError, DockerException, ImageNotFound
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from common.command_line import warn
from common.errors import RunError, UserError

_LAST_LINES = 12
_ASK_PYTHON = (
    "import platform, sys; "
    "print(platform.python_implementation(), platform.python_version()); "
    "print(sys.platform, platform.machine())"
)
# An engine that writes a layer of gigabytes answers nobody else meanwhile.
_ANSWER_SECONDS = 600


class PushError(Exception):
    """The registry, or the way to it, did not take the whole image."""


class Engine:
    """A connection to the Docker engine that the user's ``docker`` command uses.

    Args:
        stall_seconds: How long a push may stand still before it counts as failed.

    Raises:
        UserError: No engine answers.
    """

    def __init__(self, stall_seconds: int = 60) -> None:
        self._stall_seconds = stall_seconds
        try:
            self._client = _connect(_ANSWER_SECONDS)
            self._client.ping()
        except (DockerException, RequestException, OSError):
            raise UserError(
                "no Docker engine answers; install and start it (Debian, Ubuntu: "
                "apt-get install docker.io), or name one with DOCKER_HOST"
            ) from None

    def identity(self, image: str) -> str | None:
        """Give what an image is made of: its layers and settings, not when it was made.

        Returns:
            A text that is the same for the same content, or None if the engine has no
            such image.
        """
        details = self._inspect(image)
        if details is None:
            return None
        settings = details["Config"]
        kept = {key: settings.get(key) for key in ("Env", "Cmd", "Entrypoint", "User")}
        return f"{details['RootFS']['Layers']} {sorted(kept.items())}"

    def has(self, image: str) -> bool:
        """Whether the engine has an image of this name."""
        return self._inspect(image) is not None

    def layers(self, image: str) -> list[str]:
        """Give the digests of an image's layers, uncompressed, lowest first."""
        details = self._inspect(image)
        return list(details["RootFS"]["Layers"]) if details else []

    def python(self, image: str) -> tuple[str, str]:
        """Ask the Python of an image what it is.

        Returns:
            Its implementation and version, and operating system and processor type.
        """
        found: bytes = self._client.containers.run(
            image, ["python3", "-c", _ASK_PYTHON], remove=True
        )
        python, machine = found.decode().splitlines()
        return python, machine

    def pull(self, image: str) -> bool:
        """Fetch an image; False if there is none that can be had."""
        try:
            self._client.images.pull(image)
        except (APIError, RequestException):
            return False
        return True

    def tag(self, image: str, name: str) -> None:
        """Give an image one more name, ``repository:tag``."""
        repository, _, tag = name.rpartition(":")
        self._client.api.tag(image, repository, tag, force=True)

    def untag(self, name: str) -> None:
        """Take a name away; the image stays under its others."""
        try:
            self._client.api.remove_image(name, noprune=True)
        except ImageNotFound:
            pass

    def build(
        self,
        context: Path,
        dockerfile: str,
        name: str,
        arguments: dict[str, str],
        labels: dict[str, str],
        tell: Callable[[str], None],
    ) -> None:
        """Build an image with the ``docker`` command, with BuildKit where it has it.

        Args:
            context: The folder with everything that the image is made from.
            dockerfile: The Dockerfile's path in it.
            name: The image's name, ``repository:tag``.
            arguments: Build arguments.
            labels: Labels of the image.
            tell: Is told each line that the build prints.

        Raises:
            UserError: There is no ``docker`` command.
            RunError: A step failed; its last lines have been written to standard error.
        """
        command = [
            "docker",
            "build",
            "--file",
            str(context / dockerfile),
            "--tag",
            name,
        ]
        for key, value in sorted(arguments.items()):
            command += ["--build-arg", f"{key}={value}"]
        for key, value in sorted(labels.items()):
            command += ["--label", f"{key}={value}"]
        lines: list[str] = []
        with _started([*command, str(context)]) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.strip():
                    lines.append(line.rstrip())
                    tell(lines[-1])
        if process.returncode:
            for line in lines[-_LAST_LINES:]:
                warn(f"  {line}")
            raise RunError(f"building {name} failed; the last lines are above")

    def push(self, name: str) -> Iterator[dict[str, Any]]:
        """Push an image and give the engine's messages as they come.

        Raises:
            PushError: It failed, or nothing moved for too long.
        """
        repository, _, tag = name.rpartition(":")
        try:
            for message in _connect(self._stall_seconds).api.push(
                repository, tag=tag, stream=True, decode=True
            ):
                if "error" in message:
                    raise PushError(message["error"])
                yield message
        except (RequestException, HTTPError) as error:
            timed_out = "timed out" in str(error).lower()
            problem = "nothing moved for too long" if timed_out else str(error)
            raise PushError(problem) from None
        except DockerException as error:
            raise PushError(str(error)) from None

    def _inspect(self, image: str) -> dict[str, Any] | None:
        try:
            return dict(self._client.images.get(image).attrs)
        except ImageNotFound:
            return None


def _connect(seconds: int) -> docker.DockerClient:
    """Connect to the engine; whoever waits longer than this for an answer gives up."""
    return docker.DockerClient(base_url=_address(), timeout=seconds, version="auto")


def _address() -> str | None:
    """Where the engine listens, as the docker command finds it; None: as usual."""
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    context = ContextAPI.get_current_context()
    return context.Host if context else None


@contextmanager
def _started(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except FileNotFoundError:
        raise UserError(
            "there is no docker command on PATH; install it (Debian, Ubuntu: "
            "apt-get install docker.io)"
        ) from None
    with process:
        try:
            yield process
        except BaseException:
            process.terminate()
            raise
