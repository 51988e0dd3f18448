"""Bodies: whole at their last byte, the same at every split, and never more than their limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.values.config import Config
from posthouse.transports.http.bodies import Body, ChunkedBody, CountedBody, body_deadline, too_large
from posthouse.transports.refusal import Refusal

SMALL = Config(max_body_bytes=10)
MAX_CHUNKS = 4096
MAX_CHUNK_OVERHEAD = 4096


def splits(data: bytes) -> list[list[bytes]]:
    halves = [[data[:i], data[i:]] for i in range(1, len(data))]
    return [[data], [data[i : i + 1] for i in range(len(data))], *halves]


def gather(body: Body, pieces: list[bytes]) -> tuple[bytes, bytes] | int | None:
    """The body and what came behind it; a refusal's status; or None: it is not whole."""
    rest: bytes | None = None
    for piece in pieces:
        if rest is not None:
            rest += piece
            continue
        verdict = body.feed(piece)
        if isinstance(verdict, Refusal):
            return verdict.status
        rest = verdict
    return None if rest is None else (body.join(), rest)


def chunked(data: bytes, config: Config = SMALL) -> tuple[bytes, bytes] | int | None:
    results = [gather(ChunkedBody(config), pieces) for pieces in splits(data)]
    assert all(result == results[0] for result in results)
    return results[0]


@pytest.mark.parametrize("pieces", splits(b"abcdefgh"))
def test_a_counted_body_ends_at_its_length_at_every_split(pieces: list[bytes]) -> None:
    assert gather(CountedBody(6), pieces) == (b"abcdef", b"gh")
    assert gather(CountedBody(9), pieces) is None


def test_an_empty_body_is_whole_at_once() -> None:
    assert CountedBody(0).feed(b"") == b""
    assert gather(CountedBody(0), [b"next"]) == (b"", b"next")


def test_a_body_tells_what_it_holds() -> None:
    body = CountedBody(5)
    body.feed(b"abc")
    assert (body.received, body.buffered) == (3, 3)


def test_chunks_are_put_together_and_their_overhead_is_dropped() -> None:
    wire = b"3\r\nabc\r\n2;extension=x\r\nde\r\n0\r\nTrailer: x\r\n\r\nnext"
    assert chunked(wire) == (b"abcde", b"next")
    assert chunked(b"0\r\n\r\n") == (b"", b"")
    assert chunked(b"3\r\nabc\r\n") is None


def test_no_bytes_are_not_the_end_of_a_chunked_body() -> None:
    body = ChunkedBody(SMALL)
    assert body.feed(b"") is None
    assert body.feed(b"1\r\na\r\n0\r\n\r\n") == b""


def test_a_chunked_body_tells_what_it_was_given_and_what_it_holds() -> None:
    body = ChunkedBody(SMALL)
    assert (body.received, body.buffered) == (0, 0)
    body.feed(b"3\r\nab")
    assert (body.received, body.buffered) == (5, 2)
    body.feed(b"c\r\n4;")
    assert (body.received, body.buffered) == (10, 5)


@pytest.mark.parametrize(
    "wire",
    [
        b"x\r\n",
        b"-1\r\n",
        b"3\nabc\r\n0\r\n\r\n",
        b"3;a\nb\r\nabc\r\n",
        b"3\r\nabcX\n0\r\n\r\n",
        b"0\r\n\n",
        b"0\r\nA: b\n\r\n",
        b"0\r\nA: b\r\n\n",
        b"0\r\nA b\r\n\r\n",
        b"0\r\nA: b\r\n c\r\n\r\n",
        b"3;a\rb\r\nabc\r\n0\r\n\r\n",
        b"3\r\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0;\x00\r\n\r\n",
        b"123456789012345678901\r\n",
    ],
)
def test_6_malformed_chunks_are_refused_at_every_split(wire: bytes) -> None:
    assert chunked(wire) == 400


