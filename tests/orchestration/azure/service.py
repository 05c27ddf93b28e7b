"""A service on loopback that speaks Azure's REST contract, as far as we use it.

Resource Manager with Machine Learning's resources (Azure REST API reference: paths,
``api-version``, errors, long-running operations, pages), run history, blob storage for
code, a storage account with a proxy that leads to its name, and a managed identity's
endpoint. It serves TLS with a certificate of its own, as azure-core sends no token
without. Faults are put in by the test.
"""

from __future__ import annotations

import base64
import copy
import ipaddress
import json
import re
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.orchestration.faults import Fault, FaultyHandler

SUBSCRIPTION = "6f1d3c52-8f6b-4a57-9d0e-2f5b8c3a7e10"
GROUP, WORKSPACE = "vision", "vision-dev"
TENANT = "0c9e7b1a-5d42-4f3e-8a6b-1d2c3e4f5a6b"
# What must never be seen anywhere.
SIGNATURE = "c2lnbmF0dXJlLW9mLWEtc3RvcmFnZS1hY2NvdW50"
IDENTITY_HEADER = "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a"
_PROVIDER = "/providers/Microsoft.MachineLearningServices/"
_CONTAINER = "/azureml-code"
_STORAGE = "core.loopback"
_PAGE = 2
# Made and changed by operations that last.
_LASTING = re.compile(
    r"workspaces/[^/]+(/(computes|schedules|(online|batch)Endpoints)/[^/]+"
    r"(/deployments/[^/]+)?)?"
)
# What answers have even if requests have not.
_GIVEN: dict[str, dict[str, Any]] = {
    "models/versions": {"flavors": {}},
    "onlineEndpoints/deployments": {"scaleSettings": {"scaleType": "Default"}},
}


@dataclass(frozen=True)
class Request:
    """A request that arrived.

    Attributes:
        method: Its method.
        path: Its path.
        version: The api-version that it asks for.
        body: Its body, if that is JSON.
    """

    method: str
    path: str
    version: str | None
    body: Any


