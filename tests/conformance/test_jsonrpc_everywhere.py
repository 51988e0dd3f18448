"""The table of `jsonrpc_cases.py` over HTTP, WebSocket and both framings of pipes: everywhere the same answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from posthouse.core import ERRORS, Config
from posthouse.transports.codec import Send, Text
from posthouse.transports.headers import Headers
from posthouse.transports.http1_client import Http1Client, Response
from posthouse.transports.lines import Lines

from tests.conformance.jsonrpc_cases import EDGES, EXAMPLES, ROW_18, Case, service
from tests.transports.board import PIPE, Board, Browser

CASES: Final = EXAMPLES + EDGES + ROW_18

FENCE: Final = b'{"jsonrpc":"2.0","method":"connection.ping","id":"fence"}'
"""A call behind each case: what has come before its answer is all that ever will."""


def over_http(text: bytes) -> list[bytes]:
    """The body of the answer to a POST, or nothing for a 204."""
    board = Board(service=service)
    socket = board.open()
    client = Http1Client(Config(), b"localhost")
    client.request(b"POST", b"/rpc", ((b"Content-Type", b"application/json"),), text)
    (request,) = client.output
    assert isinstance(request, Send)
    client.receive_data(board.feed(socket, request.data))
    response = client.output[-1]
    assert isinstance(response, Response)
    check_status(response)
    return [response.body] if response.status != 204 else []


def check_status(response: Response) -> None:
    """The status is that of the one error's code, and 200 for everything that was begun."""
    if response.status == 204:
        assert response.body == b""
        return
    reply = msgspec.json.decode(response.body)
    code = reply.get("error", {}).get("code") if isinstance(reply, dict) else None
    expected = ERRORS[code].http_status if code in ERRORS else 200
    assert response.status == expected


def over_websocket(text: bytes) -> list[bytes]:
    """The texts that come."""
    browser = Browser(Board(service=service))
    return browser.send(text) + without_fence(browser.send(FENCE))


def over_compressed_websocket(text: bytes) -> list[bytes]:
    """The texts that come, with permessage-deflate."""
    browser = Browser(Board(Config(min_compress_bytes=0), service=service), deflate=True)
    return browser.send(text) + without_fence(browser.send(FENCE))


def over_pipe(codec: Callable[[Config], Lines | Headers]) -> Callable[[bytes], list[bytes]]:
    """The messages that come through a pipe in this framing."""

    def exchange(text: bytes) -> list[bytes]:
        board = Board(service=service)
        pipe = board.open(PIPE)
        client = codec(Config())
        if isinstance(client, Lines):
            board.feed(pipe, client.frame(FENCE))  # the first byte tells the framing: here it is to be lines
        for message in (text, FENCE):
            client.receive_data(board.feed(pipe, client.frame(message)), 0.0)
        return without_fence([output.data for output in client.output if isinstance(output, Text)])

    return exchange


def without_fence(replies: list[bytes]) -> list[bytes]:
    """All but the answer to `FENCE`, which must be the last."""
    assert b'"fence"' in replies[-1]
    return replies[:-1]


WAYS: Final[dict[str, Callable[[bytes], list[bytes]]]] = {
    "http": over_http,
    "websocket": over_websocket,
    "websocket-deflate": over_compressed_websocket,
    "lines": over_pipe(Lines),
    "content-length": over_pipe(Headers),
}


def without_data(reply: Any) -> Any:
    """A reply without the `data` of its errors."""
    if isinstance(reply, list):
        return [without_data(entry) for entry in reply]
    if "error" in reply:
        return {**reply, "error": {name: value for name, value in reply["error"].items() if name != "data"}}
    return reply


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_transport_gives_the_answer_that_the_table_has(case: Case, way: str) -> None:
    replies = WAYS[way](case.sent)
    if case.reply is None:
        assert replies == []
    else:
        assert [without_data(msgspec.json.decode(reply)) for reply in replies] == [case.reply]


@pytest.mark.parametrize("way", WAYS)
def test_ids_come_back_byte_for_byte(way: str) -> None:
    for id in (b'"\\u0041"', b"1.50", b"-0", b"1e2"):
        (reply,) = WAYS[way](b'{"jsonrpc":"2.0","method":"echo","params":[0],"id":' + id + b"}")
        assert reply.endswith(b'"id":' + id + b"}") or b'"id":' + id + b"," in reply
