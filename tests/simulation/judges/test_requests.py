"""The requests of a client, as a judge reads them."""

from __future__ import annotations

import pytest
from posthouse.adapters.simulation.judges.requests import Requests, read_request

POST = b"POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"POST /rpc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
OPENING = b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


@pytest.mark.parametrize("data", [POST, CHUNKED])
def test_a_request_is_whole_at_its_last_byte_wherever_it_is_cut(data: bytes) -> None:
    for cut in range(len(data)):
        requests = Requests()
        heads = requests.sent(data[:cut])
        assert requests.begun is (cut > 0)
        assert [sent.end for sent in heads] in ([], [None])
        heads += requests.sent(data[cut:])
        assert [(sent.body, sent.end) for sent in heads] == [(b"{}", len(data))]
        assert not (requests.begun or requests.unknown)


def test_requests_behind_each_other_have_an_end_each() -> None:
    requests = Requests()
    heads = requests.sent(POST + CHUNKED + POST[:-1])
    assert [sent.end for sent in heads] == [len(POST), len(POST + CHUNKED), None]


def test_the_bytes_behind_an_opening_handshake_wait() -> None:
    requests = Requests()
    assert len(requests.sent(OPENING + POST)) == 1
    assert requests.upgrading
    assert [sent.body for sent in requests.go_on()] == [b"{}"]
    again = Requests()
    again.sent(OPENING + b"\x81\x80")
    assert again.rest() == b"\x81\x80"
    assert again.rest() == b""


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /rpc HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /rpc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n",
        b"POST /rpc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
    ],
)
def test_the_reader_gives_up_at_bytes_that_are_no_plain_request(data: bytes) -> None:
    requests = Requests()
    requests.sent(data)
    assert requests.unknown
    assert requests.sent(POST) == []


@pytest.mark.parametrize(
    ("head", "last", "expects", "request_id"),
    [
        (b"POST / HTTP/1.1\r\nHost: a", False, False, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nConnection: x, Close", True, False, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close", True, False, None),
        (b"POST / HTTP/1.0\r\nExpect: 100-continue", True, False, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nX-Request-Id: me/1", False, True, b"me/1"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nX-Request-Id: two words", False, False, None),
    ],
)
def test_a_head_says_what_its_answer_must_be_like(
    head: bytes, last: bool, expects: bool, request_id: bytes | None
) -> None:
    request = read_request(head)
    assert request is not None
    assert (request.last, request.expects, request.request_id) == (last, expects, request_id)
