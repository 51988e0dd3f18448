"""Codec outputs: each is told to the gateway or performed on its socket.

A connection begins here, with its first exchange, handshake or text. It ends here when its peer goes. This module may
not know what the gateway makes of an output: that comes back as effects, in `gateway_effects.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.json import encode
from msgspec.structs import asdict, replace
from posthouse.core.gateway import Gateway
from posthouse.core.values.close_reasons import MAX_CONNECTIONS_PER_ADDRESS
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import ForwardingIgnored, RequestRefused
from posthouse.core.values.peers import Address, ConnectionId, Peer
from posthouse.core.values.stats import Health, Measurements, Stats, told
from posthouse.transports.codec import (
    Announced,
    Answered,
    Arrived,
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
from posthouse.transports.credentials import read_credentials

from .actions import Action
from .common_fields import CommonFields
from .socket_state import ANSWER, ASK, SocketEvent, SocketState
from .sockets import BUFFER, Sockets

STATS_SCOPES: Final = ("admin",)


class CodecOutputs:
    """`tell` has a function for each output. Requests that codecs refused by themselves are counted and emitted."""

    def __init__(
        self, gateway: Gateway, sockets: Sockets, outbox: list[Action], about: Mapping[str, str | float]
    ) -> None:
        self._gateway: Final = gateway
        self._sockets: Final = sockets
        self._outbox: Final = outbox
        self._about: Final = about
        self.beside_health: dict[str, Any] = {}
        self.exposition: Callable[[Measurements], bytes] | None = None
        self._refused: Final = Stats()
        self._common: Final = CommonFields()
        config = gateway.config
        limits = (config.max_connections_per_address, config.accept_rate_per_address)
        self._limits_addresses: Final = limits != (None, None)
        self._ignored_told = False
        self.tell: Final[dict[type, Callable[[SocketState, Any, float], None]]] = {
            HeadRead: self._on_head_read,
            Send: self._on_send,
            Text: self._on_text,
            Heard: self._on_heard,
            Exchange: self._on_exchange,
            Arrived: self._on_arrived,
            Announced: self._on_announced,
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

    def health(self, now: float) -> Health:
        """The health of the gateway, with what the codecs hold now."""
        return replace(self._gateway.health(now), memory=self._sockets.memory)

    def stats(self) -> dict[str, int]:
        """The counters and sizes of the gateway, and the counters of this class, by name. Changes nothing."""
        return {**self._gateway.stats(), **self._own()}

    def measurements(self) -> Measurements:
        """What the gateway has counted and measured, and the counters of this class. Changes nothing."""
        found = self._gateway.measurements()
        found.counters.update(self._own())
        return found

    def _own(self) -> dict[str, int]:
        sockets = self._sockets
        traffic = {"bytes.received": sockets.received_bytes, "bytes.sent": sockets.sent_bytes}
        return {"memory.bytes": sockets.memory, **traffic, **self._refused.snapshot()}

    def _on_head_read(self, state: SocketState, output: HeadRead, now: float) -> None:
        self._gateway.head_read(state.socket, now)

    def _on_send(self, state: SocketState, output: Send, now: float) -> None:
        self._sockets.write(state, output.data, now)

    def _on_text(self, state: SocketState, output: Text, now: float) -> None:
        assert state.connection is not None
        self._gateway.receive(state.connection, output.data, now)

    def _on_heard(self, state: SocketState, output: Heard, now: float) -> None:
        assert state.connection is not None
        self._gateway.heard(state.connection, now)

    def _on_exchange(self, state: SocketState, output: Exchange, now: float) -> None:
        if state.connection is not None:  # it was announced
            self._gateway.receive(state.connection, output.data, now)
            return
        if output.client is not None and not self._admits(state, output.client, now):
            return
        state.advance(ASK)
        # A refusal comes as an effect. The gateway ignores the text of a connection that it has refused.
        if output.ignored is not None and not self._ignored_told:
            self._tell_ignored(state, output.ignored, now)
        address = output.client or state.address
        path, headers = output.path, output.headers
        peer = Peer("http", address, state.socket, state.identity, output.meta, path, headers, state.host_scope)
        credentials = None
        if self._gateway.authenticates:
            if headers is not state.headers:
                state.headers, state.credentials = headers, read_credentials(headers)
            credentials = state.credentials
        connection = self._gateway.connect(peer, now, credentials=credentials)
        self._sockets.settle(state, connection)
        self._gateway.receive(connection, output.data, now)

    def _on_announced(self, state: SocketState, output: Announced, now: float) -> None:
        state.arrived = False  # the client behind a proxy was judged when the head came
        state.advance(ASK)
        if output.ignored is not None and not self._ignored_told:
            self._tell_ignored(state, output.ignored, now)
        address = output.client or state.address
        path, headers = output.path, output.headers
        peer = Peer("http", address, state.socket, state.identity, output.meta, path, headers, state.host_scope)
        self._connect(state, peer, now, read_credentials(headers), ahead=True)

    def _on_upgrade(self, state: SocketState, output: Upgrade, now: float) -> None:
        state.advance(ASK)
        if output.ignored is not None and not self._ignored_told:
            self._tell_ignored(state, output.ignored, now)
        address, headers = output.client or state.address, self._common.share(output.headers)
        path, scope = output.path, state.host_scope
        peer = Peer("websocket", address, state.socket, state.identity, output.meta, path, headers, scope)
        credentials = read_credentials(headers, handshake=True) if self._gateway.authenticates else None
        self._connect(state, peer, now, credentials)

    def _on_arrived(self, state: SocketState, output: Arrived, now: float) -> None:
        if self._admits(state, output.client, now):
            state.arrived = True
            state.codec.admit(now)

    def _admits(self, state: SocketState, client: Address, now: float) -> bool:
        """May this client call? It is judged once: when the head of its request came, or with its whole request."""
        if state.arrived or not self._limits_addresses or self._gateway.arrived(state.socket, client, now):
            state.arrived = False
            return True
        state.advance(ANSWER)
        state.codec.refuse(MAX_CONNECTIONS_PER_ADDRESS, now)  # the other limit per address has the same answer
        return False

    def _tell_ignored(self, state: SocketState, field: bytes, now: float) -> None:
        self._ignored_told = True
        self._outbox.append(Emit(ForwardingIgnored(field.decode("ascii"), state.address, now)))

    def _on_selected(self, state: SocketState, output: Selected, now: float) -> None:
        self._gateway.head_read(state.socket, now)
        state.codec = output.codec
        state.advance(SocketEvent.OPEN)
        self._connect(state, Peer("cli", state.address, state.socket, state.identity), now)
        state.codec.receive_data(output.rest, now)

    def _connect(
        self, state: SocketState, peer: Peer, now: float, credentials: object = None, *, ahead: bool = False
    ) -> ConnectionId:
        """Begin a connection on this socket: `Accept` or `Disconnect` follows, or for HTTP an `Answer`."""
        connection = self._gateway.connect(peer, now, credentials=credentials, ahead=ahead)
        self._sockets.settle(state, connection)
        return connection

    def _on_probe(self, state: SocketState, output: Probe, now: float) -> None:
        codec, identity = state.codec, state.identity
        if output.accepted:
            assert state.connection is not None
            identity = self._gateway.identity(state.connection)
        elif output.path != "/health" and self._gateway.authenticates:
            credentials = read_credentials(output.headers)
            if credentials is not None:
                state.advance(ASK)
                address = output.client or state.address
                peer = Peer("http", address, state.socket, identity, path=output.path, headers=output.headers)
                self._connect(state, peer, now, credentials, ahead=True)
                return
        state.advance(ANSWER)
        held = self._sockets.memory - state.buffered  # what came behind the request depends on how bytes were cut
        if output.path == "/health":
            health = replace(self._gateway.health(now), memory=held)
            state_of_health = encode({**asdict(health), **self.beside_health} if self.beside_health else health)
            codec.respond(503 if health.status == "draining" else 200, state_of_health, now)
        elif identity.missing(STATS_SCOPES):
            codec.respond(403 if identity.authenticated else 401, encode({"scopes": STATS_SCOPES}), now)
        else:
            measured = self.measurements()
            measured.counters["memory.bytes"] = held
            if output.path == "/stats":
                codec.respond(200, encode({**self._about, **told(measured)}), now)
            elif self.exposition is None:
                codec.respond(404, encode({"reason": "this server exposes no metrics"}), now)
            else:
                codec.respond(200, self.exposition(measured), now, exposition=True)

    def _on_answered(self, state: SocketState, output: Answered, now: float) -> None:
        state.advance(ANSWER)
        connection = state.connection
        if connection is not None:  # the body of a call that was announced is refused
            self._sockets.part(state, now)
            self._gateway.disconnected(connection, None, now)
        if output.reason is not None:
            self._refused.count(f"http.refused.{output.status}")
            rejected_value = None if output.rejected_value is None else output.rejected_value.decode("latin-1")
            address = output.client or state.address
            self._outbox.append(Emit(RequestRefused(output.status, output.reason, rejected_value, address, now)))

    def _on_pause(self, state: SocketState, output: Pause, now: float) -> None:
        self._sockets.stop_reading(state, BUFFER)

    def _on_resume(self, state: SocketState, output: Resume, now: float) -> None:
        self._sockets.start_reading(state, BUFFER)

    def _on_ended(self, state: SocketState, output: Ended, now: float) -> None:
        connection = state.connection
        assert connection is not None
        state.advance(SocketEvent.END)
        self._sockets.part(state, now)
        self._gateway.disconnected(connection, output.code, now, reason=output.reason)

    def _on_finish(self, state: SocketState, output: Finish, now: float) -> None:
        self._sockets.end_writing(state)

    def _on_shut(self, state: SocketState, output: Shut, now: float) -> None:
        if output.flush:
            self._sockets.shut(state, now)
        else:
            self._sockets.abort(state)
