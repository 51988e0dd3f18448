"""What is on its way to one socket: bytes that the adapter was given and has not yet got rid of, and what waits behind.

While the socket takes what it is given nothing is counted. It may not know what the bytes mean: only where a frame
begins, because a frame that has begun must be finished.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from posthouse.core.values.peers import SocketId

from .actions import Action, CloseSocket, EndWriting, Write


class WriteQueue:
    """The way out of one socket. `owed` is what the adapter has and will report as `sent`; at most `ahead` of a large
    frame is handed to it at a time. Of the first frame that waits `_begun` bytes have left."""

    __slots__ = ("_ahead", "_begun", "_outbox", "_socket", "_waiting", "owed", "waiting_bytes")

    def __init__(self, socket: SocketId, outbox: list[Action], ahead: int) -> None:
        self._socket: Final = socket
        self._outbox: Final = outbox
        self._ahead: Final = ahead
        self._waiting: deque[bytes | EndWriting | CloseSocket] = deque()
        self._begun = 0
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
        self._waiting.append(frame)
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
        before, self.waiting_bytes = self.waiting_bytes, 0
        kept: deque[bytes | EndWriting | CloseSocket] = deque(
            waiting for waiting in self._waiting if not isinstance(waiting, bytes)
        )
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
