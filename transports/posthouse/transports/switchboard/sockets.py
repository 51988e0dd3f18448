"""One record per socket: who lives on it now, what of it is held, why it is not read from, and its deadlines.

The facts that neither a codec nor the gateway owns. It tells the gateway what is held for its connections, and keeps
watch itself over what is held for nobody. It may not know what a text or an answer is.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field
from posthouse.core.gateway import Gateway
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import ANONYMOUS, Address, ConnectionId, Identity, SocketId
from posthouse.core.values.timers import Timer, Timers
from posthouse.transports.codec import Codec, Upgrade

from .actions import Action, CloseSocket, EndWriting, StartReading, StopReading
from .write_queue import WriteQueue

CODEC_DUE: Final = "codec"
WIRE_STALLED: Final = "wire"
"""The reasons of this module's deadlines: a codec's own, and a socket that takes nothing after its connection ended."""

BACKLOG: Final = "backlog"
BUFFER: Final = "buffer"
"""Why a socket is not read from: its peer does not take what it is sent; its codec's buffer is full."""


class SocketState(Struct, eq=False):
    """One socket. `identity` is who comes through it, unless they authenticate; `connection` is who lives on it now, or
    None. `counted` bytes of what its wire holds are known to the gateway as held for that connection; the rest is
    nobody's and has a deadline here. `leaving`: the gateway has closed the connection; `answered`: its HTTP answer was
    given to the codec; `over`: the codec has shut; `cut`: the socket is to be closed whatever it holds. `upgrade` is a
    handshake that the gateway has not judged yet."""

    socket: SocketId
    address: Address
    codec: Codec
    wire: WriteQueue
    identity: Identity
    connection: ConnectionId | None = None
    counted: int = 0
    leaving: bool = False
    answered: bool = False
    codec_closed: bool = False
    aborted: bool = False
    upgrade: Upgrade | None = None
    stopped: dict[str, None] = field(default_factory=dict)
    buffered: int = 0
    due: Timer | None = None
    stalled: Timer | None = None
    progress_at: float = 0.0


