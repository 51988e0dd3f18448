"""A plain request head is read as h11 reads it; any other head is left to h11."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.transports.http.recogniser import SINGLE, RequestHead, join, recognise_request

from tests.transports.header_lines import LINES
from tests.values import changeable

REQUEST = b"POST /rpc?x=1 HTTP/1.1\r\nHost: a:1\r\nX-Empty:\r\nX-b:\t c\xff d \t\r\nCONTENT-Length: 12\r\n\r\n"


def request(*lines: bytes, first: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join((first, *lines)) + b"\r\n\r\n"


def test_a_plain_request_is_read() -> None:
    headers = ((b"host", b"a:1"), (b"x-empty", b""), (b"x-b", b"c\xff d"), (b"content-length", b"12"))
    fields = {b"host": b"a:1", b"x-empty": b"", b"x-b": b"c\xff d", b"content-length": b"12"}
    read = RequestHead(b"POST", b"/rpc?x=1", b"1.1", headers, fields, 12, False)
    assert recognise_request(REQUEST) == read
    read = RequestHead(b"GET", b"/", b"1.1", ((b"host", b""),), {b"host": b""}, None, False)
    assert recognise_request(request(b"Host:")) == read


def test_the_values_of_a_repeated_header_are_joined_in_their_order() -> None:
    plain = recognise_request(request(b"Host: a", b"X: b", b"Y:", b"x: c", b"X:"))
    assert plain is not None
    assert plain.headers == ((b"host", b"a"), (b"x", b"b"), (b"y", b""), (b"x", b"c"), (b"x", b""))
    assert plain.fields == {b"host": b"a", b"x": b"b, c, ", b"y": b""}


def test_a_header_that_may_occur_only_once_is_not_joined() -> None:
    for name in SINGLE:
        assert join(((name, b"a"), (b"x", b"b"))) == {name: b"a", b"x": b"b"}
        assert join(((name, b"a"), (b"x", b"b"), (name, b"a"))) is None


@pytest.mark.parametrize(
    "head",
    [
        REQUEST[:-2],
        REQUEST + b"x",
        request(),  # h11 refuses what has no host, or two
        request(b"Host: a", b"hOST: a"),
        request(b"Host: a", first=b"GET / HTTP/1.0"),
        request(b"Host: a", first=b"GET  / HTTP/1.1"),
        request(b"Host: a", first=b"GET /\x7f HTTP/1.1"),
        request(b"Host: a", first=b"G@T / HTTP/1.1"),
        request(b"Host: a", b"Content-Length: 1", b"Content-Length: 1"),
        request(b"Host: a", b"Content-Length: 1, 1"),
        request(b"Host: a", b"Content-Length:"),
        request(b"Host: a", b"Content-Length: -1"),
        request(b"Host: a", b"Content-Length: " + b"1" * 21),
        request(b"Host: a", b"Transfer-Encoding: chunked"),
        request(b"Host: a", b"Origin: http://a", b"Origin: http://a"),
        request(b"Host: a", b"X : y"),
        request(b"Host: a", b" X: y"),
        request(b"Host: a", b"X"),
        request(b"Host: a", b": y"),
        request(b"Host: a", b"X: \x00"),
        request(b"Host: a", b"X: \x7f"),
        request(b"Host: a", b"X: \r"),
        request(b"Host: a", b"X: \n"),
    ],
)
def test_a_request_that_is_not_plain_is_left_to_h11(head: bytes) -> None:
    assert recognise_request(head) is None


def test_a_length_has_at_most_twenty_digits() -> None:
    assert recognise_request(request(b"Host: a", b"Content-Length: " + b"1" * 20)) is not None


@given(
    st.sampled_from([b"GET / HTTP/1.1", b"POST /a HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"GET / HTTP/1.0", b"* * *"]),
    LINES,
)
def test_h11_reads_every_recognised_request_in_the_same_way(first: bytes, lines: list[bytes]) -> None:
    raw = request(*lines, first=first)
    plain = recognise_request(raw)
    if plain is not None:
        parser = h11.Connection(h11.SERVER)
        parser.receive_data(raw)
        event = parser.next_event()
        assert isinstance(event, h11.Request)
        headers = tuple(event.headers)
        length = dict(headers).get(b"content-length")
        assert plain.fields == join(headers)
        assert plain.length == (None if length is None else int(length))
        assert (plain.method, plain.target, plain.version) == (event.method, event.target, event.http_version)
        assert (plain.headers, plain.chunked) == (headers, False)


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.http.recogniser") == []
