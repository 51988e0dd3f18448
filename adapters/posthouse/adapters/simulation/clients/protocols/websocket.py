"""The WebSocket protocol of a simulated client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.adapters.simulation.chance import Stream
from posthouse.transports.client.websocket import OpeningRequest, WebSocketClient
from posthouse.transports.fields import Fields
from posthouse.transports.websocket.handshake import SUBPROTOCOL
from posthouse.transports.websocket.receive import Event as FrameEvent
from wsproto import events as wsproto

from .codec import CodecProtocol
from .pages import Credentials
from .protocol import CLIENT_CONFIG, Pong

SUBPROTOCOLS: Final = ((SUBPROTOCOL,), (), (b"another", SUBPROTOCOL), (b"another",))
"""The subprotocols that clients offer."""

MORE_LINES: Final[tuple[Fields, ...]] = (
    *((), (), ()),
    ((b"Connection", b"keep-alive"),),
    ((b"Sec-WebSocket-Extensions", b"x-another; a=1"),),
    ((b"Origin", b"http://localhost"),),
)
"""More lines of a handshake. A list may be cut into several fields (RFC 9110 section 5.3)."""


class WebSocketProtocol(CodecProtocol[WebSocketClient]):
    """One WebSocket connection. Its server has closed TCP before it is `closed` (RFC 6455 section 7.1.1)."""

    server_ends: Final = False

    def __init__(
        self,
        host: bytes,
        stream: Stream,
        now: float,
        *,
        deflate: bool = False,
        sent: Credentials = Credentials(),
        forwarding: Fields = (),
    ) -> None:
        subprotocols = (*sent.subprotocols, SUBPROTOCOL) if sent.subprotocols else stream.pick(SUBPROTOCOLS)
        headers = (*stream.pick(MORE_LINES), *sent.headers, *forwarding)
        request = OpeningRequest(host, headers=headers, deflate=deflate, subprotocols=subprotocols)
        codec = _PingingClient(CLIENT_CONFIG, request, entropy=stream.entropy, now=now)
        codec.on_pong = lambda payload: self._events.append(Pong(payload))
        super().__init__(codec)

    @property
    def ready(self) -> bool:
        """True after the handshake, until one side closes."""
        return self._codec.ready

    def send(self, text: bytes) -> None:
        """Send one text message."""
        self._codec.send(text)

    def ping(self, payload: bytes) -> None:
        """Send one ping."""
        self._codec.ping(payload)

    def close(self, code: int, now: float) -> None:
        """Begin the closing handshake."""
        self._codec.close(code, now)


class _PingingClient(WebSocketClient):
    """A codec that calls `on_pong` with the payload of each pong."""

    on_pong: Callable[[bytes], None]

    def _on_event(self, event: FrameEvent, now: float) -> None:
        if isinstance(event, wsproto.Pong):
            self.on_pong(bytes(event.payload))
        super()._on_event(event, now)
