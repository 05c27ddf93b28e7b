"""What a registry has, and one more tag for it: the OCI distribution API, version 1.1.

Layers are pushed by the Docker engine. Here is what needs no layer: to see if a tag
is there, and to give a manifest that is there another tag.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.request import parse_http_list, parse_keqv_list

import requests
from docker import auth
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.util import Retry

from common.errors import RunError, UserError

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_SECONDS = 20
_RETRIES = 2
# host[:port][/path], as Docker takes it for a registry and not for a name on Docker Hub
_ADDRESS = re.compile(
    r"(localhost|[^/:]+\.[^/:]+|[^/:]+(?=:\d))(:\d+)?(/[a-z0-9._/-]+)?"
)


class RegistryError(RunError):
    """The registry did not answer as it should, or not at all."""


@dataclass(frozen=True)
class Manifest:
    """An image's manifest in a registry.

    Attributes:
        digest: Its digest, with which the image can be named for good.
        media_type: Its kind.
        content: Its bytes.
    """

    digest: str
    media_type: str
    content: bytes

    def layer_sizes(self) -> list[int]:
        """Give the layers' sizes in bytes as they are transferred, lowest first."""
        layers = json.loads(self.content).get("layers", [])
        return [layer["size"] for layer in layers]


class Registry:
    """A registry, with the credentials that ``docker login`` keeps for it.

    Args:
        address: Host, port, and the path that goes before every repository's name, as
            in ``registry.example.com/team``.

    Raises:
        UserError: The address is none.
    """

    def __init__(self, address: str) -> None:
        if not _ADDRESS.fullmatch(address):
            raise UserError(
                f"{address!r} is no registry; it takes HOST[:PORT][/PATH], "
                "for instance registry.example.com/team"
            )
        self.address = address
        self._host, _, self._path = address.partition("/")
        name = self._host.partition(":")[0]
        # As the engine does: what never leaves the machine needs no TLS.
        local = name == "localhost" or name.startswith("127.")
        self._url = f"{'http' if local else 'https'}://{self._host}/v2"
        self._session = requests.Session()
        # Nothing here does harm when it is done twice.
        retries = Retry(
            total=_RETRIES,
            backoff_factor=0.5,
            status_forcelist=(429, 502, 503, 504),
            allowed_methods=None,
            raise_on_status=False,
        )
        self._session.mount(self._url, HTTPAdapter(max_retries=retries))

    def full_name(self, name: str) -> str:
        """Put the registry's address before an image's name."""
        return f"{self.address}/{name}"

    def manifest(self, repository: str, tag: str) -> Manifest | None:
        """Give what a tag stands for; None if the registry has no such tag.

        Raises:
            RegistryError: It cannot be reached or refuses.
        """
        answer = self._request("GET", self._manifest_path(repository, tag))
        if answer.status_code == 404:
            return None
        self._check(answer)
        return Manifest(
            answer.headers["Docker-Content-Digest"],
            answer.headers["Content-Type"],
            answer.content,
        )

    def add_tag(self, repository: str, manifest: Manifest, tag: str) -> None:
        """Have a tag stand for a manifest that the repository has.

        Raises:
            RegistryError: It cannot be reached or refuses.
        """
        path = self._manifest_path(repository, tag)
        headers = {"Content-Type": manifest.media_type}
        self._check(self._request("PUT", path, headers, manifest.content))

    def digest(self, repository: str, tag: str) -> str | None:
        """Give the digest of what a tag stands for; None if there is no such tag.

        Raises:
            RegistryError: It cannot be reached or refuses.
        """
        answer = self._request("HEAD", self._manifest_path(repository, tag))
        if answer.status_code == 404:
            return None
        self._check(answer)
        return answer.headers["Docker-Content-Digest"]

    def _manifest_path(self, repository: str, tag: str) -> str:
        prefix = f"{self._path}/" if self._path else ""
        return f"/{prefix}{repository}/manifests/{tag}"

    def _request(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> requests.Response:
        headers = {"Accept": ", ".join(_MANIFESTS), **(headers or {})}
        try:
            answer = self._send(method, path, headers, content)
            if answer.status_code == 401:
                self._authenticate(answer.headers.get("WWW-Authenticate", ""))
                answer = self._send(method, path, headers, content)
        except requests.RequestException as error:
            raise RegistryError(
                f"{self._host} cannot be reached: {_cause(error)}"
            ) from None
        return answer

    def _send(
        self, method: str, path: str, headers: dict[str, str], content: bytes | None
    ) -> requests.Response:
        return self._session.request(
            method, self._url + path, data=content, headers=headers, timeout=_SECONDS
        )

    def _authenticate(self, challenge: str) -> None:
        """Take up a challenge: RFC 7617, or Docker's token authentication."""
        scheme, _, rest = challenge.partition(" ")
        known = auth.load_config().resolve_authconfig(self._host) or {}
        basic = None
        if known.get("username"):
            basic = HTTPBasicAuth(known["username"], known.get("password", ""))
        if scheme.lower() == "basic":
            self._session.auth = basic
            return
        given = [item for item in parse_http_list(rest) if "=" in item]
        parameters = parse_keqv_list(given)
        realm = parameters.pop("realm", None)
        if scheme.lower() != "bearer" or not realm:
            return
        if known.get("identitytoken"):
            form = {
                "grant_type": "refresh_token",
                "client_id": "strata",
                "refresh_token": known["identitytoken"],
                **parameters,
            }
            answer = requests.post(realm, data=form, timeout=_SECONDS)
        else:
            answer = requests.get(
                realm, params=parameters, auth=basic, timeout=_SECONDS
            )
        if answer.ok:
            told = answer.json()
            token = told.get("token") or told.get("access_token")
            self._session.headers["Authorization"] = f"Bearer {token}"

    def _check(self, answer: requests.Response) -> None:
        if answer.status_code in (401, 403):
            raise RegistryError(
                f"{self._host} refuses access; docker login {self._host}"
            )
        if not answer.ok:
            raise RegistryError(
                f"{self._host} answers {answer.status_code} {answer.reason}"
            )


def _cause(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return f"no answer within {_SECONDS} s"
    return type(error).__name__
