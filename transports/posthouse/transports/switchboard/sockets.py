"""The table of sockets: bytes on their way out, reasons not to read, deadlines, and memory that codecs hold.

It reports to the gateway the bytes that are held for a connection, and watches by itself those that are held for no
connection. It may not know what a text or an answer is.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.gateway import Gateway
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import ANONYMOUS, Address, ConnectionId, Identity, SocketId
from posthouse.core.values.timers import Timer, Timers
from posthouse.transports.codec import Codec

from .actions import Action, CloseSocket, EndWriting, StartReading, StopReading
from .socket_state import SocketEvent, SocketPhase, SocketState
from .write_queue import WriteQueue

ABORTED: Final = SocketPhase.ABORTED
CLOSING: Final = SocketPhase.CLOSING

CODEC_DUE: Final = "codec"
WIRE_STALLED: Final = "wire"
"""The reasons of this module's deadlines: a codec's own, and a socket that takes nothing after its connection ended."""

BACKLOG: Final = 1
BUFFER: Final = 2
"""Why a socket is not read from, as bits: its peer does not take its answers; its codec's buffer is full."""


class Sockets:
    """Every socket's state. `by_connection` finds the socket on which a connection lives. `received_bytes` have come
    from all of them, and `sent_bytes` were given to them."""

    def __init__(self, gateway: Gateway, outbox: list[Action], timers: Timers) -> None:
        self._gateway: Final = gateway
        self._config: Final = gateway.config
        self._outbox: Final = outbox
        self._timers: Final = timers
        self._last = 0
        self._reported = 0
        self.buffered = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self.records: dict[SocketId, SocketState] = {}
        self.by_connection: dict[ConnectionId, SocketState] = {}

    def add(
        self,
        socket: SocketId,
        address: Address,
        codec: Codec,
        identity: Identity = ANONYMOUS,
        *,
        ahead: int | None = None,
    ) -> SocketState:
        """Add a new socket, without a connection. `ahead`: so many bytes of a frame are handed over at a time (None:
        `write_ahead`)."""
        self._last = socket
        wire = WriteQueue(socket, self._outbox, self._config.write_ahead if ahead is None else ahead)
        state = self.records[socket] = SocketState(socket, address, codec, wire, identity)
        return state

    def find(self, socket: SocketId) -> SocketState | None:
        """The state of this socket, or None when it is closed. UsageError if there never was one."""
        state = self.records.get(socket)
        if state is None and not 0 < socket <= self._last:
            raise UsageError(f"unknown socket {socket}")
        return state

    def find_for(self, socket: SocketId, size: int) -> SocketState | None:
        """The state of the socket that the report of `size` bytes is about. None if the report changes nothing."""
        state = self.find(socket)
        if size < 0:
            raise UsageError(f"{size} bytes are reported of socket {socket}: give a number from 0 on")
        return state if size else None

    def remove(self, state: SocketState, now: float) -> None:
        """Forget a socket that is closed."""
        del self.records[state.socket]
        if state.due is not None:
            self._timers.disarm(state.due)
        if state.stalled is not None:
            self._timers.disarm(state.stalled)
        if state.buffered:
            self.measure(state, now)

    def settle(self, state: SocketState, connection: ConnectionId) -> None:
        """A connection begins on this socket."""
        state.connection = connection
        self.by_connection[connection] = state

    def part(self, state: SocketState, now: float) -> None:
        """The connection on this socket is over. Bytes that it left behind belong to no connection."""
        assert state.connection is not None
        del self.by_connection[state.connection]
        state.connection = None
        wire = state.wire
        if state.stopped or wire.owed or wire.waiting_bytes:
            self.disown(state, now)

    def disown(self, state: SocketState, now: float) -> None:
        """The gateway no longer counts the bytes held here, and reading does not wait for them."""
        state.wire.reported = 0
        self.start_reading(state, BACKLOG)
        self.watch(state, now)

    # Out

    def write(self, state: SocketState, frame: bytes, now: float) -> None:
        """Write one whole frame. On an aborted socket it is dropped."""
        if state.phase is ABORTED:
            return
        self.sent_bytes += len(frame)
        begins_to_count = state.wire.write(frame)
        if begins_to_count:
            self.count(state, begins_to_count, now)

    def write_reported(self, state: SocketState, frame: bytes, payload: int, now: float) -> None:
        """Write a frame whose payload of so many bytes the gateway counts as held. From now on it counts the frame."""
        connection = state.connection
        assert connection is not None
        more = len(frame) - payload
        state.wire.reported += len(frame)
        if more > 0:
            self._gateway.report_held(connection, more, now)
        elif more < 0:
            self._gateway.report_sent(connection, -more, now)
        if state.phase is not ABORTED:
            self.sent_bytes += len(frame)
            state.wire.write(frame, report=True)

    def count(self, state: SocketState, size: int, now: float) -> None:
        """So many more bytes are held: report them to the gateway, or watch them where no connection lives."""
        if state.connection is not None and state.phase is not CLOSING:
            state.wire.reported += size
            self._gateway.report_held(state.connection, size, now)
        else:
            self.watch(state, now)

    def sent(self, state: SocketState, size: int, now: float) -> None:
        """`size` of the held bytes went, the oldest first."""
        wire = state.wire
        if size > wire.owed:
            raise UsageError(f"{size} bytes are reported as sent: only {wire.owed} are held by socket {state.socket}")
        if state.phase is ABORTED:
            return
        went = wire.sent(size)
        state.progress_at = now
        if went and state.connection is not None:
            self._gateway.report_sent(state.connection, went, now)

    def watch(self, state: SocketState, now: float) -> None:
        """Arm a deadline for bytes that the gateway does not count."""
        if not state.wire.clear and state.phase is not ABORTED and not _watched(state):
            state.progress_at = now
            state.stalled = self._timers.arm(now + self._config.write_timeout, WIRE_STALLED, state.socket)

    def judge(self, state: SocketState, now: float) -> None:
        """The deadline of bytes held for no connection has come: abort the socket if it made no progress. Deadlines
        handled before this one may have aborted it, or armed a new deadline."""
        if state.phase is ABORTED or state.wire.clear or state.wire.reported or _watched(state):
            return
        due = state.progress_at + self._config.write_timeout
        if due <= now:
            self.abort(state)
        else:
            state.stalled = self._timers.arm(due, WIRE_STALLED, state.socket)

    def end_writing(self, state: SocketState) -> None:
        """Half-close behind all that was written."""
        if state.phase is not ABORTED:
            state.wire.then(EndWriting(state.socket))

    def shut(self, state: SocketState, now: float) -> None:
        """The codec is done: close the socket behind all that was written."""
        state.advance(SocketEvent.SHUT)
        if state.phase is not ABORTED:
            state.wire.then(CloseSocket(state.socket))
            self.watch(state, now)

    def abort(self, state: SocketState) -> None:
        """Close the socket without waiting. Only the first time counts."""
        aborted = state.phase is ABORTED
        state.advance(SocketEvent.ABORT)
        if not aborted:
            self._timers.disarm(state.stalled)
            self._outbox.append(CloseSocket(state.socket, flush=False))

    # In

    def stop_reading(self, state: SocketState, why: int) -> None:
        """Do not read from the socket, for this reason too."""
        if not state.stopped:
            self._outbox.append(StopReading(state.socket))
        state.stopped |= why

    def start_reading(self, state: SocketState, why: int) -> None:
        """Drop this reason not to read, if there was one. Read again if it was the last."""
        if state.stopped & why:
            state.stopped &= ~why
            if not state.stopped and not state.codec_closed:
                self._outbox.append(StartReading(state.socket))

    def schedule(self, state: SocketState) -> None:
        """Arm the codec's deadline. If it moved later, the old timer fires early: that is cheaper than moving it."""
        when = state.codec.next_timeout()
        if when is None or state.codec_closed:
            return
        if state.due is None or not state.due.live:
            state.due = self._timers.arm(when, CODEC_DUE, state.socket)
        elif when < state.due.when:
            self._timers.disarm(state.due)
            state.due = self._timers.arm(when, CODEC_DUE, state.socket)

    def rang(self, timer: Timer) -> SocketState:
        """The socket whose deadline this was. A deadline that was handled before it may have armed another."""
        state = self.records[SocketId(timer.key)]
        if state.due is timer:
            state.due = None
        return state

    def unschedule(self, state: SocketState) -> None:
        """Forget the deadline of the codec before this one: most of those that last have none."""
        self._timers.disarm(state.due)
        state.due = None

    def exceeds(self, state: SocketState) -> bool:
        """Did this codec take in more since it was measured than the memory budget allows?"""
        grown = state.codec.buffered - state.buffered
        return grown > 0 and self.memory + grown > self._config.memory_budget

    @property
    def memory(self) -> int:
        """The bytes that the gateway and the codecs hold. The gateway learns of those of the codecs late."""
        return self._gateway.memory - self._reported + self.buffered

    def measure(self, state: SocketState, now: float) -> None:
        """Measure what the codec holds. Report the sum to the gateway when it has changed enough to matter."""
        buffered = 0 if state.codec_closed else state.codec.buffered
        if buffered == state.buffered:
            return
        self.buffered += buffered - state.buffered
        state.buffered = buffered
        if abs(self.buffered - self._reported) >= self._config.read_bytes:
            self._reported = self.buffered
            self._gateway.report_buffered(self.buffered, now)


def _watched(state: SocketState) -> bool:
    return state.stalled is not None and state.stalled.live
