"""The common part of both framings: turns, a bounded buffer, the end of input, closing.

A pipe carries one connection from its first byte to its last, both ways. It has no close frame: closing sends nothing.
`newline.py` and `content_length.py` separate the messages. A message in progress has no deadline (`message_timeout` is
for WebSocket): a person may be typing it.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from posthouse.core.jsonrpc.messages import NULL, encode_error
from posthouse.core.values.config import Config
from posthouse.core.values.errors import PARSE_ERROR, REQUEST_TOO_LARGE, ErrorObject
from posthouse.transports.codec import Codec, Ended, Output, Pause, Resume, Send, Shut, Text, message_limit


class Pipe(Codec):
    """A codec for either end of a pipe. At most `frames_per_turn` messages are in `output` at a time. While more are
    unread, it asks for a pause.

    Answers still go out after the end of input. `at_eof` says that everything before it was handed on: the switchboard
    calls `close` when no answer is owed. After `stdio_grace` seconds the codec ends by itself.
    """

    def __init__(self, config: Config) -> None:
        self._config: Final = config
        self._most = message_limit(config, authenticated=not config.require_authentication)
        self._unread = b""
        self._at = 0
        self._partial = bytearray()
        self._paused = False
        self._done = False
        self._now = 0.0
        self._ends_at: float | None = None
        self._at_eof = False
        self.output: list[Output] = []

    def limit_messages(self, *, authenticated: bool) -> None:
        self._most = message_limit(self._config, authenticated=authenticated)

    # Implemented by each framing, with `framing` and `frame`

    @abstractmethod
    def _take(self, data: bytes, at: int) -> int:
        """Take the bytes of one message from `data`, beginning at `at`. Returns where the next message begins."""

    @abstractmethod
    def _take_last(self) -> None:
        """The input has ended: handle what was kept of an unfinished message."""

    # Bytes in

    def receive_data(self, data: bytes, now: float) -> None:
        if self._done:
            return
        self._unread = self._unread[self._at :] + data if self._unread else data
        self._at = 0
        self._turn(now)

    def receive_eof(self, now: float) -> None:
        """The peer sends no more. Its requests are still answered, for `stdio_grace` seconds."""
        if self._done:
            return
        self._ends_at = now + self._config.stdio_grace
        self._turn(now)

    @property
    def at_eof(self) -> bool:
        return self._at_eof

    def _turn(self, now: float) -> None:
        self._now = now
        data, at = self._unread, self._at
        for _ in range(self._config.frames_per_turn - len(self.output)):
            if at == len(data):
                break
            at = self._take(data, at)
            if self._done:
                return
        work_left = at < len(data)
        self._unread, self._at = (data, at) if work_left else (b"", 0)
        if work_left != self._paused:
            self._paused = work_left
            self.output.append(Pause() if work_left else Resume())
        if self._ends_at is not None and not work_left and not self._at_eof:
            self._take_last()
            self._at_eof = True

    def _answer_too_large(self) -> None:
        """Answer a message above the limit, once. Its id was not read, so it is null (JSON-RPC 2.0 section 5)."""
        limit = "max_message_bytes" + ("_unauthenticated" if self._most < self._config.max_message_bytes else "")
        error = ErrorObject.of(REQUEST_TOO_LARGE, {"limit": limit, "allowed": self._most})
        self.output.append(Send(self.frame(encode_error(NULL, error))))

    def _answer_unreadable(self, reason: str) -> None:
        """Answer bytes that cannot be read as a message, once."""
        error = ErrorObject.of(PARSE_ERROR, {"reason": reason})
        self.output.append(Send(self.frame(encode_error(NULL, error))))

    # The end

    def close(self, code: int, now: float) -> None:
        """Close from our side, behind all sent bytes. The code is for the gateway: a pipe cannot carry it."""
        if not self._done:
            self._end(code)

    def _end(self, code: int | None, reason: str | None = None) -> None:
        self._done = True
        self._unread, self._at = b"", 0
        self._partial.clear()
        self.output += (Ended(code, reason), Shut())

    # Time

    def next_timeout(self) -> float | None:
        """The end of the grace. A time in the past while messages are unread and `output` has room for them."""
        if self._unread and len(self.output) < self._config.frames_per_turn:
            return self._now
        return None if self._done else self._ends_at

    def handle_timeout(self, now: float) -> None:
        if self._done:
            return
        if self._ends_at is not None and now >= self._ends_at:
            self._end(None)
        else:
            self._turn(now)

    @property
    def buffered(self) -> int:
        """Bytes that are unread, kept of an unfinished message, or in `output` as texts."""
        texts = sum(len(output.data) for output in self.output if type(output) is Text)
        return len(self._unread) - self._at + len(self._partial) + texts
