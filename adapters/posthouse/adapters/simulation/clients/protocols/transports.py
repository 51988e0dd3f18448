"""How to open a connection over each transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace
from posthouse.adapters.simulation.chance import Stream
from posthouse.transports.pipes.content_length import ContentLengthFraming
from posthouse.transports.pipes.newline import NewlineFraming

from .codec import PipeProtocol
from .http import HttpProtocol, PipeliningHttpProtocol
from .pages import Credentials, draw_page
from .protocol import CLIENT_CONFIG, ClientProtocol, Transport
from .proxies import draw_forwarding
from .websocket import WebSocketProtocol


def open_http(
    host: bytes,
    stream: Stream,
    now: float,
    *,
    foreign: int = 0,
    closes: bool = False,
    origins: tuple[bytes, ...] = (),
    draw: Callable[[Stream], Credentials] | None = None,
    proxied: str | None = None,
) -> HttpProtocol:
    """An HTTP connection. `foreign`, `closes` and `origins` are as for `draw_page`. `draw` draws credentials.
    `proxied`: the family of header fields in which a proxy names its clients."""
    protocol = PipeliningHttpProtocol if stream.happens(500) else HttpProtocol
    page = draw_page(host, stream, foreign, closes=closes, origins=origins)
    if proxied is not None:
        page = replace(page, forwarding=draw_forwarding(stream, proxied, origin=page.origin))
    return protocol(page if draw is None else replace(page, sent=draw(stream)))


def open_websocket(
    host: bytes,
    stream: Stream,
    now: float,
    *,
    draw: Callable[[Stream], Credentials] | None = None,
    proxied: str | None = None,
) -> WebSocketProtocol:
    """A WebSocket. `draw` draws the credentials of its handshake. `proxied` is as for `open_http`."""
    sent = Credentials() if draw is None else draw(stream)
    forwarding = () if proxied is None else draw_forwarding(stream, proxied, origin=b"http://localhost")[0]
    return WebSocketProtocol(host, stream, now, deflate=stream.happens(250), sent=sent, forwarding=forwarding)


PROTOCOLS: Final[dict[Transport, Callable[[bytes, Stream, float], ClientProtocol]]] = {
    "websocket": open_websocket,
    "http": open_http,
    "lines": lambda host, stream, now: PipeProtocol(NewlineFraming(CLIENT_CONFIG)),
    "headers": lambda host, stream, now: PipeProtocol(ContentLengthFraming(CLIENT_CONFIG)),
}
"""For each transport: opens a connection to the server with this host name, at this time."""
