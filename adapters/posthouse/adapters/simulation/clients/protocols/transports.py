"""How to open a connection over each transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.adapters.simulation.chance import Stream
from posthouse.transports.pipes.content_length import ContentLengthFraming
from posthouse.transports.pipes.newline import NewlineFraming

from .codec import PipeProtocol
from .http import HttpProtocol, PipeliningHttpProtocol
from .pages import draw_page
from .protocol import CLIENT_CONFIG, ClientProtocol, Transport
from .websocket import WebSocketProtocol


def open_http(
    host: bytes,
    stream: Stream,
    now: float,
    *,
    foreign: int = 0,
    closes: bool = False,
    origins: tuple[bytes, ...] = (),
) -> HttpProtocol:
    """An HTTP connection. `foreign`, `closes` and `origins` are as for `draw_page`."""
    protocol = PipeliningHttpProtocol if stream.happens(500) else HttpProtocol
    return protocol(draw_page(host, stream, foreign, closes=closes, origins=origins))


PROTOCOLS: Final[dict[Transport, Callable[[bytes, Stream, float], ClientProtocol]]] = {
    "websocket": lambda host, stream, now: WebSocketProtocol(host, stream, now, deflate=stream.happens(250)),
    "http": open_http,
    "lines": lambda host, stream, now: PipeProtocol(NewlineFraming(CLIENT_CONFIG)),
    "headers": lambda host, stream, now: PipeProtocol(ContentLengthFraming(CLIENT_CONFIG)),
}
"""For each transport: opens a connection to the server with this host name, at this time."""
