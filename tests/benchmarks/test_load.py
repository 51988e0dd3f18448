"""The load refuses every reply that is not the right one."""

from __future__ import annotations

import pytest

from benchmarks.load.connection import Known
from benchmarks.load.dialects import DIALECTS, message
from benchmarks.load.framing import Frames, Malformed, Posts, Replies, masked

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"


def test_a_request_has_the_size_that_was_asked_for() -> None:
    text = DIALECTS["json-rpc"].ask(100_001, message(80))
    assert text == b'{"jsonrpc":"2.0","method":"echo","params":["What hath God wrought"],"id":100001}'
    assert len(text) == 80
    assert len(DIALECTS["json-rpc"].ask(100_001, message(4096))) == 4096


def test_a_frame_is_masked() -> None:
    assert masked(b"abcd") == b"\x81\x84\x37\xfa\x21\x3dV\x98BY"
    assert masked(b"x" * 200)[:4] == b"\x81\xfe\x00\xc8"
    assert masked(b"x" * 70_000)[:10] == b"\x81\xff\x00\x00\x00\x00\x00\x01\x11\x70"


@pytest.mark.parametrize("end", range(2 + 126))
def test_a_frame_that_is_not_whole_is_waited_for(end: int) -> None:
    frame = b"\x81\x7e\x00\x7e" + b"x" * 126
    assert Frames().split(frame[:end], 0) is None
    assert Frames().split(frame, 0) == (b"x" * 126, len(frame))


def test_pings_are_passed_over_and_closes_are_not() -> None:
    assert Frames().split(b"\x89\x00", 0) == (None, 2)
    with pytest.raises(Malformed):
        Frames().split(b"\x88\x00", 0)


@pytest.mark.parametrize("end", range(len(CHUNKED)))
def test_a_chunked_reply_is_put_together(end: int) -> None:
    assert Replies().split(CHUNKED[:end], 0) is None
    assert Replies().split(CHUNKED, 0) == (b"abcde", len(CHUNKED))


def test_a_reply_of_another_status_is_refused() -> None:
    with pytest.raises(Malformed):
        Replies().split(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 0)


def test_new_heads_all_differ_and_known_ones_do_not() -> None:
    known, new = Posts(new=False), Posts(new=True)
    assert known(b"{}") == known(b"{}")
    assert len({new(b"{}") for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "reply",
    [
        b'{"jsonrpc":"2.0","result":"another","id":1}',
        b'{"jsonrpc":"2.0","error":{"code":-32603,"message":"no"},"id":1}',
        b'{"result":"message","id":1}',
        b"<html>",
    ],
)
def test_a_reply_with_another_meaning_is_refused(reply: bytes) -> None:
    with pytest.raises(Malformed):
        Known(DIALECTS["json-rpc"], "message").id_of(reply)


def test_each_dialect_reads_its_replies() -> None:
    replies = {
        "json-rpc": b'{"jsonrpc":"2.0","result":"message","id":7}',
        "fastapi_websocket_rpc": b'{"request":null,"response":{"result":"message","result_type":"str","call_id":"7"}}',
        "socket.io": b'437["message"]',
    }
    assert {name: texts.read(replies[name]) for name, texts in DIALECTS.items()} == dict.fromkeys(
        replies, (7, "message")
    )