class Service:
    """The service's state.

    Attributes:
        requests: All that arrived, but for tokens.
        resources: Resource Manager's resources, by path.
        blobs: The blobs' bytes, by path.
        faults: What goes wrong; each counts down.
        statuses: What a job's status will be, one for each time that it is looked at;
            the last one stays.
        log: What every job writes.
        tokens: How many tokens were given.
        when_looked_at: Is called when somebody waits for a job.
        when_made: Is called with the path of a job that was made.
        children: What run history lists below a job, by its name.
        images: Digests in a registry of images, by the path of the manifest.
    """

    def __init__(self) -> None:
        self.url = ""
        self.identity_url = ""
        self.registry = ""
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """Forget everything but where it is."""
        self.requests: list[Request] = []
        self.resources: dict[str, dict[str, Any]] = {}
        self.operations: dict[str, int] = {}
        self.blobs: dict[str, bytes] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.faults: list[Fault] = []
        self.statuses = ["Running", "Completed"]
        self.error = "the learning rate is too high"
        self.log = "epoch 1\nepoch 2\n"
        self.tokens = 0
        self.images: dict[str, str] = {}
        self.token_seconds = 3600
        self.revoked = 0
        self.signed_in = True
        self.when_looked_at: Callable[[], object] = lambda: None
        self.when_made: Callable[[str], object] = lambda path: None
        self.children: dict[str, list[dict[str, Any]]] = {}
        self._add(self.workspace_path, {"location": "westeurope"}, "Succeeded")
        compute = {"properties": {"computeType": "AmlCompute", "properties": {}}}
        for name in ("cpu", "gpu", "small-cpu"):
            self._add(f"{self.workspace_path}/computes/{name}", compute, "Succeeded")
        datastore = {
            "datastoreType": "AzureBlob",
            "accountName": "visiondev",
            "containerName": "azureml-blobstore",
            "credentials": {"credentialsType": "None"},
            "isDefault": True,
        }
        path = f"{self.workspace_path}/datastores/workspaceblobstore"
        self._add(path, {"properties": datastore}, "Succeeded")

    @property
    def workspace_path(self) -> str:
        group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
        return f"{group}{_PROVIDER}workspaces/{WORKSPACE}"

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """The jobs that were made, by name."""
        prefix = f"{self.workspace_path}/jobs/"
        return {
            path.removeprefix(prefix): one
            for path, one in self.resources.items()
            if path.startswith(prefix)
        }

    def asked(self, method: str, path: str) -> list[Request]:
        """Give the requests of a method whose path has a regular expression in it."""
        found = [one for one in self.requests if one.method == method]
        return [one for one in found if re.search(path, one.path)]

    def revoke_tokens(self) -> None:
        """Have no token that was given until now be good any more."""
        self.revoked = self.tokens

    def environment(self, certificate: Path) -> dict[str, str]:
        """Give the environment variables that lead Azure's packages here."""
        return {
            "ARM_CLOUD_METADATA_URL": f"{self.url}/metadata/endpoints",
            "AZUREML_CURRENT_CLOUD": "Loopback",
            "AZUREML_RUN_POLLING_INTERVAL_MIN": "0",
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
            "IDENTITY_ENDPOINT": self.identity_url,
            "IDENTITY_HEADER": IDENTITY_HEADER,
            "NO_PROXY": "127.0.0.1",
            "REQUESTS_CA_BUNDLE": str(certificate),
        }

    @property
    def proxy(self) -> dict[str, str]:
        """The environment variables that lead to the storage account as well."""
        return {"HTTPS_PROXY": f"http://{self.registry}"}

    def new_token(self, resource: str) -> dict[str, str]:
        """Give a token as a managed identity's endpoint does (2019-08-01)."""
        with self.lock:
            self.tokens += 1
            number = self.tokens
        expires = int(time.time()) + self.token_seconds
        claims = {"aud": resource, "tid": TENANT, "exp": expires, "number": number}
        parts = ({"alg": "none", "typ": "JWT"}, claims)
        encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()) for p in parts]
        token = ".".join(part.decode().rstrip("=") for part in encoded)
        return {
            "access_token": f"{token}.c2lnbmVk",
            "expires_on": str(expires),
            "resource": resource,
            "token_type": "Bearer",
        }

    def is_good(self, authorization: str) -> bool:
        """Whether a header holds a token that is still good."""
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or token.count(".") != 2:
            return False
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * 3))
        return bool(claims["number"] > self.revoked)

    def put(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        """Make or change a resource; the answer's status, headers and body."""
        inside = path.partition(_PROVIDER)[2]
        old = self.resources.get(path)
        if "/jobs/" in path:
            return self._put_job(path, body, old)
        if not _LASTING.fullmatch(inside):
            self._add(path, body, "Succeeded")
            return (200 if old else 201), {}, self.resources[path]
        self._add(path, body, "Succeeded")
        operation = f"/operations/{len(self.operations) + 1}"
        self.operations[operation] = 1  # so often it is still in progress
        headers = {"Azure-AsyncOperation": f"{self.url}{operation}?api-version=1"}
        headers["Retry-After"] = "1"  # it takes none for half a minute
        answer = copy.deepcopy(self.resources[path])
        answer["properties"]["provisioningState"] = "Updating" if old else "Creating"
        return (200 if old else 201), headers, answer

    def _put_job(
        self, path: str, body: dict[str, Any], old: dict[str, Any] | None
    ) -> tuple[int, dict[str, str], Any]:
        if old is not None:
            same = all(old["properties"].get(k) == v for k, v in _sent(body).items())
            if not same:
                said = "A job with this name already exists; only tags may be changed."
                return 400, {}, {"error": {"code": "UserError", "message": said}}
            return 200, {}, old
        self._add(path, body, "Succeeded")
        name = path.rpartition("/")[2]
        link = f"https://ml.azure.com/runs/{name}?wsid={self.workspace_path}"
        studio = {"jobServiceType": "Studio", "endpoint": link}
        properties = self.resources[path]["properties"]
        properties |= {"status": "Starting", "services": {"Studio": studio}}
        self.when_made(path)
        return 201, {}, self.resources[path]

    def _add(self, path: str, body: dict[str, Any], state: str) -> None:
        properties = {**_sent(body), "provisioningState": state}
        inside = path.partition(_PROVIDER)[2]
        if re.fullmatch("workspaces/[^/]+", inside):
            properties |= {
                "discoveryUrl": f"{self.url}/discovery",
                "workspaceId": "5b1c",
                "friendlyName": WORKSPACE,
            }
        kinds = inside.split("/")[::2]
        for kind, given in _GIVEN.items():
            if kinds[1:] == kind.split("/"):
                properties = {**given, **properties}
        self.resources[path] = {
            **{k: v for k, v in body.items() if k != "properties"},
            "id": path,
            "name": path.rpartition("/")[2],
            "type": "Microsoft.MachineLearningServices/" + "/".join(kinds),
            "properties": properties,
            "systemData": {
                "createdAt": "2026-01-01T00:00:00Z",
                "lastModifiedAt": "2026-01-01T00:00:00Z",
            },
        }

    def page(self, path: str, start: int) -> dict[str, Any]:
        """Give a page of a collection."""
        depth = path.count("/") + 1
        found = [
            one
            for name, one in sorted(self.resources.items())
            if name.startswith(f"{path}/") and name.count("/") == depth
        ]
        answer: dict[str, Any] = {"value": found[start : start + _PAGE]}
        if len(found) > start + _PAGE:
            link = f"{self.url}{path}?api-version=1&$skip={start + _PAGE}"
            answer["nextLink"] = link
        return answer

    def look_at(self, name: str) -> dict[str, Any]:
        """Give a run's details as run history does; its status goes on."""
        self.when_looked_at()
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        path = f"{self.workspace_path}/jobs/{name}"
        properties = self.resources[path]["properties"]
        if properties["status"] != "Canceled":
            properties["status"] = status
        details: dict[str, Any] = {
            "runId": name,
            "status": properties["status"],
            "logFiles": {
                "user_logs/std_log.txt": f"{self.url}/logs/{name}?sig={SIGNATURE}"
            },
        }
        if properties["status"] == "Failed":
            error = {"code": "UserError", "message": self.error}
            details["error"] = {"error": error}
        return details


def _sent(body: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in (body.get("properties") or {}).items() if v is not None}


class _Handler(FaultyHandler):
    server: _Server

    def handle_one(self) -> None:
        service = self.server.service
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        size = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(size)
        body = None
        if "json" in self.headers.get("Content-Type", ""):
            body = json.loads(raw or b"null")
        with service.lock:
            request = Request(self.command, url.path, query.get("api-version"), body)
            service.requests.append(request)
            fault = self.next_fault(service.faults, url.path)
            if fault is not None and not fault.after:
                self.fail(fault)
                return
            answer = self._answer(url.path, query, body, raw)
        if fault is not None:
            self.fail(fault)
            return
        self.reply(*answer)

    do_GET = do_PUT = do_POST = do_HEAD = do_PATCH = do_DELETE = handle_one

    def _answer(
        self, path: str, query: dict[str, str], body: Any, raw: bytes
    ) -> tuple[int, dict[str, str], Any]:
        service = self.server.service
        if path == "/metadata/endpoints":
            return 200, {}, _clouds(service.url)
        if path == "/discovery":
            return 200, {}, {"api": service.url}
        is_storage = self.headers["Host"].endswith(f".blob.{_STORAGE}")
        if is_storage or path.startswith(f"{_CONTAINER}/"):
            return self._blob(path, query, raw)
        if path.startswith("/logs/"):
            return 200, {}, service.log.encode()
        if not service.is_good(self.headers.get("Authorization", "")):
            claims = base64.b64encode(b'{"access_token":{"nbf":{"essential":true}}}')
            challenge = 'Bearer realm="", error="insufficient_claims", '
            challenge += f'claims="{claims.decode()}"'
            error = {"code": "InvalidAuthenticationToken", "message": "expired"}
            return 401, {"WWW-Authenticate": challenge}, {"error": error}
        if path.startswith("/operations/"):
            left = service.operations[path]
            service.operations[path] -= 1
            status = "InProgress" if left > 0 else "Succeeded"
            return 200, {"Retry-After": "1"}, {"status": status}
        if path.startswith("/history/") and path.endswith("/children"):
            return 200, {}, {"value": service.children.get(path.split("/")[-2], [])}
        if path.startswith("/history/"):
            return 200, {}, service.look_at(path.split("/")[-2])
        return self._resource(path, query, body)

    def _resource(
        self, path: str, query: dict[str, str], body: Any
    ) -> tuple[int, dict[str, str], Any]:
        service = self.server.service
        if "api-version" not in query:
            error = {"code": "MissingApiVersionParameter", "message": "api-version"}
            return 400, {}, {"error": error}
        if self.command == "PUT":
            return service.put(path, body)
        if path.endswith("/startPendingUpload"):
            place = f"{service.url}{_CONTAINER}"
            return (
                200,
                {},
                {
                    "pendingUploadId": "1",
                    "pendingUploadType": "TemporaryBlobReference",
                    "blobReferenceForConsumption": {
                        "blobUri": place,
                        "storageAccountArmId": "/subscriptions/x",
                        "credential": {
                            "credentialType": "SAS",
                            "sasUri": f"{place}?sv=2024-11-04&sr=c&sig={SIGNATURE}",
                        },
                    },
                },
            )
        if path.endswith("/cancel"):
            job = service.resources[path.removesuffix("/cancel")]
            job["properties"]["status"] = "Canceled"
            return 200, {}, None
        if path in service.resources:
            return 200, {}, service.resources[path]
        if path.partition(_PROVIDER)[2].count("/") % 2 == 0:
            return 200, {}, service.page(path, int(query.get("$skip", 0)))
        kind, name = path.split("/")[-2:]
        code = "ResourceNotFound" if kind == "workspaces" else "NotFound"
        said = f"The resource {kind}/{name} was not found."
        return 404, {}, {"error": {"code": code, "message": said}}

    def _blob(
        self, path: str, query: dict[str, str], raw: bytes
    ) -> tuple[int, dict[str, str], Any]:
        service = self.server.service
        is_known = service.is_good(self.headers.get("Authorization", ""))
        if query.get("sig") != SIGNATURE and not is_known:
            return 403, {"x-ms-error-code": "AuthenticationFailed"}, None
        if self.command == "PUT" and query.get("comp") == "metadata":
            names = [name for name in self.headers if name.startswith("x-ms-meta-")]
            service.metadata[path] = {name: self.headers[name] for name in names}
            return 200, {"ETag": '"1"'}, None
        if self.command == "PUT":
            service.blobs[path] = raw
            return 201, {"ETag": '"1"'}, None
        if path not in service.blobs:
            return 404, {"x-ms-error-code": "BlobNotFound"}, None
        return 200, {"ETag": '"1"', **service.metadata.get(path, {})}, None


class _PlainHandler(BaseHTTPRequestHandler):
    """The managed identity's endpoint, a registry of images, and the proxy."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        digest = self.server.service.images.get(self.path)
        self.send_response(200 if digest else 404)
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_CONNECT(self) -> None:
        """Lead to the service, whatever the host's name."""
        address = urlsplit(self.server.service.url)
        assert address.hostname and address.port
        with (
            socket.create_connection((address.hostname, address.port)) as there,
            selectors.DefaultSelector() as waiting,
        ):
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: there, there: self.connection}
            for end in ends:
                waiting.register(end, selectors.EVENT_READ)
            while True:
                for key, _ in waiting.select():
                    end = key.fileobj
                    assert isinstance(end, socket.socket)
                    content = end.recv(65536)
                    if not content:
                        self.close_connection = True
                        return
                    ends[end].sendall(content)

    def do_GET(self) -> None:
        service = self.server.service
        known = self.headers.get("X-IDENTITY-HEADER") == IDENTITY_HEADER
        query = parse_qs(urlsplit(self.path).query)
        if service.signed_in and known:
            answer = json.dumps(service.new_token(query["resource"][0])).encode()
        else:
            answer = json.dumps({"statusCode": 400, "message": "no identity"}).encode()
        self.send_response(200 if service.signed_in and known else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, service: Service, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.service = service

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that a fault has cut."""


@contextmanager
def serve(folder: Path) -> Iterator[tuple[Service, Path]]:
    """Serve until the block ends.

    Args:
        folder: Where the certificate is written.

    Yields:
        The service, and the certificate that it has to be trusted by.
    """
    service = Service()
    certificate, key = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    secure, identity = _Server(service, _Handler), _Server(service, _PlainHandler)
    secure.socket = context.wrap_socket(
        secure.socket, server_side=True, do_handshake_on_connect=False
    )
    service.url = f"https://127.0.0.1:{secure.server_port}"
    service.registry = f"127.0.0.1:{identity.server_port}"
    service.identity_url = f"http://{service.registry}/token"
    service.reset()
    threads = [
        threading.Thread(target=one.serve_forever, args=(0.05,))
        for one in (secure, identity)
    ]
    for thread in threads:
        thread.start()
    try:
        yield service, certificate
    finally:
        for server in (secure, identity):
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()


def _clouds(url: str) -> list[dict[str, Any]]:
    """Give what Resource Manager says of its cloud (2019-05-01)."""
    return [
        {
            "name": "Loopback",
            "portal": f"{url}/",
            "resourceManager": f"{url}/",
            "authentication": {"loginEndpoint": f"{url}/"},
            "suffixes": {"storage": _STORAGE},
        }
    ]


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([address, x509.DNSName(f"*.blob.{_STORAGE}")]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return public, private
