"""A plain response head is read as h11 reads it; any other head is left to h11."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.transports.client.recogniser import ResponseHead, recognise_response

from tests.transports.header_lines import LINES
from tests.values import changeable

RESPONSE = b"HTTP/1.1 200 All is well\r\nX-a: b\r\nX-a:c\r\nContent-Length: 3\r\n\r\n"


def test_a_plain_response_is_read() -> None:
    headers = ((b"x-a", b"b"), (b"x-a", b"c"), (b"content-length", b"3"))
    assert recognise_response(RESPONSE) == ResponseHead(200, headers, 3)
    for first in (b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1 200 \xe9\t"):
        assert recognise_response(RESPONSE.replace(b"HTTP/1.1 200 All is well", first)) is not None


def test_a_response_without_content_has_none() -> None:
    assert recognise_response(b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n") == ResponseHead(204, ((b"a", b"b"),), 0)


@pytest.mark.parametrize(
    "head",
    [
        RESPONSE[:-2],
        RESPONSE + b"x",
        RESPONSE.replace(b"200 ", b"199 "),
        RESPONSE.replace(b"200 ", b"600 "),
        RESPONSE.replace(b"200 ", b"304 "),
        RESPONSE.replace(b"200 ", b"2000 "),
        RESPONSE.replace(b"200 All", b"200\rAll"),
        RESPONSE.replace(b"200 ", b"204 "),  # with a length, which it must not have
        RESPONSE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        RESPONSE.replace(b"Content-Length: 3", b"X: y"),  # up to the end of input
        RESPONSE.replace(b"Length: 3", b"Length: 3\r\ncontent-length: 3"),
        RESPONSE.replace(b"Length: 3", b"Length: 3 "[:-2] + b"x"),
        RESPONSE.replace(b"X-a: b", b"Transfer-Encoding: chunked"),
        RESPONSE.replace(b"X-a: b", b"Connection: keep-alive"),
        RESPONSE.replace(b"X-a: b", b"Upgrade: b"),
        RESPONSE.replace(b"X-a: b", b"X-a: \x00"),
    ],
)
def test_a_response_that_is_not_plain_is_left_to_h11(head: bytes) -> None:
    assert recognise_response(head) is None


def test_a_length_has_at_most_twenty_digits() -> None:
    assert recognise_response(RESPONSE.replace(b"h: 3", b"h: " + b"1" * 20)) is not None
    assert recognise_response(RESPONSE.replace(b"h: 3", b"h: " + b"1" * 21)) is None


@given(
    st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 204", b"HTTP/1.1 304 ", b"HTTP/1.1 101 x", b"HTTP/1.0 200 OK"]),
    LINES,
)
def test_h11_reads_every_recognised_response_and_the_next_one_behind_it(first: bytes, lines: list[bytes]) -> None:
    raw = b"\r\n".join((first, *lines)) + b"\r\n\r\n"
    plain = recognise_response(raw)
    if plain is None:
        return
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method=b"GET", target=b"/", headers=[(b"Host", b"a")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(raw + b"x" * plain.length + b"behind")
    event, body = parser.next_event(), b""
    assert isinstance(event, h11.Response)
    assert (plain.status, plain.headers) == (event.status_code, tuple(event.headers))
    while isinstance(data := parser.next_event(), h11.Data):
        body += data.data
    assert isinstance(data, h11.EndOfMessage)
    assert (body, parser.trailing_data[0]) == (b"x" * plain.length, b"behind")
    assert parser.their_state is h11.DONE


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.client.recogniser") == []
