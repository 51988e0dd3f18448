"""What the client's HTTP codec makes of a server's responses."""

from __future__ import annotations

from typing import Any

import h11
from posthouse.core.values.config import Config
from posthouse.transports import Failed, Http1Client, Response, Send, Shut

from tests.fuzz.cutting import Sent, read, written
from tests.fuzz.target import Planted, Target

CONFIG = Config(max_head_bytes=400, max_response_bytes=100)

IS_HEAD, ENDS_INPUT, GOES_ON = range(3)


def run(data: bytes) -> None:
    """Any bytes of a server are the response to what was asked, or there is none and the connection is of no use.

    For each request there is one `Response` or `Failed`, and nothing behind `Shut`; nothing raises. Head and body are
    within their limits, and so is what is held. Of a response in pieces as much is understood as of the whole, and h11
    alone, which is told of the same requests, reads the same responses.
    """
    sent = read(data)
    said = play(sent)
    rest: bytes | None = sent.wire
    for output in said:
        if isinstance(output, Response):
            assert rest is not None, "a response follows the last one"
            response, rest = alone(rest, sent)
            assert output == response, "h11 reads another response"
    if not sent.option(GOES_ON):  # else what was asked when depends on where it was cut
        assert said == play(sent.whole()), "pieces mean something else than the whole"


def play(sent: Sent) -> list[Any]:
    """What the codec says, but for its requests."""
    client = Http1Client(CONFIG, b"a")
    said: list[Any] = []
    asked = 0
    ask(client, sent)
    for piece in sent.pieces():
        asked += drain(client, said)
        if sent.option(GOES_ON) and client.reusable:
            ask(client, sent)
        client.receive_data(piece)
        bound = CONFIG.max_head_bytes + CONFIG.max_response_bytes + len(piece)
        assert client.buffered <= bound, "more is held than may be"
    if sent.option(ENDS_INPUT):
        client.receive_eof()
        assert not client.reusable, "it can be used behind the end of input"
    asked += drain(client, said)
    answered = sum(isinstance(output, Response | Failed) for output in said)
    shut = Shut() in said
    assert answered in (asked, asked - 1), "a request has two responses, or a response no request"
    assert not sent.option(ENDS_INPUT) or answered == asked, "a request waits for ever"
    assert client.reusable == (answered == asked and not shut), "it cannot tell whether it can be used"
    assert not shut or (said.index(Shut()) == len(said) - 1 and client.buffered == 0), (
        "something is left behind the end"
    )
    return said


def ask(client: Http1Client, sent: Sent) -> None:
    """The next request."""
    client.request(b"HEAD" if sent.option(IS_HEAD) else b"GET", b"/")


def drain(client: Http1Client, said: list[Any]) -> int:
    """Take what the codec says. How many requests went."""
    outputs = list(client.output)
    client.output.clear()
    for output in outputs:
        if isinstance(output, Response):
            assert len(output.body) <= CONFIG.max_response_bytes, "a body is larger than its limit"
        if not isinstance(output, Send):
            said.append(output)
    return sum(isinstance(output, Send) for output in outputs)


def alone(wire: bytes, sent: Sent) -> tuple[Response, bytes | None]:
    """The next response, by h11, and the bytes behind it; None: nothing can follow."""
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 30)
    method = b"HEAD" if sent.option(IS_HEAD) else b"GET"
    parser.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"a")]))
    parser.send(h11.EndOfMessage())
    if wire:
        parser.receive_data(wire)
    if sent.option(ENDS_INPUT):
        parser.receive_data(b"")
    response = Response(0, (), b"")
    while True:
        event = parser.next_event()
        if isinstance(event, h11.Response):
            response = Response(event.status_code, tuple(event.headers), b"")
        elif isinstance(event, h11.Data):
            response = Response(response.status, response.headers, response.body + event.data)
        elif isinstance(event, h11.EndOfMessage):
            return response, parser.trailing_data[0] if parser.their_state is h11.DONE else None
        else:
            assert isinstance(event, h11.InformationalResponse), "h11 reads no response at all"


TARGET = Target(
    name="http_client",
    run=run,
    seeds=(
        written(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]" * 2, GOES_ON, sizes=b"\x14\x0a\x0a"),
        written(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\nA: b\r\n\r\n", sizes=b"\1\1\1"),
        written(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 503 No\r\n\r\nbusy", ENDS_INPUT),
        written(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", sizes=b"\x20\x20\x20"),
        written(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", IS_HEAD),
    ),
    tokens=(
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n",
        b"HTTP/1.1 304 Not Modified\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n",
        b"HTTP/1.0 200 OK\r\n",
        b"Content-Length: 1\r\n",
        b"Content-Length: 101\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Upgrade: x\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"1\r\nx\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"x" * 100,
        b"X: y\r\n",
    ),
    planted=Planted(
        what="a body may be a little larger than its limit",
        file="transports/posthouse/transports/client/responses.py",
        before="if self._head.length > self._max:",
        after="if self._head.length > self._max + 20:",
    ),
    max_len=900,
)
