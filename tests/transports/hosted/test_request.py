"""A request whose head a host has read: what the server's rules see of it, and what they refuse."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from posthouse.core.values.config import Config
from posthouse.transports.hosted.request import HostedRequest, read_head
from posthouse.transports.http.head import Head
from posthouse.transports.paths import Paths
from posthouse.transports.refusal import Refusal

from .host import JSON, LOCAL, call, handshake, head


def read(request: HostedRequest, config: Config = Config()) -> Head:
    found = read_head(request, config, Paths())
    assert isinstance(found, Head)
    return found


def refused(request: HostedRequest, config: Config = Config()) -> int | None:
    found = read_head(request, config, Paths())
    return found.status if isinstance(found, Refusal) else None


def test_the_head_is_that_of_the_same_bytes() -> None:
    headers = (LOCAL, JSON, (b"content-length", b"2"))
    fields = dict(headers)
    assert read(call()) == Head(b"POST", b"/rpc", b"", b"1.1", b"localhost", headers, fields, 2, False, True)
    assert read(head(b"GET", "/health", query=b"a=1", version=b"1.0")) == Head(
        b"GET", b"/health", b"a=1", b"1.0", b"localhost", (LOCAL,), {b"host": b"localhost"}, None, False, True
    )


@pytest.mark.parametrize("path", ["", "/"])
def test_the_root_is_for_calls_and_for_websockets(path: str) -> None:
    assert read(call(path=path)).path == b"/rpc"
    assert read(handshake(path=path)).path == b"/ws"


def test_the_root_stands_for_the_paths_that_the_server_has() -> None:
    paths = Paths("/calls", "/", "/api")
    found = [read_head(request, Config(), paths) for request in (call(path="/"), handshake(path=""))]
    assert [head.path for head in found if isinstance(head, Head)] == [b"/api/calls", b"/api/"]


def test_a_path_of_other_characters_is_another_path() -> None:
    assert read(call(path="/é\udcff")).path == b"/\\xe9\\udcff"


def test_the_body_is_framed_by_its_length_or_in_chunks_or_by_the_version_of_http() -> None:
    assert (read(call()).length, read(call()).chunked) == (2, False)
    chunked = read(head(b"POST", "/rpc", (b"transfer-encoding", b"chunked")))
    assert (chunked.length, chunked.chunked) == (None, True)
    assert not read(head()).chunked
    assert read(head(version=b"2")).chunked
    assert not read(call(version=b"2")).chunked
    assert not read(head(b"GET", "/health", version=b"2")).chunked
    assert [head(version=version).framed for version in (b"1.0", b"1.1", b"2", b"3")] == [False, False, True, True]


def test_a_repeated_list_is_joined_and_other_repeated_headers_are_refused() -> None:
    assert read(head(b"GET", "/", (b"a", b"1"), (b"a", b"2"))).fields[b"a"] == b"1, 2"
    assert refused(head(b"GET", "/", (b"origin", b"a"), (b"origin", b"b"))) == 400


@pytest.mark.parametrize(
    ("length", "more", "status"),
    [(b"2", (), None), (b"x", (), 400), (b"2,2", (), 400), (b"2", ((b"transfer-encoding", b"chunked"),), 400)],
)
def test_a_body_of_unclear_length_is_refused(
    length: bytes, more: tuple[tuple[bytes, bytes], ...], status: int | None
) -> None:
    assert refused(head(b"POST", "/rpc", (b"content-length", length), *more)) == status


def test_a_host_that_cannot_be_is_refused() -> None:
    assert refused(replace(head(), headers=((b"host", b"a b"),))) == 400


@pytest.mark.parametrize(("version", "status"), [(b"1.0", None), (b"1.1", 400), (b"2", None), (b"3", None)])
@pytest.mark.parametrize("request_", [head(), handshake()])
def test_only_http_1_1_needs_a_host(request_: HostedRequest, version: bytes, status: int | None) -> None:
    assert refused(replace(request_, headers=(), version=version)) == status


@pytest.mark.parametrize(("beyond", "status"), [(-1, None), (0, None), (1, 414)])
def test_a_target_has_at_most_max_target_bytes(beyond: int, status: int | None) -> None:
    config = Config(max_target_bytes=20)
    assert refused(head(b"GET", "/" + "x" * 9, query=b"q" * (9 + beyond)), config) == status


@pytest.mark.parametrize(("count", "status"), [(4, None), (5, None), (6, 431)])
def test_a_head_has_at_most_max_headers(count: int, status: int | None) -> None:
    assert refused(head(b"GET", "/health", *[(b"a", b"")] * (count - 1)), Config(max_headers=5)) == status


@pytest.mark.parametrize(("beyond", "status"), [(-1, None), (0, None), (1, 431)])
def test_a_head_has_at_most_max_head_bytes_as_it_would_on_a_wire(beyond: int, status: int | None) -> None:
    bytes_ = len(b"GET /health HTTP/1.1\r\nhost: localhost\r\na: \r\n\r\n")
    config = Config(max_head_bytes=bytes_ + 10)
    assert refused(head(b"GET", "/health", (b"a", b"x" * (10 + beyond))), config) == status
