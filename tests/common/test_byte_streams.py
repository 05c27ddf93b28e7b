"""Bytes from files and from servers, packed or not, whole or damaged."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from common.byte_streams import open_packed, open_stream, shown_name, unpacked
from common.errors import RunError, UserError

_SECRET = "wJalrXUtnFEMI"


class _Handler(SimpleHTTPRequestHandler):
    """Serves files; /cut/NAME announces more than it sends, /secret/NAME refuses."""

    def do_GET(self) -> None:
        if self.path.startswith("/secret/"):
            self.send_error(403)
        elif self.path.startswith("/cut/"):
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"x" * 1000)
            self.close_connection = True
        else:
            super().do_GET()

    def end_headers(self) -> None:
        # Azure always sends one, and obstore asks for it.
        self.send_header("ETag", '"1"')
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a folder, also to obstore's clients of S3 and Azure; give its address."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    handler = partial(_Handler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", _SECRET)
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        monkeypatch.setenv("AZURE_ENDPOINT", address)
        monkeypatch.setenv("AZURE_ALLOW_HTTP", "true")
        monkeypatch.setenv("AZURE_SKIP_SIGNATURE", "true")
        yield address
        server.shutdown()
        thread.join()


def _read(source: str) -> tuple[str, bytes]:
    with open_stream(source) as stream:
        compression, pieces = unpacked(stream)
        return compression, b"".join(pieces)


@settings(deadline=None)
@given(
    members=st.lists(st.binary(max_size=2000), min_size=1, max_size=4),
    kind=st.sampled_from(["gzip", "zstd"]),
)
def test_members_in_a_row_are_one_file(
    members: list[bytes], kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pack = gzip.compress if kind == "gzip" else zstandard.compress
    # The name says nothing.
    path = tmp_path_factory.getbasetemp() / "packed.txt"
    path.write_bytes(b"".join(map(pack, members)))
    assert _read(str(path)) == (kind, b"".join(members))


@pytest.mark.parametrize("size", [0, 1, 3, 4, 3_000_000])
def test_plain_bytes_come_as_they_are(size: int, tmp_path: Path) -> None:
    content = os.urandom(1) * size
    path = tmp_path / "plain.gz"
    path.write_bytes(content)
    assert _read(str(path)) == ("none", content)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("left", [0.0, 0.3, 0.9, 0.999])
def test_what_is_cut_short_is_refused_in_one_line(
    suffix: str, left: float, tmp_path: Path
) -> None:
    path = tmp_path / f"data{suffix}"
    with open_packed(path) as file:
        file.write(os.urandom(200_000))
    whole = path.read_bytes()
    path.write_bytes(whole[: max(12, int(len(whole) * left))])
    with pytest.raises(UserError, match=rf"{path} is cut short[^\n]*$"):
        _read(str(path))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_damage_is_refused_in_one_line(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"data{suffix}"
    with open_packed(path) as file:
        file.write(b"the same again and again " * 5_000)
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 2, len(content)):
        content[place] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{path} is (damaged|cut short)[^\n]*$"):
        _read(str(path))


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_the_same_content_is_packed_to_the_same_bytes(
    suffix: str, tmp_path: Path
) -> None:
    found = []
    for name in ("one", "other"):
        path = tmp_path / f"{name}{suffix}"
        with open_packed(path) as file:
            file.write(b"line\n" * 1000)
        found.append(path.read_bytes())
        assert _read(str(path))[1] == b"line\n" * 1000
    assert found[0] == found[1]


def test_objects_are_read_by_http_s3_and_azure(served: str, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    path = tmp_path / "shop" / "deep" / "data"
    path.parent.mkdir(parents=True)
    path.write_bytes(zstandard.compress(content))
    for address in (
        f"{served}/shop/deep/data",
        f"{served}/shop/deep/data?version=2&sig={_SECRET}",
        "s3://shop/deep/data",
        "az://shop/deep/data",
    ):
        with open_stream(address) as stream:
            assert stream.size == path.stat().st_size
            assert _SECRET not in stream.name
            told: list[int] = []
            compression, pieces = unpacked(stream, told.append)
            assert (compression, b"".join(pieces)) == ("zstd", content)
            assert sum(told) == stream.size


def test_an_object_arrives_in_pieces(served: str, tmp_path: Path) -> None:
    size = 64 << 20
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    with open_stream(f"{served}/large") as stream:
        sizes = [len(piece) for piece in stream.pieces]
    assert sum(sizes) == size
    assert max(sizes) < size / 4


@pytest.mark.parametrize(
    ("address", "kind", "problem"),
    [
        ("{served}/nothing?sig=" + _SECRET, UserError, "/nothing does not exist"),
        ("s3://shop/nothing", UserError, "s3://shop/nothing does not exist"),
        ("s3://secret/file", UserError, "s3://secret/file may not be read; cred"),
        ("s3://shop", UserError, "s3://shop names no object"),
        ("ftp://host/file", UserError, "ftp:// is none of http, https, s3, az, gs"),
        ("http://u:" + _SECRET + "@127.0.0.1:9/x", RunError, "http://127.0.0.1:9/x"),
        ("{served}/cut/file?sig=" + _SECRET, RunError, "/cut/file stopped on the way"),
    ],
)
def test_what_cannot_be_fetched_is_one_line_without_secrets(
    address: str, kind: type[Exception], problem: str, served: str
) -> None:
    with pytest.raises(kind) as caught:
        _read(address.format(served=served))
    message = str(caught.value)
    assert problem in message
    assert "\n" not in message
    assert _SECRET not in message


@pytest.mark.parametrize(
    ("name", "problem"), [("nothing", "does not exist"), ("folder", "cannot be read")]
)
def test_what_is_no_file_is_one_line(name: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=rf"{tmp_path / name} {problem}[^\n]*$"):
        _read(str(tmp_path / name))


def test_a_shown_address_has_no_secret() -> None:
    assert shown_name("https://me:word@host:1/a/b?sig=x#y") == "https://host:1/a/b"
    assert shown_name("data/a?b@c") == "data/a?b@c"
