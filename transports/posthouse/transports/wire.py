"""What is on its way to one socket: bytes that the adapter was given and has not yet got rid of, and what waits behind.

While the socket takes what it is given nothing is counted. It may not know what the bytes mean: only where a frame
begins, because a frame that has begun must be finished.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from msgspec import Struct
from posthouse.core.peers import SocketId

from .actions import Action, CloseSocket, EndWriting, Write


class Slice(Struct, frozen=True, gc=False):
    """A piece of a frame. `begins`: it is the frame's first."""

    data: bytes
    begins: bool


class Wire:
    """The way out of one socket. `owed` is what the adapter has and will report as `sent`; at most `ahead` of a large
    frame is handed to it at a time."""

    __slots__ = ("_ahead", "_outbox", "_socket", "_waiting", "owed", "waiting_bytes")

    def __init__(self, socket: SocketId, outbox: list[Action], ahead: int) -> None:
        self._socket: Final = socket
        self._outbox: Final = outbox
        self._ahead: Final = ahead
        self._waiting: deque[Slice | EndWriting | CloseSocket] = deque()
        self.owed = 0
        self.waiting_bytes = 0

    @property
    def clear(self) -> bool:
        """Has all gone that was written?"""
        return not self.owed and not self._waiting

    @property
    def outstanding(self) -> int:
        """How many bytes have not gone, as far as is known."""
        return self.owed + self.waiting_bytes

    def write(self, frame: bytes, *, report: bool = False) -> int:
        """One whole frame. With `report` it already counts as held. Returns how many bytes begin to count by this."""
        if not self._waiting and len(frame) <= self._ahead:
            self._outbox.append(Write(self._socket, frame, report))
            if report:
                self.owed += len(frame)
            return 0
        for start in range(0, len(frame), self._ahead):
            self._waiting.append(Slice(frame[start : start + self._ahead], start == 0))
        self.waiting_bytes += len(frame)
        self._advance()
        return 0 if report else len(frame)

    def then(self, action: EndWriting | CloseSocket) -> None:
        """Do this when all that waits here was handed over."""
        if self._waiting:
            self._waiting.append(action)
        else:
            self._outbox.append(action)

    def held(self, size: int) -> None:
        """The socket did not take `size` bytes of what counted as taken."""
        self.owed += size

    def sent(self, size: int) -> None:
        """`size` of the owed bytes went: hand over what fits now."""
        self.owed -= size
        self._advance()

    def drop_unbegun(self) -> int:
        """Forget the frames that have not begun. How many bytes that were."""
        kept: deque[Slice | EndWriting | CloseSocket] = deque()
        begun = True
        for waiting in self._waiting:
            if type(waiting) is Slice:
                begun = begun and not waiting.begins
                if not begun:
                    continue
            kept.append(waiting)
        self._waiting = kept
        before = self.waiting_bytes
        self.waiting_bytes = sum(len(waiting.data) for waiting in kept if type(waiting) is Slice)
        return before - self.waiting_bytes

    def _advance(self) -> None:
        waiting = self._waiting
        while waiting:
            first = waiting[0]
            if isinstance(first, Slice):
                if self.owed and self.owed + len(first.data) > self._ahead:
                    return
                self.owed += len(first.data)
                self.waiting_bytes -= len(first.data)
                self._outbox.append(Write(self._socket, first.data, report=True))
            else:
                self._outbox.append(first)
            waiting.popleft()
