"""The network: links that delay, cut into fragments, run together, clog, half-close and are cut at any byte.

A link has two ways, and each is a pipe of bounded size with a time to travel. What a sender cannot put into it waits
with the sender; what a receiver does not read waits in the pipe. Within a way bytes keep their order, as TCP promises,
and nothing else is promised. It may not know what bytes mean.
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
"""The most that is delivered at once, as one read of a socket gives."""


class LinkConditions(Struct, frozen=True):
    """How a link is. `latency` is seconds from end to end; `jitter` what is added at most; `capacity` is in bytes, each
    way. `fragment`: how often, in a thousand, a piece of what could arrive arrives alone. Raises UsageError for what
    makes no sense."""

    latency: float = 0.001
    jitter: float = 0.0
    capacity: int = 256 * 1024
    fragment: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.latency < inf and 0 <= self.jitter < inf):
            raise UsageError(f"latency {self.latency} and jitter {self.jitter} must be seconds, from 0 on")
        if self.capacity < 1 or not 0 <= self.fragment <= 1000:
            raise UsageError(f"capacity {self.capacity} must be at least 1, fragment {self.fragment} from 0 to 1000")


CALM: Final = LinkConditions()


def _nothing(*_: object) -> None:
    """Nobody is there, or nobody waits."""


class Way:
    """One direction. `deliver(data)`, of at most `most` bytes, and `deliver_eof()` are the receiver's, and `reading` is
    its to set, as is `asleep`; `on_room()` is the sender's, called when bytes have left the pipe."""

    __slots__ = (
        "_end_at",
        "_last",
        "_moving",
        "_pieces",
        "_schedule",
        "_size",
        "_start",
        "_stream",
        "asleep",
        "clogged",
        "deliver",
        "deliver_eof",
        "ended",
        "most",
        "on_room",
        "over",
        "reading",
        "weather",
    )

    def __init__(self, schedule: Schedule, stream: Stream, weather: LinkConditions) -> None:
        self._schedule: Final = schedule
        self._stream: Final = stream
        self.weather = weather
        self.deliver: Callable[[bytes], None] = _nothing
        self.deliver_eof: Callable[[], None] = _nothing
        self.on_room: Callable[[], None] = _nothing
        self._pieces: deque[tuple[float, bytes]] = deque()  # with when each arrives
        self._size = self._start = 0  # bytes on their way, and where in the first piece they begin
        self._last = self._end_at = 0.0
        self._moving = False
        self.asleep = False
        self.most = READ_BYTES
        self.reading = True
        self.clogged = False
        self.ended = False
        self.over = False

    def __len__(self) -> int:
        """How many bytes are on their way."""
        return self._size

    def write(self, data: bytes) -> int:
        """Put in what fits. How many bytes that were."""
        if self.ended or self.over:
            return len(data)  # nobody will read it, and nobody waits for it
        room = self.weather.capacity - self._size
        if len(data) > room:
            data = data[: max(room, 0)]
        if data:
            self._size += len(data)
            self._pieces.append((self._arrival(), data))
            self.move()
        return len(data)

    def _arrival(self) -> float:
        """When what is sent now arrives: not before what was sent before."""
        weather = self.weather
        when = self._schedule.now + weather.latency
        if weather.jitter:
            when += weather.jitter * self._stream.choose(1000) / 1000
        if when > self._last:
            self._last = when
        return self._last

    def end(self) -> None:
        """Half-close: the receiver is told behind all that is on its way."""
        if not self.ended:
            self.ended = True
            self._end_at = self._arrival()
            self.move()

    def drop(self) -> None:
        """The link is cut: nothing arrives any more."""
        self.over = True
        self._size = self._start = 0
        self._pieces.clear()

    def move(self) -> None:
        """See to it that what can arrive does, in time. While nothing is taken, time passes all the same."""
        if self._moving or self.over or self.clogged or self.asleep or not self.reading:
            return
        if self._pieces or self.ended:
            self._moving = True
            self._schedule.at(self._pieces[0][0] if self._pieces else self._end_at, self._arrive)

    def _arrive(self) -> None:
        self._moving = False
        if self.over or self.clogged or self.asleep or not self.reading:
            return
        if not self._pieces:
            self.over = True
            self.deliver_eof()
            return
        size = self._there()
        if self.weather.fragment and self._stream.happens(self.weather.fragment):
            size = min(size, 1 + self._stream.choose(self._stream.pick((size, 20, 3, 1))))
        self.deliver(self._take(size))
        self.on_room()
        self.move()

    def _there(self) -> int:
        """How many bytes have come, as far as one read takes them."""
        size = -self._start
        for when, piece in self._pieces:
            if when > self._schedule.now or size >= self.most:
                break
            size += len(piece)
        return min(size, self.most)

    def _take(self, size: int) -> bytes:
        """The first so many bytes."""
        self._size -= size
        pieces, start = self._pieces, self._start
        taken = []
        while size:
            piece = pieces[0][1]
            there = len(piece) - start
            if there > size:
                taken.append(piece[start : start + size])
                start += size
                break
            taken.append(piece[start:])
            pieces.popleft()
            size -= there
            start = 0
        self._start = start
        return taken[0] if len(taken) == 1 else b"".join(taken)


class Link:
    """One connection between a client and the server: `up` leads to the server, `down` to the client."""

    __slots__ = ("down", "up")

    def __init__(self, up: Way, down: Way) -> None:
        self.up: Final = up
        self.down: Final = down

    def clog(self) -> None:
        """Nothing moves until `unclog`, either way."""
        self.up.clogged = self.down.clogged = True

    def unclog(self) -> None:
        """It moves again."""
        for way in (self.up, self.down):
            way.clogged = False
            way.move()

    def cut(self) -> None:
        """What is on its way is lost."""
        self.up.drop()
        self.down.drop()

    def improve(self, weather: LinkConditions) -> None:
        """From now on it is like this."""
        self.up.weather = self.down.weather = weather
        for way in (self.up, self.down):
            way.on_room()
