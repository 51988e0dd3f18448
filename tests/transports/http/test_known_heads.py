"""Heads that came before: the shorter way has the same results as the long one, and keeps nothing of a caller."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.values.config import Config
from posthouse.core.values.peers import NO_META
from posthouse.transports.codec import Exchange, Output
from posthouse.transports.http.answers import ResponseOptions
from posthouse.transports.http.known_heads import DIFFERING, MAX_HEAD_BYTES, NO_HEADS, KnownHead, KnownHeads
from posthouse.transports.http.requests import RequestReader
from posthouse.transports.http.server import Http1
from posthouse.transports.policy import Policy

ORIGIN = "https://page.example"
POLICY = Policy(origins=(ORIGIN,))
CONFIG = Config()
HEADERS = ((b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"2"))
KEPT = ResponseOptions(persistent=True, bodiless=False, lines=b"")


def head(*lines: str, first: str = "POST /rpc HTTP/1.1", length: int = 2) -> bytes:
    fields = ("Host: localhost", "Content-Type: application/json", f"Content-Length: {length}", *lines)
    return "\r\n".join((first, *fields, "", "")).encode()


def known_after(*heads: bytes, known: KnownHeads | None = None) -> KnownHeads:
    known = KnownHeads() if known is None else known
    for raw in heads:
        reader = RequestReader(CONFIG, POLICY, known)
        reader.buffer += raw
        reader.read_head(0.0)
    return known


def test_a_head_of_a_call_is_known_from_the_second_time_on() -> None:
    known = KnownHeads()
    assert known.find(head()) is None
    known_after(head(), known=known)
    assert known.find(head()) == KnownHead(2, "/rpc", HEADERS, KEPT)
    assert known.find(head("X: 1")) is None


@pytest.mark.parametrize(
    "raw",
    [
        *(head(f"{name.decode()}: 1") for name in DIFFERING),
        head("Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        head("Expect: 100-continue"),
        head("Origin: https://other.example"),
        head(first="POST /other HTTP/1.1"),
        head().replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        head("X: " + "x" * MAX_HEAD_BYTES),
    ],
)
def test_what_differs_per_request_or_is_no_plain_call_is_not_kept(raw: bytes) -> None:
    assert known_after(raw).find(raw) is None


def test_the_oldest_head_makes_room() -> None:
    heads = [head(f"X: {number}") for number in range(3)]
    known = known_after(*heads, known=KnownHeads(2))
    assert [known.find(raw) is not None for raw in heads] == [False, True, True]
    known_after(heads[2], known=known)
    assert [known.find(raw) is not None for raw in heads] == [False, True, True]


def test_no_heads_keeps_nothing() -> None:
    assert known_after(head(), known=NO_HEADS).find(head()) is None


def test_a_long_head_is_known_up_to_its_last_byte() -> None:
    longest = head("X: " + "x" * (MAX_HEAD_BYTES - len(head("X: "))))
    assert len(longest) == MAX_HEAD_BYTES
    reader = RequestReader(CONFIG, POLICY, known_after(longest))
    reader.buffer += longest + b"{}"
    long_header = (b"x", b"x" * (MAX_HEAD_BYTES - len(head("X: "))))
    assert reader.read_known() == Exchange(b"{}", NO_META, "/rpc", (*HEADERS, long_header))


REQUESTS = (
    head() + b"{}",
    head(length=3) + b"[1]",
    head(length=0),
    head("Connection: close") + b"{}",
    head(f"Origin: {ORIGIN}") + b"{}",
    head("Origin: https://other.example") + b"{}",
    head("Authorization: Bearer x") + b"{}",
    head(first="POST /rpc HTTP/1.0") + b"{}",
    head("Idempotency-Key: 1") + b"{}",
    head().replace(b"Content-Length: 2", b"Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n",
    b"\r\n" + head() + b"{}",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /rpc HTTP/1.1\r\n\r\n",
)


def outputs(codec: Http1, pieces: list[bytes], *, answered: bool) -> list[tuple[object, ...]]:
    """What comes of each piece, with what the codec holds and waits for behind it."""
    seen: list[tuple[object, ...]] = []
    for piece in pieces:
        codec.receive_data(piece, 0.0)
        told: list[Output] = []
        while codec.output:
            output = codec.output.pop(0)
            told.append(output)
            if isinstance(output, Exchange) and answered:
                codec.answer(output.data, None, None, 0.0)
                codec.proceed(0.0)
        seen.append((told, codec.buffered, codec.next_timeout()))
    return seen


@given(
    st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=6),
    st.lists(st.integers(0, 1_500), max_size=6),
    st.booleans(),
)
def test_known_heads_change_no_output(requests: list[bytes], cuts: list[int], answered: bool) -> None:
    data = b"".join(requests)
    ends = sorted({*(cut for cut in cuts if 0 < cut < len(data)), len(data)})
    pieces = [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    config = Config(allow_chunked=True)
    known = KnownHeads()
    for _ in range(2):
        direct, general = Http1(config, POLICY, 0.0, known), Http1(config, POLICY, 0.0)
        assert outputs(direct, pieces, answered=answered) == outputs(general, pieces, answered=answered)
