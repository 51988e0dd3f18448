"""The network: links that delay, fragment and merge bytes, block, half-close, and can be cut at any byte.

A link has two directions. Each is a pipe with a bounded size and a travel time. The sender keeps the bytes that do not
fit; the pipe keeps the bytes that the receiver does not read. Bytes of one direction stay in order, as TCP promises;
nothing else is promised. This module does not know what the bytes mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final

from msgspec import Struct
from posthouse.core.values.errors import UsageError

from .chance import Stream
from .schedule import Schedule

READ_BYTES: Final = 64 * 1024
"""The default of the most bytes that are delivered at once, like one read of a socket."""


class LinkConditions(Struct, frozen=True):
    """The quality of links. `latency` is the travel time in seconds, `jitter` the most seconds added to it at random.

    `capacity` is in bytes, for each direction. `fragment` says how often, in a thousand deliveries, only a part of the
    available bytes is delivered. Raises UsageError for invalid values.
    """

    latency: float = 0.001
    jitter: float = 0.0
    capacity: int = 256 * 1024
    fragment: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.latency < inf and 0 <= self.jitter < inf):
            raise UsageError(f"latency {self.latency} and jitter {self.jitter} must be finite seconds, 0 or more")
        if self.capacity < 1 or not 0 <= self.fragment <= 1000:
            raise UsageError(f"capacity {self.capacity} must be at least 1, fragment {self.fragment} from 0 to 1000")


def _ignore(*_: object) -> None:
    """The callback of a direction that has no receiver or no waiting sender."""


class Direction:
    """One direction of a link.

    The receiver sets `deliver(data)`, which gets at most `read_size` bytes, and `deliver_eof()`; it clears `reading` to
    stop deliveries, and a process that is asleep sets `asleep`. The sender sets `on_room()`, which is called when bytes
    have left the pipe. `ended`: the sender has half-closed; `closed`: nothing is delivered any more.

    An observer sets `on_end()`, which is called when the sender half-closes. `delivered` is the number of bytes that
    the receiver got, and `eof_at` the time at which it got the end.
    """

    def __init__(self, schedule: Schedule, stream: Stream, conditions: LinkConditions) -> None:
        self._schedule: Final = schedule
        self._stream: Final = stream
        self.conditions = conditions
        self.deliver: Callable[[bytes], None] = _ignore
        self.deliver_eof: Callable[[], None] = _ignore
        self.on_room: Callable[[], None] = _ignore
        self.on_end: Callable[[], None] = _ignore
        self.delivered = 0
        self.eof_at: float | None = None
        self._pieces: deque[tuple[float, bytes]] = deque()  # each with its arrival time
        self._size = self._start = 0  # bytes in the pipe, and the offset of the first one in the first piece
        self._last = self._end_at = 0.0
        self._planned = False
        self.asleep = False
        self.read_size = READ_BYTES
        self.reading = True
        self.blocked = False
        self.ended = False
        self.closed = False

    @property
    def now(self) -> float:
        """The time of the schedule."""
        return self._schedule.now

    @property
    def room(self) -> int:
        """How many bytes still fit into the pipe."""
        return max(self.conditions.capacity - self._size, 0)

    def write(self, data: bytes) -> int:
        """Put the bytes that fit into the pipe. Returns how many were taken."""
        if self.ended or self.closed:
            return len(data)  # discarded, so that the sender does not wait
        room = self.room
        if len(data) > room:
            data = data[:room]
        if data:
            self._size += len(data)
            self._pieces.append((self._arrival(), data))
            self.plan_delivery()
        return len(data)

    def _arrival(self) -> float:
        """The arrival time of bytes that are sent now. It is never before that of earlier bytes."""
        conditions = self.conditions
        when = self._schedule.now + conditions.latency
        if conditions.jitter:
            when += conditions.jitter * self._stream.choose(1000) / 1000
        if when > self._last:
            self._last = when
        return self._last

    def end(self) -> None:
        """Half-close: the receiver gets the end after all bytes in the pipe."""
        if not self.ended:
            self.ended = True
            self._end_at = self._arrival()
            self.on_end()
            self.plan_delivery()

    def drop(self) -> None:
        """Cut this direction: the bytes in the pipe are lost."""
        self.closed = True
        self._size = self._start = 0
        self._pieces.clear()

    def plan_delivery(self) -> None:
        """Plan the next delivery, unless one is planned or none is possible now."""
        if self._planned or self.closed or self.blocked or self.asleep or not self.reading:
            return
        if self._pieces or self.ended:
            self._planned = True
            self._schedule.at(self._pieces[0][0] if self._pieces else self._end_at, self._arrive)

    def _arrive(self) -> None:
        self._planned = False
        if self.closed or self.blocked or self.asleep or not self.reading:
            return
        if not self._pieces:
            self.closed = True
            self.eof_at = self._schedule.now
            self.deliver_eof()
            return
        size = self._available()
        if self.conditions.fragment and self._stream.happens(self.conditions.fragment):
            size = min(size, 1 + self._stream.choose(self._stream.pick((size, 20, 3, 1))))
        self.delivered += size
        self.deliver(self._take(size))
        self.on_room()
        self.plan_delivery()

    def _available(self) -> int:
        """How many bytes have arrived, up to the size of one read."""
        size = -self._start
        for when, piece in self._pieces:
            if when > self._schedule.now or size >= self.read_size:
                break
            size += len(piece)
        return min(size, self.read_size)

    def _take(self, size: int) -> bytes:
        """Remove the first `size` bytes from the pipe."""
        self._size -= size
        pieces, start = self._pieces, self._start
        taken = []
        while size:
            piece = pieces[0][1]
            left = len(piece) - start
            if left > size:
                taken.append(piece[start : start + size])
                start += size
                break
            taken.append(piece[start:])
            pieces.popleft()
            size -= left
            start = 0
        self._start = start
        return taken[0] if len(taken) == 1 else b"".join(taken)


class Link(Struct, frozen=True, eq=False):
    """One connection between a client and the server: `up` leads to the server, `down` to the client."""

    up: Direction
    down: Direction

    def block(self) -> None:
        """Deliver nothing in either direction until `unblock`."""
        self.up.blocked = self.down.blocked = True

    def unblock(self) -> None:
        """Deliver again."""
        for direction in (self.up, self.down):
            direction.blocked = False
            direction.plan_delivery()

    def cut(self) -> None:
        """Cut the link. The bytes in both pipes are lost."""
        self.up.drop()
        self.down.drop()

    def change(self, conditions: LinkConditions) -> None:
        """Use these conditions from now on."""
        self.up.conditions = self.down.conditions = conditions
        for direction in (self.up, self.down):
            direction.on_room()
