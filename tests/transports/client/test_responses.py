"""Responses behind their heads: whole at their last byte, the same at every split, and never more than their limits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from posthouse.core.values.config import Config
from posthouse.transports.client import responses
from posthouse.transports.client.recogniser import ResponseHead
from posthouse.transports.client.responses import (
    CUT_OFF,
    MALFORMED_CHUNKS,
    NO_HTTP,
    SWITCHED,
    TOO_LARGE,
    TWO_LENGTHS,
    WASTEFUL,
    Counted,
    Failed,
    Parsed,
    Reading,
    Response,
)

from tests.values import changeable

SMALL = Config(max_head_bytes=50, max_response_bytes=10)
HOST = (b"Host", b"a")


def counted(length: int, config: Config = SMALL) -> Counted:
    return Counted(config, ResponseHead(200, ((b"a", b"b"),), length))


def parsed(
    head: bytes = b"",
    config: Config = SMALL,
    method: bytes = b"GET",
    headers: tuple[tuple[bytes, bytes], ...] = (HOST,),
) -> Parsed:
    reading = Parsed(config, method, b"/", headers)
    if head:
        assert reading.feed(head) is None
    return reading


def gather(make: Callable[[], Reading], data: bytes) -> bytes | Failed | None:
    """What became of it, and the bytes behind it: the same at every split."""
    results = []
    halves = [[data[:i], data[i:]] for i in range(1, len(data))]
    for pieces in [[data], [data[i : i + 1] for i in range(len(data))], *halves]:
        reading = make()
        result: bytes | Failed | None = None
        for piece in pieces:
            if isinstance(result, bytes):
                result += piece
            elif result is None:
                result = reading.feed(piece)
        results.append((result, reading.response() if isinstance(result, bytes) else None))
    assert all(result == results[0] for result in results)
    return results[0][0]


def test_a_counted_response_ends_at_its_length() -> None:
    assert gather(partial(counted, 6), b"abcdefgh") == b"gh"
    assert gather(partial(counted, 6), b"abcde") is None
    reading = counted(3)
    assert reading.feed(b"ab") is None
    assert (reading.begun, reading.last, reading.buffered) == (True, False, 2)
    assert reading.end() == Failed(CUT_OFF)
    assert reading.feed(b"cd") == b"d"
    assert reading.response() == Response(200, ((b"a", b"b"),), b"abc")


def test_an_empty_response_is_whole_at_once() -> None:
    assert counted(0).feed(b"") == b""


@pytest.mark.parametrize(("size", "fails"), [(9, False), (10, False), (11, True)])
def test_a_counted_response_has_a_size_and_fails_at_once(size: int, fails: bool) -> None:
    assert counted(size).feed(b"x") == (Failed(TOO_LARGE) if fails else None)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
ENDLESS = b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n"


def test_chunks_are_put_together() -> None:
    assert gather(partial(parsed, CHUNKED), b"1\r\n{\r\n1;x\r\n}\r\n0\r\nA: b\r\n\r\nnext") == b"next"
    reading = parsed(CHUNKED)
    assert reading.feed(b"1\r\n{\r\n1") is None
    assert (reading.begun, reading.buffered) == (True, 4)  # `{` and what h11 makes nothing of yet
    assert reading.feed(b"\r\n}\r\n0\r\n\r\n") == b""
    assert (reading.response().body, reading.last) == (b"{}", False)


def test_a_response_that_ends_its_connection_says_so() -> None:
    reading = parsed(CLOSING)
    assert reading.feed(b"{}") == b""
    assert reading.last
    asked = parsed(CLOSING.replace(b"Connection: close\r\n", b""), headers=(HOST, (b"Connection", b"close")))
    assert asked.feed(b"{}") == b""
    assert asked.last


def test_an_informational_response_is_skipped() -> None:
    reading = parsed(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n")
    assert not reading.begun
    assert reading.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n") is None
    assert reading.begun
    assert reading.feed(b"{}") == b""
    assert reading.response() == Response(200, ((b"content-length", b"2"),), b"{}")


def test_a_body_without_a_length_goes_on_to_the_end_of_input() -> None:
    reading = parsed(ENDLESS)
    assert reading.feed(b"{}") is None
    assert reading.buffered == 2
    assert reading.end() is None
    assert (reading.response(), reading.last) == (Response(200, ((b"a", b"b"),), b"{}"), True)


@pytest.mark.parametrize(
    ("head", "came"), [(CHUNKED, b""), (CHUNKED, b"2\r\n{"), (CHUNKED, b"2\r\n{}\r\n0\r\nA"), (CLOSING, b"{")]
)
def test_a_response_that_the_end_of_input_cuts_off_fails(head: bytes, came: bytes) -> None:
    reading = parsed(head)
    for byte in came:
        assert reading.feed(bytes((byte,))) is None
    assert reading.end() == Failed(CUT_OFF)


def test_a_response_to_a_head_has_no_body() -> None:
    reading = parsed(method=b"HEAD")
    assert reading.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n") == b""
    assert (reading.response().body, reading.last) == (b"", False)


@pytest.mark.parametrize("head", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nA b\r\n\r\n"])
def test_a_server_that_does_not_speak_http_has_a_reason_of_its_own(head: bytes) -> None:
    assert parsed().feed(head) == Failed(NO_HTTP)


@pytest.mark.parametrize("wire", [b"1\r\nx\rf0\r\n\r\n", b"x\r\n", b"1\r\nxy\r\n", b"0\r\nA b\r\n\r\n"])
def test_malformed_chunks_fail_with_the_same_reason_however_they_are_cut(wire: bytes) -> None:
    assert gather(partial(parsed, CHUNKED), wire) == Failed(MALFORMED_CHUNKS)


@pytest.mark.parametrize(("size", "reason"), [(48, MALFORMED_CHUNKS), (49, WASTEFUL)])
@pytest.mark.parametrize("wire", [b"%bx\r\n", b"0\r\n%bx\r\n\r\n"], ids=["chunk", "trailer"])
def test_of_two_faults_around_chunks_the_same_is_reported_however_they_are_cut(
    wire: bytes, size: int, reason: str
) -> None:
    fault = wire % (b"?" * (size - len(wire % b"")))  # and the CR LF before it
    assert gather(partial(parsed, CHUNKED), b"1\r\n1\r\n" + fault + b"1\r\n") == Failed(reason)


@pytest.mark.parametrize(("size", "fails"), [(9, False), (10, False), (11, True)])
def test_a_parsed_response_that_announces_its_size_fails_at_once(size: int, fails: bool) -> None:
    announced = CLOSING.replace(b"Length: 2", b"Length: %d" % size)
    assert parsed().feed(announced) == (Failed(TOO_LARGE) if fails else None)


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", b"200 OK"), (b"GET", b"204 No"), (b"GET", b"304 Not")])
def test_the_length_of_a_body_that_does_not_follow_is_ignored(method: bytes, status: bytes) -> None:
    announced = CLOSING.replace(b"200 OK", status).replace(b"Length: 2", b"Length: 11")
    assert parsed(method=method).feed(announced) == b""


@pytest.mark.parametrize(("size", "fails"), [(9, False), (10, False), (11, True)])
@pytest.mark.parametrize(
    ("head", "wire"), [(ENDLESS, b"%b"), (CHUNKED, b"%x\r\n%b\r\n0\r\n\r\n")], ids=["endless", "chunked"]
)
def test_a_parsed_response_has_a_size(head: bytes, wire: bytes, size: int, fails: bool) -> None:
    values = (size, b"x" * size) if b"%x" in wire else (b"x" * size,)
    result = gather(partial(parsed, head), wire % values)
    assert (result == Failed(TOO_LARGE)) is fails
    assert fails or not isinstance(result, Failed)


@pytest.mark.parametrize(("size", "fails"), [(49, False), (50, False), (51, True)])
@pytest.mark.parametrize("place", ["before", "between", "behind"])
def test_the_bytes_around_chunks_are_limited_however_they_are_cut(size: int, fails: bool, place: str) -> None:
    chunks = {
        "before": b"1;" + b"x" * (size - 4) + b"\r\n1\r\n1\r\n2\r\n0\r\n\r\n",
        "between": b"1\r\n1\r\n1;" + b"x" * (size - 6) + b"\r\n2\r\n0\r\n\r\n",
        "behind": b"1\r\n1\r\n1\r\n2\r\n0\r\nX:" + b"x" * (size - 11) + b"\r\n\r\n",
    }
    result = gather(partial(parsed, CHUNKED), chunks[place])
    assert result == (Failed(WASTEFUL) if fails else b"")


def test_the_bytes_around_chunks_may_be_longer_than_the_default_limit_of_h11() -> None:
    reading = parsed(CHUNKED, Config(max_head_bytes=40_000))
    wire = b"1;%b\r\nx\r\n0\r\n\r\n" % (b"x" * 30_000)
    for at in range(0, len(wire), 1000):
        rest = reading.feed(wire[at : at + 1000])
    assert (rest, reading.response().body) == (b"", b"x")


def test_the_bytes_behind_a_large_response_are_returned() -> None:
    reading = parsed(CHUNKED, Config())
    assert reading.feed(b"2000\r\n" + b"x" * 0x2000 + b"\r\n0\r\n\r\n" + b"next" * 5000) == b"next" * 5000
    assert reading.response().body == b"x" * 0x2000


def test_a_response_with_two_lengths_fails() -> None:
    reading = parsed()
    head = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n")
    assert reading.feed(head) == Failed(TWO_LENGTHS)


def test_a_switch_of_protocols_fails() -> None:
    reading = parsed(headers=(HOST, (b"Upgrade", b"x"), (b"Connection", b"upgrade")))
    head = b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    assert reading.feed(head) == Failed(SWITCHED)


def test_a_header_is_found_by_its_name() -> None:
    response = Response(200, ((b"a", b"b"), (b"a", b"c")), b"")
    assert (response.header(b"a"), response.header(b"d")) == (b"b", None)


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.client.responses") == []


def test_a_failure_says_what_the_server_did() -> None:
    texts = {name: value for name, value in vars(responses).items() if name.isupper() and isinstance(value, str)}
    assert texts == {
        "NO_HTTP": "the server does not speak HTTP/1.1",
        "MALFORMED_CHUNKS": "the chunks of the server's response are malformed",
        "TOO_LARGE": "the server's response is too large",
        "WASTEFUL": "the server's response has too much between its chunks",
        "TWO_LENGTHS": "the server's response says in two ways where it ends",
        "SWITCHED": "the server goes on in another protocol",
        "CUT_OFF": "the server closed the connection before its response was whole",
    }
