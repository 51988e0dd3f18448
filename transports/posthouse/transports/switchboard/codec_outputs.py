"""Inward: what a codec says of its socket, told to the gateway.

A connection begins here, with the first exchange, handshake or text, and here it ends when its peer goes. It may not
know what the gateway makes of it: that comes back as effects, for `outward.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.json import encode
from posthouse.core.gateway import Gateway
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import RequestRefused
from posthouse.core.values.peers import NO_META, ConnectionId, Kind, Meta, Peer
from posthouse.core.values.stats import Stats
from posthouse.transports.codec import (
    Answered,
    Ended,
    Exchange,
    Finish,
    HeadRead,
    Heard,
    Pause,
    Probe,
    Resume,
    Selected,
    Send,
    Shut,
    Text,
    Upgrade,
)
from posthouse.transports.http.server import Http1

from .actions import Action
from .sockets import BUFFER, Sockets, SocketState

STATS_SCOPES: Final = ("admin",)


class CodecOutputs:
    """`tell` has for each output what follows from it. What codecs refused by themselves is counted and told here."""

    def __init__(self, gateway: Gateway, sockets: Sockets, outbox: list[Action]) -> None:
        self._gateway: Final = gateway
        self._sockets: Final = sockets
        self._outbox: Final = outbox
        self._refused: Final = Stats()
        self.tell: Final[dict[type, Callable[[SocketState, Any, float], None]]] = {
            HeadRead: self._on_head_read,
            Send: self._on_send,
            Text: self._on_text,
            Heard: self._on_heard,
            Exchange: self._on_exchange,
            Probe: self._on_probe,
            Answered: self._on_answered,
            Upgrade: self._on_upgrade,
            Selected: self._on_selected,
            Pause: self._on_pause,
            Resume: self._on_resume,
            Ended: self._on_ended,
            Finish: self._on_finish,
            Shut: self._on_shut,
        }

    def stats(self) -> dict[str, int]:
        """What was counted, by the gateway and here, by name. Changes nothing."""
        return {**self._gateway.stats(), **self._refused.snapshot()}

    def _on_head_read(self, line: SocketState, output: HeadRead, now: float) -> None:
        self._gateway.head_read(line.socket, now)

    def _on_send(self, line: SocketState, output: Send, now: float) -> None:
        self._sockets.write(line, output.data, now)

    def _on_text(self, line: SocketState, output: Text, now: float) -> None:
        assert line.connection is not None
        self._gateway.receive(line.connection, output.data, now)

    def _on_heard(self, line: SocketState, output: Heard, now: float) -> None:
        assert line.connection is not None
        self._gateway.heard(line.connection, now)

    def _on_exchange(self, line: SocketState, output: Exchange, now: float) -> None:
        # A refusal comes as an effect; what the gateway has refused it does not receive.
        self._gateway.receive(self._connect(line, "http", output.meta, now), output.data, now)

    def _on_upgrade(self, line: SocketState, output: Upgrade, now: float) -> None:
        line.upgrade = output
        self._connect(line, "websocket", NO_META, now)

    def _on_selected(self, line: SocketState, output: Selected, now: float) -> None:
        self._gateway.head_read(line.socket, now)
        line.codec = output.codec
        self._connect(line, "cli", NO_META, now)
        line.codec.receive_data(output.rest, now)

    def _connect(self, line: SocketState, kind: Kind, meta: Meta, now: float) -> ConnectionId:
        """A connection begins on this line: `Accept` or `Disconnect` follows, or for HTTP an `Answer`."""
        connection = self._gateway.connect(Peer(kind, line.address, line.socket, line.identity, meta), now)
        self._sockets.settle(line, connection)
        return connection

    def _on_probe(self, line: SocketState, output: Probe, now: float) -> None:
        codec, identity = http(line), line.identity
        line.answered = True
        if output.path == "/health":
            health = self._gateway.health(now)
            codec.respond(503 if health.status == "draining" else 200, encode(health), now)
        elif not identity.missing(STATS_SCOPES):
            codec.respond(200, encode(self.stats()), now)
        else:
            codec.respond(403 if identity.authenticated else 401, encode({"scopes": STATS_SCOPES}), now)

    def _on_answered(self, line: SocketState, output: Answered, now: float) -> None:
        line.answered = True
        if output.reason is not None:
            self._refused.count(f"http.refused.{output.status}")
            rejected_value = None if output.rejected_value is None else output.rejected_value.decode("latin-1")
            self._outbox.append(Emit(RequestRefused(output.status, output.reason, rejected_value, line.address, now)))

    def _on_pause(self, line: SocketState, output: Pause, now: float) -> None:
        self._sockets.stop_reading(line, BUFFER)

    def _on_resume(self, line: SocketState, output: Resume, now: float) -> None:
        self._sockets.start_reading(line, BUFFER)

    def _on_ended(self, line: SocketState, output: Ended, now: float) -> None:
        connection = line.connection
        assert connection is not None
        self._sockets.part(line, now)
        self._gateway.disconnected(connection, output.code, now)

    def _on_finish(self, line: SocketState, output: Finish, now: float) -> None:
        self._sockets.end_writing(line)

    def _on_shut(self, line: SocketState, output: Shut, now: float) -> None:
        self._sockets.shut(line, now, flush=output.flush)


def http(line: SocketState) -> Http1:
    """The codec of a socket on which a request waits for its answer."""
    assert isinstance(line.codec, Http1)
    return line.codec
