"""Request heads: where they end, and that none gets through that can be read in two ways, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.values.config import Config
from posthouse.transports.http.head import Head, HeadScanner, parse, read_plain
from posthouse.transports.refusal import Refusal

from tests.transports.header_lines import LINES
from tests.values import changeable

GOOD = b"POST /rpc?x=1 HTTP/1.1\r\nHost: localhost:8000\r\nAccept: a\r\nContent-Length: 2\r\naccept: b\r\n\r\n"


def scan(pieces: list[bytes], config: Config = Config()) -> tuple[int | Refusal | None, bytes]:
    """What the gate says of bytes that come in these pieces, and what is in the buffer then."""
    gate, buffer = HeadScanner(config), bytearray()
    for piece in pieces:
        buffer += piece
        verdict = gate.scan(buffer)
        if verdict is not None:
            return verdict, bytes(buffer)
    return None, bytes(buffer)


def drip(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def judge(data: bytes, config: Config = Config()) -> Head | Refusal | None:
    """The verdict of gate and parser together: the same whole, dripped and at every split."""
    verdicts = []
    for pieces in [[data], drip(data), *([data[:i], data[i:]] for i in range(1, len(data)))]:
        verdict, buffer = scan(pieces, config)
        verdicts.append(parse(buffer[:verdict]) if isinstance(verdict, int) else verdict)
    end = data.find(b"\r\n\r\n", 0, config.max_head_bytes)
    plain = None if end < 0 else read_plain(data[: end + 4], config)
    assert plain is None or plain == verdicts[0]
    assert all(verdict == verdicts[0] for verdict in verdicts)
    return verdicts[0]


def status(data: bytes, config: Config = Config()) -> int | None:
    verdict = judge(data, config)
    assert not isinstance(verdict, Head)
    return verdict.status if verdict is not None else None


def get(*headers: bytes, target: bytes = b"/", version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    lines = [b"%b %b HTTP/%b" % (method, target, version), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def read(data: bytes) -> Head:
    head = judge(data)
    assert isinstance(head, Head)
    return head


def test_a_head_is_read_as_it_says() -> None:
    head = read(GOOD)
    assert (head.method, head.path, head.query, head.version) == (b"POST", b"/rpc", b"x=1", b"1.1")
    assert head.host == b"localhost:8000"
    assert head.fields == {b"host": b"localhost:8000", b"accept": b"a, b", b"content-length": b"2"}
    assert head.headers[1] == (b"accept", b"a")
    assert (head.length, head.chunked, head.persistent, head.bodiless) == (2, False, True, False)


def test_the_head_ends_where_the_next_bytes_begin() -> None:
    for pieces in ([GOOD + b"\x00\n{}"], [*drip(GOOD), b"\x00"]):
        assert scan(pieces)[0] == len(GOOD)


def test_a_scanner_that_was_reset_reads_the_next_head() -> None:
    gate = HeadScanner(Config())
    assert gate.scan(bytearray(GOOD)) == len(GOOD)
    gate.reset()
    assert gate.scan(bytearray(b"\r\n" + GOOD)) == len(GOOD)


def test_one_empty_line_before_the_request_is_ignored_and_not_two() -> None:
    assert read(b"\r\n" + GOOD).path == b"/rpc"
    assert status(b"\r\n\r\n" + GOOD) == 400


@pytest.mark.parametrize(
    ("status_", "data"),
    [
        (400, b"GET / HTTP/1.1\nHost: a\n\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n"),
        (400, get(b"Host: a", b"X: y", b" folded")),
        (400, get(b"Host: a", b"X: y", b"\tfolded")),
        (400, get(b"Host: a", b"X: y\x00z")),
        (400, get(b"Host: a", b"X: y\x7f")),
        (400, get(b"Host : a")),
        (400, get(b"Host: a", b"X\xff: y")),
        (400, get(b"Host: a", b": y")),
        (400, get(b"X: y")),
        (400, get(b"Host: a", b"Host: a")),
        (400, get(b"Host: a b")),
        (400, get(b"Host: user@a")),
        (400, get(b"Host: ::1")),
        (400, get(b"Host: a", b"Content-Length: 1", b"content-length: 1")),
        (400, get(b"Host: a", b"Content-Length: 1", b"Content-Length: 2")),
        (400, get(b"Host: a", b"Content-Length: 1, 1")),
        (400, get(b"Host: a", b"Content-Length: +1")),
        (400, get(b"Host: a", b"Content-Length: 0x1")),
        (400, get(b"Host: a", b"Content-Length:")),
        (400, get(b"Host: a", b"Content-Length: " + b"9" * 30)),
        (400, get(b"Host: a", b"Content-Length: 1", b"Transfer-Encoding: chunked")),
        (400, get(b"Host: a", b"Transfer-Encoding: chunked", version=b"1.0")),
        (501, get(b"Host: a", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")),
        (501, get(b"Host: a", b"Transfer-Encoding: gzip, chunked")),
        (501, get(b"Host: a", b"Transfer-Encoding: \xffchunked")),
        (400, get(b"Host: a", b"Content-Type: a/b", b"Content-Type: a/b")),
        (400, get(b"Host: a", b"Origin: http://a", b"Origin: http://a")),
        (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (505, get(b"Host: a", version=b"1.2")),
        (505, get(b"Host: a", version=b"9.9")),
        (400, b"GET /\r\n"),
        (400, b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
        (400, b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, b"GET / http/1.1\r\nHost: a\r\n\r\n"),
        (405, get(b"Host: a:443", method=b"CONNECT", target=b"a:443")),
        (400, get(b"Host: a", target=b"http://b/rpc")),
        (400, get(b"Host: a", target=b"http://u@a/rpc")),
        (400, get(target=b"http://u@a/rpc", version=b"1.0")),
        (400, get(b"Host: a", target=b"ftp://a/rpc")),
        (400, get(b"Host: a", target=b"rpc")),
        (400, get(b"Host: a", target=b"*")),
        (400, get(b"Host: a", target=b"/rpc#there")),
        (400, get(b"Host: a", target=b"/\xe4")),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        (400, b"SSH-2.0-OpenSSH_9.6\r\n"),
        (None, b"GET / HTTP/1.1\r\nHost: a\r\n"),
        (None, b"GET /"),
        (None, b"\r"),
    ],
)
def test_6_and_7_an_ambiguous_head_is_refused_at_every_split(status_: int | None, data: bytes) -> None:
    assert status(data) == status_


def test_forbidden_bytes_are_refused_before_the_head_is_whole() -> None:
    for data in (b"GET / HTTP/1.1\r\nHost: a\rX", b"GET / HTTP/1.1\r\nHost: a\x00", b"GET / HTTP/1.1\r\nA: b\n"):
        verdict, _ = scan([data])
        assert isinstance(verdict, Refusal)
        assert verdict.status == 400


def test_connect_is_refused_with_the_methods_that_are_allowed() -> None:
    refusal = judge(get(b"Host: a:443", method=b"CONNECT", target=b"a:443"))
    assert isinstance(refusal, Refusal)
    assert refusal.headers == ((b"Allow", b"GET, HEAD, POST, OPTIONS"),)


def test_the_first_offence_decides_whatever_follows_in_the_same_bytes() -> None:
    assert status(b"GET / HTTP/1.2\r\nHost: a\n\n") == 505
    assert status(b"GET /\x00 HTTP/1.2\r\n\r\n") == 400


def test_an_absolute_target_is_read_when_it_agrees_with_the_host() -> None:
    head = read(get(b"Host: LOCALHOST:80", target=b"http://localhost:80/rpc?a=b"))
    assert (head.path, head.query, head.host) == (b"/rpc", b"a=b", b"LOCALHOST:80")
    head = read(get(target=b"HTTPS://a", version=b"1.0"))
    assert (head.path, head.query, head.host) == (b"/", b"", b"a")


def test_the_whole_server_may_be_asked_for_options() -> None:
    assert read(get(b"Host: a", method=b"OPTIONS", target=b"*")).path == b"*"


def test_http_1_0_needs_no_host_and_ends_with_its_answer() -> None:
    head = read(get(version=b"1.0"))
    assert (head.host, head.persistent, head.bodiless) == (None, False, True)
    assert read(get(b"Content-Length: 03", version=b"1.0")).length == 3


@pytest.mark.parametrize("value", [b"close", b"Keep-Alive, Close", b"x,close ,"])
def test_connection_close_ends_the_socket_after_the_answer(value: bytes) -> None:
    assert not read(get(b"Host: a", b"Connection: " + value)).persistent


def test_chunks_and_bytes_above_ascii_in_values_are_let_through() -> None:
    head = read(get(b"Host: a", b"Transfer-Encoding: Chunked", b"X: \xff\t y "))
    assert (head.chunked, head.bodiless, head.fields[b"x"]) == (True, False, b"\xff\t y")


SMALL = Config(max_head_bytes=64, max_headers=3, max_target_bytes=10)


@pytest.mark.parametrize(("size", "status_"), [(63, None), (64, None), (65, 431), (200, 431)])
def test_5_a_head_has_a_size(size: int, status_: int | None) -> None:
    frame = get(b"Host: a", b"X: ")
    verdict = judge(get(b"Host: a", b"X: " + b"x" * (size - len(frame))), SMALL)
    assert (verdict.status if isinstance(verdict, Refusal) else None) == status_


@pytest.mark.parametrize(("count", "status_"), [(2, None), (3, None), (4, 431)])
def test_5_headers_are_counted(count: int, status_: int | None) -> None:
    verdict = judge(get(b"Host: a", *[b"X: y"] * (count - 1)), SMALL)
    assert (verdict.status if isinstance(verdict, Refusal) else None) == status_


@pytest.mark.parametrize(("size", "status_"), [(9, None), (10, None), (11, 414), (200, 414)])
def test_5_a_target_has_a_size(size: int, status_: int | None) -> None:
    verdict = judge(get(b"Host: a", target=b"/" * size), SMALL)
    assert (verdict.status if isinstance(verdict, Refusal) else None) == status_


def test_a_line_without_an_end_is_too_large() -> None:
    assert status(b"X" * 100, SMALL) == 431
    assert status(b"X" * 63 + b"\r", SMALL) == 431
    assert status(b"GET / " + b"x" * 100, SMALL) == 431
    assert status(b"GET /123456789 " + b"x" * 100, SMALL) == 431


@given(
    st.lists(
        st.one_of(
            st.sampled_from([b"GET / HTTP/1.1", b"\r\n", b"\r", b"\n", b"Host: a", b" ", b"\r\n\r\n", b":", b"\t"]),
            st.binary(max_size=4),
        ),
        max_size=12,
    )
)
def test_any_bytes_have_the_same_verdict_however_they_are_cut(parts: list[bytes]) -> None:
    judge(b"".join(parts), SMALL)


@given(
    st.sampled_from(
        [b"GET / HTTP/1.1", b"POST http://a/b?c HTTP/1.1", b"GET /1234567890 HTTP/1.1", b"CONNECT a HTTP/1.1"]
    ),
    LINES,
)
def test_any_lines_have_the_same_verdict_however_they_are_cut(first: bytes, lines: list[bytes]) -> None:
    judge(b"\r\n".join([first, *lines, b"", b""]), SMALL)


def test_a_head_that_comes_whole_is_read_at_once_if_it_is_plain_and_not_refused() -> None:
    assert read_plain(GOOD, Config()) == read(GOOD)
    for config in (Config(max_target_bytes=8), Config(max_headers=4)):
        assert read_plain(GOOD, config) == read(GOOD)
    for config in (Config(max_target_bytes=7), Config(max_headers=3)):
        assert read_plain(GOOD, config) is None
    for refused in (get(b"Host: a b"), get(b"Host: a", target=b"rpc"), b"\r\n" + GOOD):
        assert read_plain(refused, Config()) is None


def test_a_scanner_has_begun_when_it_has_looked_at_bytes_of_a_head() -> None:
    scanner = HeadScanner(Config())
    assert not scanner.begun
    assert scanner.scan(bytearray(b"\r\n")) is None
    assert scanner.begun
    assert scanner.scan(bytearray(GOOD)) == len(GOOD)
    scanner.reset()
    assert not scanner.begun


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.http.head") == []