class Sockets:
    """The table of sockets. `by_connection` finds the one on which a connection lives."""

    __slots__ = (
        "_config",
        "_gateway",
        "_last",
        "_outbox",
        "_reported",
        "_timers",
        "buffered",
        "by_connection",
        "lines",
    )

    def __init__(self, gateway: Gateway, outbox: list[Action], timers: Timers) -> None:
        self._gateway: Final = gateway
        self._config: Final = gateway.config
        self._outbox: Final = outbox
        self._timers: Final = timers
        self._last = 0
        self._reported = 0
        self.buffered = 0
        self.lines: dict[SocketId, SocketState] = {}
        self.by_connection: dict[ConnectionId, SocketState] = {}

    def add(self, socket: SocketId, address: Address, codec: Codec, identity: Identity = ANONYMOUS) -> SocketState:
        """A new socket, on which nobody lives yet."""
        self._last = socket
        wire = WriteQueue(socket, self._outbox, self._config.write_ahead)
        line = self.lines[socket] = SocketState(socket, address, codec, wire, identity)
        return line

    def find(self, socket: SocketId) -> SocketState | None:
        """The socket of this id, or None when it was closed; UsageError when there never was one."""
        line = self.lines.get(socket)
        if line is None and not 0 < socket <= self._last:
            raise UsageError(f"there never was a socket {socket}")
        return line

    def remove(self, line: SocketState, now: float) -> None:
        """It is closed."""
        del self.lines[line.socket]
        self._timers.disarm(line.due)
        self._timers.disarm(line.stalled)
        self.measure(line, now)

    def settle(self, line: SocketState, connection: ConnectionId) -> None:
        """This connection lives here from now on."""
        line.connection = connection
        self.by_connection[connection] = line

    def part(self, line: SocketState, now: float) -> None:
        """Its connection is over: what it left behind is nobody's."""
        assert line.connection is not None
        del self.by_connection[line.connection]
        line.connection = None
        line.leaving = False
        self.disown(line, now)

    def disown(self, line: SocketState, now: float) -> None:
        """The gateway counts no longer what is held here, and reading does not wait for it."""
        line.counted = 0
        self.start_reading(line, BACKLOG)
        self.watch(line, now)

    # Out

    def write(self, line: SocketState, frame: bytes, now: float, *, report: bool = False) -> None:
        """One whole frame. With `report` the gateway counts it as held already. What was said in the same turn in
        which the socket was cut is dropped."""
        if line.aborted:
            return
        begins_to_count = line.wire.write(frame, report=report)
        if begins_to_count:
            self.count(line, begins_to_count, now)

    def count(self, line: SocketState, size: int, now: float) -> None:
        """So many bytes are held: the gateway must know, or, where nobody lives here, a deadline."""
        if line.connection is not None and not line.leaving:
            line.counted += size
            self._gateway.report_held(line.connection, size, now)
        else:
            self.watch(line, now)

    def sent(self, line: SocketState, size: int, now: float) -> None:
        """`size` of the held bytes went: those first that were there before this connection."""
        if size > line.wire.owed:
            raise UsageError(
                f"{size} bytes are reported as sent: only {line.wire.owed} are held by socket {line.socket}"
            )
        if line.aborted:
            return
        line.wire.sent(size)
        line.progress_at = now
        own = line.counted - line.wire.outstanding
        if own > 0 and line.connection is not None:
            line.counted -= own
            self._gateway.report_sent(line.connection, own, now)

    def watch(self, line: SocketState, now: float) -> None:
        """See that what is held goes, where the gateway does not."""
        if not line.wire.clear and not line.aborted and not _watched(line):
            line.progress_at = now
            line.stalled = self._timers.arm(now + self._config.write_timeout, WIRE_STALLED, line.socket)

    def judge(self, line: SocketState, now: float) -> None:
        """The deadline of what is held for nobody has come: no progress since then means the end. What fell due with
        it and was handled first may have cut the socket, or begun to watch anew."""
        if line.aborted or line.wire.clear or line.counted or _watched(line):
            return
        due = line.progress_at + self._config.write_timeout
        if due <= now:
            self.shut(line, now, flush=False)
        else:
            line.stalled = self._timers.arm(due, WIRE_STALLED, line.socket)

    def end_writing(self, line: SocketState) -> None:
        """Half-close behind all that was written."""
        if not line.aborted:
            line.wire.then(EndWriting(line.socket))

    def shut(self, line: SocketState, now: float, *, flush: bool) -> None:
        """Its codec is done. A second time it can only be to lose patience, and that only once."""
        line.codec_closed = True
        if line.aborted:
            return
        if flush:
            line.wire.then(CloseSocket(line.socket))
            self.watch(line, now)
        else:
            line.aborted = True
            self._timers.disarm(line.stalled)
            self._outbox.append(CloseSocket(line.socket, flush=False))

    # In

    def stop_reading(self, line: SocketState, why: str) -> None:
        """Read no more from it, for this reason too."""
        if not line.stopped:
            self._outbox.append(StopReading(line.socket))
        line.stopped[why] = None

    def start_reading(self, line: SocketState, why: str) -> None:
        """This reason not to read from it is gone, if it was one."""
        if why in line.stopped:
            del line.stopped[why]
            if not line.stopped and not line.codec_closed:
                self._outbox.append(StartReading(line.socket))

    def schedule(self, line: SocketState) -> None:
        """Arm the codec's deadline. One that moved later is left to fire early: that is cheaper than moving it."""
        when = line.codec.next_timeout()
        if when is None or line.codec_closed:
            return
        if line.due is None or not line.due.live:
            line.due = self._timers.arm(when, CODEC_DUE, line.socket)
        elif when < line.due.when:
            self._timers.disarm(line.due)
            line.due = self._timers.arm(when, CODEC_DUE, line.socket)

    def exceeds(self, line: SocketState) -> bool:
        """Is what this codec has taken in since it was measured more than there is memory for?"""
        grown = line.codec.buffered - line.buffered
        held = self._gateway.memory - self._reported + self.buffered
        return grown > 0 and held + grown > self._config.memory_budget

    def measure(self, line: SocketState, now: float) -> None:
        """Tell the gateway what the codecs hold, when it has changed enough to matter."""
        buffered = 0 if line.codec_closed else line.codec.buffered
        if buffered == line.buffered:
            return
        self.buffered += buffered - line.buffered
        line.buffered = buffered
        if abs(self.buffered - self._reported) >= self._config.read_bytes:
            self._reported = self.buffered
            self._gateway.report_buffered(self.buffered, now)


def _watched(line: SocketState) -> bool:
    return line.stalled is not None and line.stalled.live
