"""Outward: what the gateway asks, told to codecs and to the adapter.

Payloads are framed here, once for every kind of framing; connections are closed, pushed to and held back by their ids.
It may not know why the gateway asks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final

from posthouse.core.gateway import Gateway
from posthouse.core.values.effects import (
    Accept,
    Answer,
    BeginDrain,
    Cancel,
    Disconnect,
    Drained,
    Emit,
    Heartbeat,
    Invoke,
    Multicast,
    PauseReading,
    Resolve,
    ResumeReading,
    StopAccepting,
    Transmit,
)
from posthouse.core.values.peers import SocketId
from posthouse.transports.http.server import Http1
from posthouse.transports.websocket.server import WebSocket

from .actions import Action
from .codec_outputs import http
from .sockets import BACKLOG, Sockets, SocketState

GOING_AWAY: Final = 1001


class GatewayEffects:
    """`perform` has for each effect what is done. Lines whose codecs were moved by it are put into `pending`, for
    whoever takes what codecs say. `binary`: WebSocket binary messages are passed on."""

    def __init__(
        self,
        gateway: Gateway,
        sockets: Sockets,
        outbox: list[Action],
        pending: dict[SocketId, SocketState],
        *,
        binary: bool,
    ) -> None:
        self._gateway: Final = gateway
        self._sockets: Final = sockets
        self._outbox: Final = outbox
        self._pending: Final = pending
        self._binary: Final = binary
        self.perform: Final[dict[type, Callable[[Any, float], None]]] = {
            Accept: self._accept,
            Transmit: self._transmit,
            Multicast: self._multicast,
            Answer: self._answer,
            Disconnect: self._disconnect,
            PauseReading: self._pause_reading,
            ResumeReading: self._resume_reading,
            Heartbeat: self._heartbeat,
            Invoke: self._pass_on,
            Cancel: self._pass_on,
            Resolve: self._pass_on,
            Emit: self._pass_on,
            BeginDrain: self._begin_drain,
            StopAccepting: self._stop_accepting,
            Drained: self._pass_on,
        }

    def _pass_on(self, effect: Invoke | Cancel | Resolve | Emit | Drained, now: float) -> None:
        self._outbox.append(effect)

    def _begin_drain(self, effect: BeginDrain, now: float) -> None:
        for line in self._sockets.lines.values():
            if isinstance(line.codec, Http1):
                line.codec.draining = True

    def _stop_accepting(self, effect: StopAccepting, now: float) -> None:
        self._outbox.append(effect)
        for line in self._sockets.lines.values():
            if line.connection is None and not line.codec_closed:
                self._leave_idle(line, now)

    def _leave_idle(self, line: SocketState, now: float) -> None:
        if isinstance(line.codec, Http1):
            line.codec.shut_idle(now)
        else:
            line.codec.close(GOING_AWAY, now)
        self._pending[line.socket] = line

    def _accept(self, effect: Accept, now: float) -> None:
        line = self._sockets.by_connection[effect.connection]
        upgrade, line.upgrade = line.upgrade, None
        if upgrade is not None:
            rest, eof = http(line).accept_upgrade(now)
            line.codec = WebSocket(
                self._gateway.config, deflate=upgrade.handshake.deflate, binary=self._binary, now=now
            )
            if rest:
                line.codec.receive_data(rest, now)
            if eof:
                line.codec.receive_eof(now)

    def _transmit(self, effect: Transmit, now: float) -> None:
        line = self._sockets.by_connection[effect.connection]
        frame = line.codec.frame(effect.data)
        if effect.report:
            line.counted += len(frame)
            more = len(frame) - len(effect.data)  # the gateway counts payloads, the wire has their frames
            self._gateway.report_held(effect.connection, more, now)
            self._gateway.report_sent(effect.connection, -more, now)
        self._sockets.write(line, frame, now, report=effect.report)

    def _multicast(self, effect: Multicast, now: float) -> None:
        frames: dict[Hashable, bytes] = {}
        for connection in effect.connections:
            line = self._sockets.by_connection[connection]
            framing = line.codec.framing
            frame = frames.get(framing)
            if frame is None:
                frame = frames[framing] = line.codec.frame(effect.data)
            self._sockets.write(line, frame, now)

    def _answer(self, effect: Answer, now: float) -> None:
        line = self._sockets.by_connection[effect.connection]
        line.answered = True
        http(line).answer(effect.data, effect.code, effect.retry_after, now)
        self._pending[line.socket] = line

    def _disconnect(self, effect: Disconnect, now: float) -> None:
        line = self._sockets.by_connection[effect.connection]
        self._pending[line.socket] = line
        if isinstance(line.codec, Http1):
            self._disconnect_http(line, line.codec, effect, now)
            return
        line.leaving = True
        if not effect.flush:
            line.wire.drop_unbegun()
        line.codec.close(effect.code, now)
        self._sockets.disown(line, now)  # the peer's side of the closing must be heard

    def _disconnect_http(self, line: SocketState, http: Http1, effect: Disconnect, now: float) -> None:
        """A request or a handshake that was not admitted, or an exchange that the gateway ends."""
        self._sockets.part(line, now)
        line.upgrade = None
        if line.answered and effect.flush:
            http.close(effect.code, now)
        elif line.answered:
            self._sockets.shut(line, now, flush=False)
        else:
            line.answered = True
            http.refuse(effect.reason, now)
        self._gateway.disconnected(effect.connection, None, now)

    def _pause_reading(self, effect: PauseReading, now: float) -> None:
        line = self._sockets.by_connection[effect.connection]
        self._sockets.stop_reading(line, BACKLOG)
        if isinstance(line.codec, WebSocket):
            line.codec.output_paused = True

    def _resume_reading(self, effect: ResumeReading, now: float) -> None:
        line = self._sockets.by_connection[effect.connection]
        self._sockets.start_reading(line, BACKLOG)
        self._pending[line.socket] = line
        if isinstance(line.codec, WebSocket):
            line.codec.resume_output(now)

    def _heartbeat(self, effect: Heartbeat, now: float) -> None:
        line = self._sockets.by_connection[effect.connection]
        line.codec.heartbeat(now)
        self._pending[line.socket] = line
