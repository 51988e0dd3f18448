"""Heads that came before: the shorter way has the same results as the long one, and keeps nothing of a caller."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.values.config import Config
from posthouse.core.values.peers import NO_META, Meta
from posthouse.transports.codec import Exchange, Output
from posthouse.transports.http.answers import ResponseOptions
from posthouse.transports.http.judgement import JudgedHead
from posthouse.transports.http.known_heads import DIFFERING, MAX_HEAD_BYTES, NO_HEADS, KnownHeads
from posthouse.transports.http.requests import RequestReader
from posthouse.transports.http.routes import Call
from posthouse.transports.http.server import Http1
from posthouse.transports.policy import Policy

ORIGIN = "https://page.example"
POLICY = Policy(origins=(ORIGIN,))
CONFIG = Config()
HEADERS = ((b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"2"))
TRACE = "00-0af7651916cd43dd8448eb211c80319c-%016x-01"
PLAIN = Call(NO_META, awaited=False)
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
    assert known.find(head()) == JudgedHead(PLAIN, True, NO_META, 2, "/rpc", HEADERS, KEPT)
    assert known.find(head("X: 1")) is None


@pytest.mark.parametrize("name", DIFFERING)
def test_a_head_is_known_with_any_value_of_a_field_that_differs_and_no_value_is_kept(name: bytes) -> None:
    known = known_after(head(f"{name.decode()}: 4711", "X: y"))
    for value in ("4712", " 4712\t", ""):
        judged = known.find_cut(head(f"{name.decode()}:{value}", "X: y"))
        if value or name not in (b"idempotency-key", b"posthouse-timeout-ms"):
            assert judged is not None
            assert judged.headers == (*HEADERS, (name, value.strip().encode()), (b"x", b"y"))
        else:
            assert judged is None  # it is refused
    assert "4711" not in repr((known._whole, known._cut))
    assert known.find_cut(head(f"{name.decode().upper()}: 4712", "X: y")) is None
    assert known.find(head("X: y")) is None
    assert known.find_cut(head("X: y")) is None


def test_a_known_head_has_the_metadata_of_its_own_values() -> None:
    known = known_after(head("Idempotency-Key: a", f"Traceparent: {TRACE % 1}", "X-Request-Id: r"))
    judged = known.find_cut(head("Idempotency-Key: b", f"Traceparent: {TRACE % 2}", "X-Request-Id: s"))
    meta = Meta(idempotency_key="b", traceparent=TRACE % 2, request_id="s")
    assert judged is not None
    assert (judged.wanted, judged.call, judged.meta) == (Call(meta, awaited=False), True, meta)
    assert judged.options == KEPT.naming("s")
    judged = known.find_cut(head("Idempotency-Key: c", "Traceparent: no", "X-Request-Id: no id"))
    assert judged is not None
    assert (judged.meta, judged.options) == (Meta(idempotency_key="c"), KEPT)
    known_after(head("Posthouse-Timeout-Ms: 5"), known=known)
    assert known.find_cut(head("Posthouse-Timeout-Ms: x")) is None


@pytest.mark.parametrize("value", ["\x00", "a\x7fb", "a\rb", "a\nb", "a\r\n b"])
def test_a_value_with_a_character_that_none_may_have_is_not_known(value: str) -> None:
    assert known_after(head("X-Request-Id: a")).find_cut(head(f"X-Request-Id: {value}")) is None


@pytest.mark.parametrize(
    "raw",
    [
        head("Expect: 100-continue"),
        head("Origin: https://other.example"),
        head("Idempotency-Key: "),
        head("Accept: a", "Accept: b"),
        head("X-Request-Id: a", "X-Request-Id: b"),
        head(first="POST /other HTTP/1.1"),
        head().replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        head("X: " + "x" * MAX_HEAD_BYTES),
    ],
)
def test_a_head_that_is_no_plain_call_is_not_kept(raw: bytes) -> None:
    known = known_after(raw)
    assert known.find(raw) is None
    assert known.find_cut(raw) is None
    assert (known._whole, known._cut) == ({}, {})


def test_the_oldest_head_makes_room() -> None:
    heads = [head(f"X: {number}") for number in range(3)]
    known = known_after(*heads, known=KnownHeads(2))
    assert [known.find(raw) is not None for raw in heads] == [False, True, True]
    known_after(heads[2], known=known)
    assert [known.find(raw) is not None for raw in heads] == [False, True, True]


def test_the_oldest_head_with_values_cut_out_makes_room_for_another_one_of_those() -> None:
    heads = [head("Cookie: a", f"X: {number}") for number in range(3)]
    known = known_after(head(), *heads, known=KnownHeads(2))
    assert [known.find_cut(raw) is not None for raw in heads] == [False, True, True]
    assert known.find(head()) is not None
    known_after(head("Cookie: b", "X: 2"), known=known)
    assert [known.find_cut(raw) is not None for raw in heads] == [False, True, True]


def test_no_heads_keeps_nothing() -> None:
    assert known_after(head(), known=NO_HEADS).find(head()) is None


def test_a_long_head_is_known_up_to_its_last_byte() -> None:
    longest = head("X: " + "x" * (MAX_HEAD_BYTES - len(head("X: "))))
    assert len(longest) == MAX_HEAD_BYTES
    judged = known_after(longest).find(longest)
    assert judged is not None
    assert judged.headers == (*HEADERS, (b"x", b"x" * (MAX_HEAD_BYTES - len(head("X: ")))))


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
    head("Idempotency-Key: 2") + b"{}",
    head("Idempotency-Key:") + b"{}",
    head("X-Request-Id: 1", "Cookie: a") + b"{}",
    head("X-Request-Id: 2", "Cookie: b") + b"{}",
    head("X-Request-Id: 2", "Cookie: b", "Cookie: c") + b"{}",
    head("X-Request-Id: \x00", "Cookie: b") + b"{}",
    head("Expect: 100-continue") + b"{}",
    head("Accept: a", "Accept: b") + b"{}",
    head("Host: localhost") + b"{}",
    head("Upgrade: x", first="GET /ws HTTP/1.1"),
    head().replace(b"Content-Length: 2", b"Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n",
    b"\r\n" + head() + b"{}",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /rpc HTTP/1.1\r\n\r\n",
)


def outputs(codec: Http1, pieces: list[bytes], *, answered: bool) -> list[tuple[object, ...]]:
    """What comes of each piece, with what the codec holds and waits for behind it."""
    seen: list[tuple[object, ...]] = []
    for piece in pieces:
        whole = codec.receive_whole(piece, 0.0)
        codec.output += whole
        if not whole:
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
    same_in_both_ways(b"".join(requests), cuts, answered=answered)


@given(
    st.sampled_from(["POST /rpc HTTP/1.1", "POST http://localhost/rpc HTTP/1.1", "POST /rpc HTTP/1.0"]),
    st.lists(
        st.sampled_from(
            [
                *("X-Request-Id: %d", "x-request-id:%d \t", "X-Request-Id: no id %d", "X-Request-Id : %d"),
                *("Traceparent: " + TRACE, "X: %d", "X: y", "Connection: keep-alive", "Connection: close"),
                *(f"Origin: {ORIGIN}", "Content-Encoding: identity", "Content-Length: 2"),
                *(f"{name.decode()}: {value}" for name in DIFFERING for value in ("%d", "%d, close", "null%d")),
            ]
        ),
        max_size=6,
    ),
    st.lists(st.integers(0, 900), max_size=4),
    st.booleans(),
)
def test_fields_that_differ_change_no_output(first: str, lines: list[str], cuts: list[int], answered: bool) -> None:
    heads = [head(*(line % number if "%" in line else line for line in lines), first=first) for number in (1, 2, 0)]
    same_in_both_ways(b"".join(raw + b"{}" for raw in heads), cuts, answered=answered)


def same_in_both_ways(data: bytes, cuts: list[int], *, answered: bool) -> None:
    """Twice the same bytes to codecs that know heads, and to those that know none: is there a difference?"""
    at_heads = [at.start() for at in re.finditer(b"POST|GET", data)] if len(cuts) % 2 else []
    ends = sorted({*at_heads[1:], *(cut for cut in cuts if 0 < cut < len(data)), len(data)})
    pieces = [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    config = Config(allow_chunked=True)
    known = KnownHeads()
    for _ in range(2):
        direct, general = Http1(config, POLICY, 0.0, known), Http1(config, POLICY, 0.0)
        assert outputs(direct, pieces, answered=answered) == outputs(general, pieces, answered=answered)
