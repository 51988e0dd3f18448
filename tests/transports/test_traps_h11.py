"""What h11 does that would hurt if it were let: each defect pinned, so that a version which mends one says so.

Each is closed by `http_head.py` or `http_bodies.py`; that it is, their own tests show.
"""

from __future__ import annotations

import h11
import pytest

LIMIT = 16 * 1024


def read(data: bytes) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
    connection.receive_data(data)
    return connection.next_event()


def chunked() -> h11.Connection:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.next_event()
    return connection


def test_a_head_above_the_limit_is_taken_when_it_comes_whole() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"x" * 1_000_000)
    assert isinstance(read(head), h11.Request)


def test_headers_are_not_counted() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 16_000 + b"\r\n"
    event = read(head)
    assert isinstance(event, h11.Request)
    assert len(event.headers) == 16_001


def test_what_comes_while_it_is_paused_is_kept_without_limit() -> None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    connection.next_event()
    connection.next_event()
    for _ in range(100):
        connection.receive_data(b"x" * LIMIT)
        assert connection.next_event() is h11.PAUSED
    assert len(connection.trailing_data[0]) == 100 * LIMIT


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\x01z\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /#fragment HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET rpc HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=[
        "bare LF",
        "obs-fold",
        "control byte",
        "two framings",
        "chunked on 1.0",
        "HTTP/2 preface",
        "version 9.9",
        "another host in the target",
        "fragment",
        "no path",
    ],
)
def test_heads_are_taken_that_others_read_differently(head: bytes) -> None:
    assert isinstance(read(head), h11.Request)


@pytest.mark.parametrize("lengths", [b"Content-Length: 5\r\nContent-Length: 5\r\n", b"Content-Length: 5, 5\r\n"])
def test_equal_lengths_are_merged_silently(lengths: bytes) -> None:
    event = read(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n" % lengths)
    assert isinstance(event, h11.Request)
    assert [value for name, value in event.headers if name == b"content-length"] == [b"5"]


def test_empty_data_is_taken_for_the_end_of_input() -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"")
    assert isinstance(connection.next_event(), h11.ConnectionClosed)


def test_extensions_and_trailers_of_chunks_are_hidden() -> None:
    connection = chunked()
    connection.receive_data(b"1;%b\r\nx\r\n0\r\nX: %b\r\n\r\n" % (b"e" * 1_000_000, b"t" * 1_000_000))
    event = connection.next_event()
    assert isinstance(event, h11.Data)
    assert event.data == b"x"
    assert isinstance(connection.next_event(), h11.EndOfMessage)


def test_a_bare_line_feed_ends_the_trailers() -> None:
    connection = chunked()
    connection.receive_data(b"0\r\n\nrest")
    assert isinstance(connection.next_event(), h11.EndOfMessage)
    assert connection.trailing_data == (b"rest", False)


def test_an_extension_may_have_a_bare_carriage_return_and_control_bytes() -> None:
    connection = chunked()
    connection.receive_data(b"1;\ra\x00\r\nx\r\n0\r\n\r\n")
    assert isinstance(connection.next_event(), h11.Data)


def test_the_start_of_a_chunk_is_forgotten_when_the_bytes_are_cut_before_its_data() -> None:
    connection = chunked()
    connection.receive_data(b"1\r\n")
    assert connection.next_event() is h11.NEED_DATA
    connection.receive_data(b"x\r\n")
    event = connection.next_event()
    assert isinstance(event, h11.Data)
    assert (event.data, event.chunk_start, event.chunk_end) == (b"x", False, True)
