"""The ledger of bytes on their way to one socket: given to the adapter and not gone yet, and waiting behind them.

While the socket takes everything at once, nothing is counted. It may not know what the bytes mean. It knows where a
frame begins, because a frame that has begun must be finished.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from posthouse.core.values.peers import SocketId

from .actions import Action, CloseSocket, EndWriting, Write

Waiting = deque[bytes | EndWriting | CloseSocket]

NOTHING: Final[Waiting] = deque()
"""The queue of a socket that took everything so far. Never changed: an empty deque takes 760 bytes, for each socket."""


class Writer(Protocol):
    """The adapter's end of one socket, for bytes that overtake nothing."""

    def write(self, data: bytes, report: bool) -> None:
        """Perform a `Write` with these facts."""
        ...


class WriteQueue:
    """The bytes of one socket. `owed` bytes are with the adapter, which will report them as `sent`. `waiting_bytes`
    wait here: at most `ahead` bytes of a large frame are with the adapter at a time, and `_begun` bytes of the first
    waiting frame have left. `reported` bytes, the last ones, are counted by the gateway for its connection; those
    before them belong to no connection. `writer` gets the bytes of a `Write` directly, while no action is queued."""

    __slots__ = ("_ahead", "_begun", "_outbox", "_socket", "_waiting", "owed", "reported", "waiting_bytes", "writer")

    def __init__(self, socket: SocketId, outbox: list[Action], ahead: int) -> None:
        self._socket: Final = socket
        self._outbox: Final = outbox
        self._ahead: Final = ahead
        self._waiting = NOTHING
        self._begun = 0
        self.owed = 0
        self.waiting_bytes = 0
        self.reported = 0
        self.writer: Writer | None = None

    @property
    def clear(self) -> bool:
        """Has everything gone?"""
        return not self.owed and not self._waiting

    @property
    def outstanding(self) -> int:
        """The number of bytes that have not gone, as far as is known."""
        return self.owed + self.waiting_bytes

    def write(self, frame: bytes, report: bool = False) -> int:
        """Queue one whole frame. With `report` it already counts as held. Returns how many bytes count from now on."""
        if not self._waiting and len(frame) <= self._ahead:
            if self.writer is None or self._outbox:
                self._outbox.append(Write(self._socket, frame, report))
            else:
                self.writer.write(frame, report)
            if report:
                self.owed += len(frame)
            return 0
        if self._waiting is NOTHING:
            self._waiting = deque()
        self._waiting.append(frame)
        self.waiting_bytes += len(frame)
        self._advance()
        return 0 if report else len(frame)

    def then(self, action: EndWriting | CloseSocket) -> None:
        """Do this after everything that waits here was handed over."""
        if self._waiting:
            self._waiting.append(action)
        else:
            self._outbox.append(action)

    def sent(self, size: int) -> int:
        """`size` of the owed bytes went: hand over what fits now. Returns how many of the reported bytes went."""
        self.owed -= size
        self._advance()
        went = self.reported - self.owed - self.waiting_bytes
        if went <= 0:
            return 0
        self.reported -= went
        return went

    def drop_unbegun(self) -> int:
        """Forget the frames that have not begun. Returns how many bytes were dropped."""
        before, self.waiting_bytes = self.waiting_bytes, 0
        kept: Waiting = deque(waiting for waiting in self._waiting if not isinstance(waiting, bytes))
        if self._begun:
            begun = self._waiting[0]
            assert isinstance(begun, bytes)
            kept.appendleft(begun)
            self.waiting_bytes = len(begun) - self._begun
        self._waiting = kept
        return before - self.waiting_bytes

    def _advance(self) -> None:
        waiting = self._waiting
        while waiting:
            first = waiting[0]
            if isinstance(first, bytes):
                size = min(self._ahead, len(first) - self._begun)
                if self.owed and self.owed + size > self._ahead:
                    return
                self.owed += size
                self.waiting_bytes -= size
                # Cut when it leaves: a large frame is not kept twice.
                self._outbox.append(Write(self._socket, first[self._begun : self._begun + size], report=True))
                self._begun += size
                if self._begun < len(first):
                    continue
                self._begun = 0
            else:
                self._outbox.append(first)
            waiting.popleft()
