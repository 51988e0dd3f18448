"""One JSON text to a server and what comes back of it, over each transport, by the client's codecs.

Every text travels on a connection of its own, so that no case can spoil the next.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from msgspec import json
from msgspec.structs import replace
from posthouse.core.values.config import Config
from posthouse.core.values.errors import ERRORS
from posthouse.transports.client.http import Http1Client
from posthouse.transports.client.responses import Response
from posthouse.transports.client.websocket import OpeningRequest, WebSocketClient
from posthouse.transports.codec import Send, Text
from posthouse.transports.pipes.content_length import ContentLengthFraming
from posthouse.transports.pipes.newline import NewlineFraming

from .places import Place
from .wires import Wire

FENCE: Final = b'{"jsonrpc":"2.0","method":"echo","params":[0],"id":"fence"}'
"""A call behind each text: what has come before its answer is all that ever will, for handlers run in order."""

JSON: Final = ((b"Content-Type", b"application/json"),)

Exchange = Callable[[Place, bytes, Config], list[bytes]]


class Broken(Exception):
    """The server broke off, or answered in a way that the transport forbids."""


def over_http(place: Place, text: bytes, limits: Config) -> list[bytes]:
    """The body of the answer to a POST, or nothing for a 204."""
    client = Http1Client(Config(), b"localhost")
    client.request(b"POST", b"/rpc", JSON, text)
    (request,) = client.output
    assert isinstance(request, Send)
    with place.stream(limits) as wire:
        wire.send(request.data)
        while not isinstance(response := client.output[-1], Response):
            data = wire.receive()
            if not data:
                raise Broken("no answer")
            client.receive_data(data)
    _check_status(response)
    return [response.body] if response.body else []


def _check_status(response: Response) -> None:
    """The status is that of the one error's code, 204 where there is no reply, and 200 for all that was begun."""
    expected = 204
    if response.body:
        reply = json.decode(response.body)
        code = reply.get("error", {}).get("code") if isinstance(reply, dict) else None
        expected = ERRORS[code].http_status if code in ERRORS else 200
    if response.status != expected:
        raise Broken(f"status {response.status} in place of {expected}")


def over_websocket(place: Place, text: bytes, limits: Config) -> list[bytes]:
    """The texts that come."""
    return _over_websocket(place, text, limits, deflate=False)


def over_compressed_websocket(place: Place, text: bytes, limits: Config) -> list[bytes]:
    """The texts that come, with permessage-deflate for all of them."""
    return _over_websocket(place, text, replace(limits, min_compress_bytes=0), deflate=True)


def _over_websocket(place: Place, text: bytes, limits: Config, *, deflate: bool) -> list[bytes]:
    client = WebSocketClient(limits, OpeningRequest(b"localhost", deflate=deflate), entropy=os.urandom, now=0.0)
    texts: list[bytes] = []
    with place.stream(limits) as wire:
        _carry(client, wire, texts)
        while client.opened is None:
            _listen(client, wire, texts)
        if client.opened.deflate is not deflate:
            raise Broken("compression was not agreed on as it was offered")
        client.send(text)
        client.send(FENCE)
        _carry(client, wire, texts)
        while not (texts and b'"fence"' in texts[-1]):
            _listen(client, wire, texts)
    return texts[:-1]


def _listen(client: WebSocketClient, wire: Wire, texts: list[bytes]) -> None:
    data = wire.receive()
    if not data:
        raise Broken(client.rejected or "the connection ended")
    client.receive_data(data, 0.0)
    _carry(client, wire, texts)


def _carry(client: WebSocketClient, wire: Wire, texts: list[bytes]) -> None:
    """Send what the codec wants sent, and keep the texts that it found."""
    outputs = client.output[:]
    client.output.clear()
    for output in outputs:
        if isinstance(output, Send):
            wire.send(output.data)
        elif isinstance(output, Text):
            texts.append(output.data)


def over_lines(place: Place, text: bytes, limits: Config) -> list[bytes]:
    """The lines that come. The first one sent is a call, for it tells the framing."""
    codec = NewlineFraming(Config())
    replies = _through_pipe(place, codec, codec.frame(FENCE) + codec.frame(text), limits)
    return [reply for reply in replies if b'"fence"' not in reply]


def over_headers(place: Place, text: bytes, limits: Config) -> list[bytes]:
    """The framed messages that come."""
    codec = ContentLengthFraming(Config())
    return _through_pipe(place, codec, codec.frame(text), limits)


def _through_pipe(
    place: Place, codec: NewlineFraming | ContentLengthFraming, data: bytes, limits: Config
) -> list[bytes]:
    """Everything that comes until the server has ended, whose input ends behind the data."""
    with place.pipe(limits) as wire:
        wire.send(data)
        wire.end()
        while data := wire.receive():
            codec.receive_data(data, 0.0)
    if codec.buffered:
        texts = [output for output in codec.output if isinstance(output, Text)]
        if codec.buffered > sum(len(text.data) for text in texts):
            raise Broken("the output ended within a message")
    return [output.data for output in codec.output if isinstance(output, Text)]


EXCHANGES: Final[dict[str, Exchange]] = {
    "HTTP": over_http,
    "WebSocket": over_websocket,
    "WebSocket, compressed": over_compressed_websocket,
    "stdio, lines": over_lines,
    "stdio, Content-Length": over_headers,
}
"""The transports, by the names that the documentation has for them."""
