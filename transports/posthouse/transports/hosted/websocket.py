"""A WebSocket that a host speaks, as a codec: whole messages in and out.

The host has the frames, pings, compression and the closing handshake. This module has the rules about messages. It may
not know what a text says.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.values.config import Config
from posthouse.transports.codec import ABNORMAL, Binary, Ended, Output, Send, Shut, Text, message_limit
from posthouse.transports.websocket.failures import BINARY_REFUSED, INVALID_DATA, Failed, too_large

from .messages import Closing
from .whole import Whole

FRAMING: Final = "hosted"
"""The framing of all hosted connections: a payload is sent as it is."""


class HostedWebSocket(Whole):
    """The codec of one connection. `binary`: binary messages are passed on as `codec.Binary`, instead of failing with
    1003."""

    __slots__ = ("_binary", "_config", "_max_bytes", "_open", "output")

    abnormal_code = ABNORMAL
    framing = FRAMING

    def __init__(self, config: Config, *, binary: bool) -> None:
        self.output: list[Output] = []
        self._config: Final = config
        self._max_bytes = config.max_message_bytes
        self._binary: Final = binary
        self._open = True

    def limit_messages(self, *, authenticated: bool) -> None:
        """Limit the messages that come from now on."""
        self._max_bytes = message_limit(self._config, authenticated=authenticated)

    def receive_whole_message(self, message: str | bytes) -> Text | None:
        """The direct way in: the text, if nothing else waits. None: nothing has changed."""
        if self.output or not self._open:
            return None
        if type(message) is str and message.isascii() and len(message) <= self._max_bytes:
            return Text(message.encode())
        read = self._read(message)
        return None if isinstance(read, Failed) else Text(read)

    def receive_message(self, message: str | bytes, now: float) -> None:
        """One whole message came: a text, or a binary one."""
        if not self._open:
            return
        read = self._read(message)
        if isinstance(read, Failed):
            self._end(read.code, read.reason)
        else:
            self.output.append(Text(read))

    def _read(self, message: str | bytes) -> bytes | Failed:
        if isinstance(message, str):
            try:
                data = message.encode()
            except UnicodeEncodeError:
                return INVALID_DATA
        elif self._binary:
            data = Binary(message)
        else:
            return BINARY_REFUSED
        return too_large(self._max_bytes, self._config) if len(data) > self._max_bytes else data

    def receive_end(self, code: int, now: float) -> None:
        """The peer has gone, with this close code. Texts that wait are dropped."""
        if self._open:
            self._open = False
            self.output[:] = [output for output in self.output if type(output) is not Text]
            self.output += (Ended(code), Shut(flush=False))

    def close(self, code: int, now: float) -> None:
        """Close with this code."""
        if self._open:
            self._end(code, None)

    def _end(self, code: int, reason: str | None) -> None:
        self._open = False
        self.output += (Send(Closing(code)), Ended(code, reason), Shut())

    @property
    def buffered(self) -> int:
        """The bytes of texts that were not handed on."""
        return sum(len(output.data) for output in self.output if type(output) is Text)

    def next_timeout(self) -> float | None:
        """It has no deadlines."""
        return None

    def handle_timeout(self, now: float) -> None:
        """It has no deadlines."""
        return