def body_of(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize(("size", "refused"), [(9, False), (10, False), (11, True)])
def test_a_chunked_body_has_a_size(size: int, refused: bool) -> None:
    whole = b"x" * size
    expected = 413 if refused else (whole, b"")
    assert chunked(body_of(whole)) == chunked(body_of(whole[:5], whole[5:])) == expected


def test_a_body_above_the_limit_is_refused_with_the_limit() -> None:
    refusal = too_large(SMALL)
    assert (refusal.status, refusal.error is None) == (413, False)
    assert refusal.error is not None
    assert (refusal.error.code, refusal.error.data) == (-32007, {"limit": "max_body_bytes", "allowed": 10})


def test_the_overhead_of_chunks_may_grow_with_the_body_however_it_is_cut() -> None:
    body = b"x" * 20_000
    wire = b"%x\r\n%b\r\n1;%b\r\ny\r\n0\r\n\r\n" % (len(body), body, b"x" * 20_000)
    for size in (len(wire), 1000):
        assert gather(ChunkedBody(Config()), [wire[i : i + size] for i in range(0, len(wire), size)]) == (
            body + b"y",
            b"",
        )


def test_endless_overhead_of_chunks_is_refused_before_it_ends() -> None:
    body = ChunkedBody(SMALL)
    assert body.feed(b"1;" + b"x" * (MAX_CHUNK_OVERHEAD - 2)) is None
    assert isinstance(body.feed(b"x"), Refusal)


def test_bytes_behind_a_body_do_not_count_as_overhead_of_its_chunks() -> None:
    rest = b"x" * 10_000
    assert gather(ChunkedBody(SMALL), [body_of(b"abc") + rest]) == (b"abc", rest)


@pytest.mark.parametrize(("count", "refused"), [(MAX_CHUNKS - 1, False), (MAX_CHUNKS, False), (MAX_CHUNKS + 1, True)])
def test_chunks_are_counted(count: int, refused: bool) -> None:
    wire = b"".join(b"8\r\n12345678\r\n" for _ in range(count)) + b"0\r\n\r\n"
    whole = gather(ChunkedBody(Config()), [wire])
    assert whole == gather(ChunkedBody(Config()), [wire[i : i + 100] for i in range(0, len(wire), 100)])
    assert (whole == 400) is refused


@pytest.mark.parametrize(("excess", "refused"), [(-1, False), (0, False), (1, True)])
def test_extensions_are_counted_where_the_chunk_begins(excess: int, refused: bool) -> None:
    first = b"3\r\nabc\r\n"
    extension = b"x" * (MAX_CHUNK_OVERHEAD + 2 * 3 + excess - len(first) - len(b"7;\r\n"))
    wire = first + b"7;" + extension + b"\r\nabcdefg\r\n0\r\n\r\n"
    results = [gather(ChunkedBody(SMALL), pieces) for pieces in ([wire], [wire[i : i + 1] for i in range(len(wire))])]
    assert results[0] == results[1]
    assert (results[0] == 400) is refused


@pytest.mark.parametrize(("excess", "refused"), [(-1, False), (0, False), (1, True)])
def test_trailers_are_counted_too(excess: int, refused: bool) -> None:
    frame = b"3\r\nabc\r\n0\r\nA: \r\n\r\n"
    wire = frame[:-4] + b"x" * (MAX_CHUNK_OVERHEAD + 2 * 3 + excess - len(frame)) + frame[-4:]
    results = [gather(ChunkedBody(SMALL), pieces) for pieces in ([wire], [wire[i : i + 1] for i in range(len(wire))])]
    assert results[0] == results[1]
    assert (results[0] == 400) is refused


@given(
    st.lists(st.one_of(st.binary(max_size=8), st.sampled_from([b"\r\n", b"3\r\nabc\r\n", b"0\r\n", b"0"])), max_size=8)
)
def test_any_bytes_have_one_verdict_and_are_bounded(parts: list[bytes]) -> None:
    wire = b"".join(parts)
    if wire:
        chunked(wire)
    body = ChunkedBody(SMALL)
    for part in parts:
        if body.feed(part) is not None:
            break
        assert body.buffered <= 2 * SMALL.max_body_bytes + MAX_CHUNK_OVERHEAD


# Time


@pytest.mark.parametrize(
    ("rate", "received", "due"),
    [(0.0, 0, 40.0), (10.0, 0, 12.0), (10.0, 20, 12.0), (10.0, 30, 13.0), (10.0, 300, 40.0), (10.0, 301, 40.0)],
)
def test_a_body_is_due_at_its_timeout_or_earlier_if_its_bytes_come_too_slowly(
    rate: float, received: int, due: float
) -> None:
    config = Config(body_timeout=30.0, min_body_rate=rate)
    assert body_deadline(config, 10.0, received) == due
