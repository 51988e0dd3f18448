"""What the framings of a pipe share: turns, a bounded buffer, the end of input, closing.

A pipe carries one connection from its first byte to its last, both ways, and has no close frame: closing says nothing
on the wire. How messages are told apart is `lines.py` and `headers.py`. Nothing here has a deadline on a message in
progress (`message_timeout` is WebSocket's): a person may be typing it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from posthouse.core.jsonrpc.messages import NULL, encode_error
from posthouse.core.values.config import Config
from posthouse.core.values.errors import PARSE_ERROR, REQUEST_TOO_LARGE, ErrorObject
from posthouse.transports.codec import Ended, Output, Pause, Resume, Send, Shut, Text


class Pipe(ABC):
    """A codec for either end of a pipe. At most `frames_per_turn` messages stand in `output` at a time; while more are
    unread it asks for a pause.

    After the end of input answers still go out. `at_eof` says that everything before it was handed on: whoever knows
    that nothing more will be answered then calls `close`; after `stdio_grace` seconds the codec ends by itself.
    """

    __slots__ = ("_at", "_config", "_ends_at", "_now", "_over", "_partial", "_paused", "_unread", "at_eof", "output")

    def __init__(self, config: Config) -> None:
        self._config: Final = config
        self._unread = b""
        self._at = 0
        self._partial = bytearray()
        self._paused = False
        self._over = False
        self._now = 0.0
        self._ends_at: float | None = None
        self.at_eof = False
        self.output: list[Output] = []

    # What a framing decides

    @property
    @abstractmethod
    def framing(self) -> str:
        """The name of this framing."""

    @abstractmethod
    def frame(self, payload: bytes) -> bytes:
        """One payload as the bytes that carry it."""

    @abstractmethod
    def _take(self, data: bytes, at: int) -> int:
        """Take from `data`, beginning at `at`, what belongs to one message. Returns where the next one begins."""

    @abstractmethod
    def _take_last(self) -> None:
        """No more bytes come: what was kept of a message is all there is of it."""

    # Bytes in

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes as they came, cut anywhere."""
        if self._over:
            return
        self._unread = self._unread[self._at :] + data if self._unread else data
        self._at = 0
        self._turn(now)

    def receive_eof(self, now: float) -> None:
        """The peer has sent all that it will: what it asked for is still answered, for `stdio_grace` seconds."""
        if self._over:
            return
        self._ends_at = now + self._config.stdio_grace
        self._turn(now)

    def _turn(self, now: float) -> None:
        self._now = now
        data, at = self._unread, self._at
        for _ in range(self._config.frames_per_turn - len(self.output)):
            if at == len(data):
                break
            at = self._take(data, at)
            if self._over:
                return
        work_left = at < len(data)
        self._unread, self._at = (data, at) if work_left else (b"", 0)
        if work_left != self._paused:
            self._paused = work_left
            self.output.append(Pause() if work_left else Resume())
        if self._ends_at is not None and not work_left and not self.at_eof:
            self._take_last()
            self.at_eof = True

    def _answer_too_large(self) -> None:
        """The one answer to a message above the limit. Its id was not read: JSON-RPC 2.0 section 5 says null."""
        allowed = self._config.max_message_bytes
        error = ErrorObject.of(REQUEST_TOO_LARGE, {"limit": "max_message_bytes", "allowed": allowed})
        self.output.append(Send(self.frame(encode_error(NULL, error))))

    def _answer_unreadable(self, reason: str) -> None:
        """The one answer to what is no message."""
        error = ErrorObject.of(PARSE_ERROR, {"reason": reason})
        self.output.append(Send(self.frame(encode_error(NULL, error))))

    # The end

    def close(self, code: int, now: float) -> None:
        """Close from our side, behind what was sent. The code is for the gateway: a pipe cannot carry it."""
        if not self._over:
            self._end(code)

    def _end(self, code: int | None) -> None:
        self._over = True
        self._unread, self._at = b"", 0
        self._partial.clear()
        self.output += (Ended(code), Shut())

    # Time

    def heartbeat(self, now: float) -> None:
        """Nothing: a pipe that is open is alive."""
        return

    def next_timeout(self) -> float | None:
        """The grace's end; a time that has passed while messages are unread and `output` has room for them."""
        if self._unread and len(self.output) < self._config.frames_per_turn:
            return self._now
        return None if self._over else self._ends_at

    def handle_timeout(self, now: float) -> None:
        """Read on, or end when the grace is over."""
        if self._over:
            return
        if self._ends_at is not None and now >= self._ends_at:
            self._end(None)
        else:
            self._turn(now)

    @property
    def buffered(self) -> int:
        """Bytes unread, kept of a message in progress, or whole in `output`."""
        texts = sum(len(output.data) for output in self.output if type(output) is Text)
        return len(self._unread) - self._at + len(self._partial) + texts
