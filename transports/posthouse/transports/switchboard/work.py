"""The work that an input leaves: effects of the gateway first, then outputs of codecs, until nothing is left.

A loop, never a recursion. This module may not know what an effect or an output means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from posthouse.core.gateway import Gateway
from posthouse.core.values.peers import SocketId
from posthouse.transports.codec import Exchange, Text

from .codec_outputs import CodecOutputs
from .gateway_effects import GatewayEffects
from .socket_state import DELIVER, SocketEvent, SocketPhase, SocketState
from .sockets import BACKLOG, Sockets

ASKED: Final = SocketPhase.ASKED
ANSWERED: Final = SocketPhase.ANSWERED
FLUSHING: Final = SocketPhase.FLUSHING

NORMAL: Final = 1000


class Work:
    """`pending` has the sockets whose codecs may have new output, `at_eof` the pipes whose input has ended."""

    def __init__(
        self,
        gateway: Gateway,
        sockets: Sockets,
        outputs: CodecOutputs,
        effects: GatewayEffects,
        pending: dict[SocketId, SocketState],
    ) -> None:
        self._gateway: Final = gateway
        self._effects: Final = gateway.outbox
        self._outbox: Final[list[Any]] = effects.outbox
        self._sockets: Final = sockets
        self._tell: Final = outputs.tell
        self._perform: Final = effects.perform
        self._pending: Final = pending
        self.at_eof: Final[dict[SocketId, SocketState]] = {}

    def run(self, now: float, state: SocketState | None = None) -> None:
        """Work until nothing is left, on this socket first."""
        pending = self._pending
        if self._effects:
            self._flush_effects(now)
        if state is not None:
            pending.pop(state.socket, None)
            self._take(state, now)
        while pending or (self.at_eof and self._close_at_eof(now)):
            self._take(pending.pop(next(iter(pending))), now)

    def hand_on(self, state: SocketState, messages: Sequence[Text | Exchange], now: float) -> None:
        """Tell the gateway messages that are in no queue, as `run` would if they were the codec's output."""
        tell, effects = self._tell, self._effects
        left = len(messages)
        for message in messages:
            tell[type(message)](state, message, now)
            left -= 1
            if effects:
                self._flush_effects(now)
            if left and state.stopped & BACKLOG:
                state.codec.output[:0] = messages[-left:]
                break
        if left:
            self.run(now, state)
        elif self._pending or self.at_eof or state.codec.output:
            self.run(now, state if state.codec.output else self._pending.get(state.socket))

    def _close_at_eof(self, now: float) -> bool:
        """Close the pipes whose input has ended and whose peers are owed nothing. False if there was none."""
        for state in self.at_eof.values():
            codec, connection = state.codec, state.connection
            if state.phase is not SocketPhase.OPEN or connection is None or not codec.at_eof or codec.output:
                continue
            if state.wire.clear and not self._gateway.busy(connection):
                state.advance(SocketEvent.CLOSE)
                codec.close(NORMAL, now)
                self._pending[state.socket] = state
        return bool(self._pending)

    def _take(self, state: SocketState, now: float) -> None:
        """Process a codec's outputs, including new ones. After an upgrade, finish the old codec's first."""
        sockets, effects = self._sockets, self._effects
        if (state.connection is None or state.phase is ASKED) and sockets.exceeds(state):
            # Refuse this body before the gateway closes connections to make room for it.
            state.codec.shed(now)
        while True:
            codec, state.upgraded = state.upgraded or state.codec, None
            done = 0
            for output in codec.output:
                if type(output) is Text and state.stopped & BACKLOG:
                    break  # a peer that does not take answers gets no more requests processed
                done += 1
                self._tell[type(output)](state, output, now)
                if effects:
                    self._flush_effects(now)
            del codec.output[:done]
            if state.codec is codec:
                break
        if (state.phase is ANSWERED or state.phase is FLUSHING) and state.wire.clear:
            self._handed_over(state, now)
            if codec.output:
                self._pending[state.socket] = state  # the codec goes on: the rest is done behind its next outputs
                return
        sockets.schedule(state)
        sockets.measure(state, now)
        if effects:
            self._flush_effects(now)

    def _handed_over(self, state: SocketState, now: float) -> None:
        """An answer has gone: the exchange's connection ends, and the next request may begin."""
        connection = state.connection
        if connection is not None:
            self._sockets.part(state, now)
            self._gateway.disconnected(connection, None, now)
            self._flush_effects(now)
        if state.phase is ANSWERED:
            state.advance(DELIVER)
            state.codec.proceed(now)

    def _flush_effects(self, now: float) -> None:
        """Perform the gateway's effects, including new ones. Codecs that they move become pending."""
        perform, outbox = self._perform, self._outbox
        effects = self._effects
        for effect in effects:
            function = perform[type(effect)]
            if function is None:
                outbox.append(effect)
            else:
                function(effect, now)
        effects.clear()
