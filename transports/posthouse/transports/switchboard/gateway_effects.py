"""Gateway effects: each is told to a codec or passed on to the adapter.

Payloads are framed here, once for every kind of framing. This module may not know why the gateway asks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final

from posthouse.core.gateway import Gateway
from posthouse.core.values.effects import (
    Accept,
    Answer,
    AskStore,
    BeginDrain,
    Cancel,
    ComparePassword,
    Disconnect,
    Drained,
    Emit,
    HashPassword,
    Heartbeat,
    Invoke,
    LimitMessages,
    Multicast,
    PauseReading,
    Resolve,
    ResumeReading,
    StopAccepting,
    Transmit,
    Verify,
    Withdraw,
)
from posthouse.core.values.peers import SocketId
from posthouse.transports.credentials import cookie_field

from .actions import Action
from .local_calls import LocalCalls
from .socket_state import ANSWER, DELIVER, SocketEvent, SocketPhase, SocketState
from .sockets import BACKLOG, Sockets

ANSWERED: Final = SocketPhase.ANSWERED

Perform = Callable[[Any, float], None]

PASSED_ON: Final[tuple[type, ...]] = (
    *(Invoke, Cancel, Verify, AskStore, HashPassword),
    *(ComparePassword, Withdraw, Resolve, Emit, Drained),
)
"""Effects that are actions, too."""


class GatewayEffects:
    """`perform` has a function for each effect; None: the effect is passed on to the `outbox` as it is. Sockets whose
    codecs may have new output are put into `pending`."""

    def __init__(
        self,
        gateway: Gateway,
        sockets: Sockets,
        local_calls: LocalCalls,
        outbox: list[Action],
        pending: dict[SocketId, SocketState],
        *,
        direct: bool,
    ) -> None:
        self._gateway: Final = gateway
        self._effects: Final = gateway.outbox
        self._sockets: Final = sockets
        self._local_calls: Final = local_calls
        self.outbox: Final = outbox
        self._pending: Final = pending
        self._direct: Final = direct
        self.perform: Final[dict[type, Perform | None]] = {
            **dict.fromkeys(PASSED_ON),
            Accept: self._accept,
            Transmit: self._transmit,
            Multicast: self._multicast,
            Answer: self._answer,
            Disconnect: self._disconnect,
            LimitMessages: self._limit_messages,
            PauseReading: self._pause_reading,
            ResumeReading: self._resume_reading,
            Heartbeat: self._heartbeat,
            BeginDrain: self._begin_drain,
            StopAccepting: self._stop_accepting,
        }

    def _begin_drain(self, effect: BeginDrain, now: float) -> None:
        for state in self._sockets.records.values():
            state.codec.drain()

    def _stop_accepting(self, effect: StopAccepting, now: float) -> None:
        self.outbox.append(effect)
        for state in self._sockets.records.values():
            if state.connection is None and not state.codec_closed:
                state.codec.close_idle(now)
                self._pending[state.socket] = state

    def _accept(self, effect: Accept, now: float) -> None:
        state = self._sockets.by_connection[effect.connection]
        codec = state.codec.accept(now)
        if codec is not state.codec:
            state.advance(SocketEvent.OPEN)
            state.upgraded, state.codec = state.codec, codec
            self._sockets.unschedule(state)
        self._pending[state.socket] = state  # its credentials may have been verified meanwhile

    def _transmit(self, effect: Transmit, now: float) -> None:
        state = self._sockets.by_connection[effect.connection]
        frame = state.codec.frame(effect.data)
        if effect.report:
            self._sockets.write_reported(state, frame, len(effect.data), now)
        else:
            self._sockets.write(state, frame, now)

    def _multicast(self, effect: Multicast, now: float) -> None:
        frames: dict[Hashable, bytes] = {}
        for connection in effect.connections:
            state = self._sockets.by_connection[connection]
            framing = state.codec.framing
            frame = frames.get(framing)
            if frame is None:
                frame = frames[framing] = state.codec.frame(effect.data)
            self._sockets.write(state, frame, now)

    def _answer(self, effect: Answer, now: float) -> None:
        state = self._sockets.by_connection.get(effect.connection)
        if state is None:
            self._local_calls.answered(effect, now)
            return
        state.advance(ANSWER)
        codec = state.codec
        if (
            self._direct
            and not (self._pending or codec.output)
            and effect is self._effects[-1]
            and effect.cookie is None
            and state.phase is ANSWERED
            and state.wire.clear
        ):  # nothing must go before this answer, or before what follows it
            whole = codec.answer_whole(effect.data, effect.code, now)
            if whole is not None:
                self._sockets.write(state, whole, now)
                self._hand_over(state, effect, now)
                return
        fields = () if effect.cookie is None else (cookie_field(effect.cookie),)
        codec.answer(effect.data, effect.code, effect.retry_after, now, fields=fields)
        self._pending[state.socket] = state

    def _hand_over(self, state: SocketState, effect: Answer, now: float) -> None:
        """The exchange ends when its answer has left, and the next request may begin."""
        if state.wire.clear:
            self._sockets.part(state, now)
            self._gateway.disconnected(effect.connection, None, now)
            state.advance(DELIVER)
            state.codec.proceed(now)
            if not state.codec.output:
                if not state.codec.ends_with_answer:
                    self._sockets.schedule(state)
                if state.buffered:
                    self._sockets.measure(state, now)
                return
        self._pending[state.socket] = state

    def _disconnect(self, effect: Disconnect, now: float) -> None:
        state = self._sockets.by_connection.get(effect.connection)
        if state is None:
            self._local_calls.refused(effect, now)
            return
        self._pending[state.socket] = state
        if state.phase is SocketPhase.OPEN or state.phase is SocketPhase.CLOSING:
            state.advance(SocketEvent.CLOSE)
            if not effect.flush:
                state.wire.drop_unbegun()
            state.codec.close(effect.code, now)
            self._sockets.disown(state, now)  # the peer's side of the closing must be heard
        else:
            self._end_request(state, effect, now)

    def _end_request(self, state: SocketState, effect: Disconnect, now: float) -> None:
        """End an exchange or an upgrade: one that was not admitted, or one whose answer may be on its way."""
        self._sockets.part(state, now)
        if state.phase is SocketPhase.ASKED:
            state.advance(ANSWER)
            state.codec.refuse(effect.reason, now, effect.retry_after_ms)
        elif effect.flush:
            state.codec.close(effect.code, now)
        else:
            self._sockets.abort(state)
        self._gateway.disconnected(effect.connection, None, now)

    def _limit_messages(self, effect: LimitMessages, now: float) -> None:
        self._sockets.by_connection[effect.connection].codec.limit_messages(authenticated=effect.authenticated)

    def _pause_reading(self, effect: PauseReading, now: float) -> None:
        state = self._sockets.by_connection[effect.connection]
        self._sockets.stop_reading(state, BACKLOG)
        state.codec.pause_output()

    def _resume_reading(self, effect: ResumeReading, now: float) -> None:
        state = self._sockets.by_connection[effect.connection]
        self._sockets.start_reading(state, BACKLOG)
        self._pending[state.socket] = state
        state.codec.resume_output(now)

    def _heartbeat(self, effect: Heartbeat, now: float) -> None:
        state = self._sockets.by_connection[effect.connection]
        state.codec.heartbeat(now)
        self._pending[state.socket] = state
