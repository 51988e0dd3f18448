"""The judge of a pipe: lines of JSON (docs/protocol.md, "stdio"), or the framing of the Language Server Protocol."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Final

from posthouse.core.values.config import Config

from .conversation import Conversation
from .judge import Facts, Judge

TOO_LARGE: Final = -32007
HEAD: Final = re.compile(rb"Content-Length: (0|[1-9][0-9]*)\r\n\r\n")
LENGTH_FIELD: Final = re.compile(rb"content-length:[ \t]*([0-9]{1,19})[ \t]*", re.IGNORECASE)
OTHER_FIELD: Final = re.compile(rb"(?!content-)[a-z0-9-]+:[\t\x20-\x7e]*", re.IGNORECASE)
LONGEST_HEAD: Final = 8192
LONGEST_CONTENT: Final = 64 << 20
FRAMED: Final = b"content-"

CLOSING_LIMITS: Final = (
    *("max_connections", "max_connections_per_user"),
    *("memory_budget", "call_rate", "max_bad_messages", "idle_timeout", "write_timeout", "write_ahead"),
    *("max_queued_replies_bytes", "max_queued_pushes_bytes", "max_queued_pushes", "max_push_age"),
)
"""Limits for which a pipe is closed before its calls end. A pipe does not say why it was closed."""
INVALID: Final = (b'"code":-32700', b'"code":-32600')
"""The errors of messages that `max_bad_messages` counts, as a server writes them."""

BLANK: Final = b" \t\r\n"


class Outbound(ABC):
    """The messages in the bytes of a client, from the offset `size` on. `lost`: it is not known where the next one
    begins, for a reason that stands behind the offset `lost_behind`."""

    def __init__(self, size: int = 0) -> None:
        self.lost = False
        self.lost_behind = 0
        self._buffer: Final = bytearray()
        self._size = size

    def add(self, data: bytes) -> list[tuple[bytes, int]]:
        """Take bytes. Returns the messages that they end, each with the offset of its end."""
        if self.lost:
            return []
        self.lost_behind = self._size
        self._size += len(data)
        self._buffer.extend(data)
        messages = []
        while (message := self._take()) is not None:
            messages.append((message, self._size - len(self._buffer)))
        return messages

    @abstractmethod
    def _take(self) -> bytes | None:
        """Take the next message. None if it is not whole."""

    @abstractmethod
    def begun(self) -> int:
        """The size that the message that is not whole has, as far as it is known."""

    @property
    def unfinished(self) -> bool:
        """Are there bytes of a message that is not whole?"""
        return bool(self._buffer) and not self.lost

    def last(self) -> tuple[bytes, int] | None:
        """The client has ended its output. Returns the message that ends with it."""
        return None


class SentLines(Outbound):
    """Messages in lines."""

    def _take(self) -> bytes | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")

    def begun(self) -> int:
        return len(self._buffer.removesuffix(b"\r"))

    def last(self) -> tuple[bytes, int] | None:
        line = bytes(self._buffer).removesuffix(b"\r")
        self._buffer.clear()
        return (line, self._size) if line else None


class SentFrames(Outbound):
    """Messages behind heads with a Content-Length."""

    def __init__(self, size: int = 0) -> None:
        super().__init__(size)
        self._announced = 0

    def begun(self) -> int:
        return self._announced

    def _take(self) -> bytes | None:
        buffer = self._buffer
        self._announced = 0
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            self.lost = self.lost or len(buffer) >= LONGEST_HEAD or b"\n" in bytes(buffer).replace(b"\r\n", b"")
            return None
        lines = bytes(buffer[:end]).split(b"\r\n")
        lengths = [int(length[1]) for line in lines if (length := LENGTH_FIELD.fullmatch(line)) is not None]
        others = sum(OTHER_FIELD.fullmatch(line) is not None for line in lines)
        if len(lengths) != 1 or others != len(lines) - 1 or lengths[0] > LONGEST_CONTENT:
            self.lost = True
            return None
        begin = end + 4
        if len(buffer) < begin + lengths[0]:
            self._announced = lengths[0]
            return None
        message = bytes(buffer[begin : begin + lengths[0]])
        del buffer[: begin + lengths[0]]
        return message


class PipeJudge(Judge):
    """The judge of one pipe. The first bytes of the client decide about the framing, in both directions."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        usual = Config()
        self._lenient: Final = any(
            getattr(facts.config, name) not in (getattr(usual, name), None) for name in CLOSING_LIMITS
        )
        self._conversation: Final = Conversation(facts.config)
        self._first = b""
        self._outbound: Outbound | None = None
        self._inbound: Final = bytearray()
        config = facts.config
        self._most: Final = config.max_message_bytes
        # Where authentication is required, the judge does not know since when the client is authenticated.
        self._least: Final = min(
            self._most, config.max_message_bytes_unauthenticated if config.require_authentication else self._most
        )
        self._large = 0  # messages that are too large and have no error yet
        self._perhaps = 0  # further messages that may be refused as too large
        self._judged = 0  # the size of the message in progress, as far as it has been judged
        self._invalid = 0  # how many errors for invalid messages the client got

    # The client

    def sent(self, data: bytes) -> None:
        if self._outbound is None:
            self._first += data
            begin = self._first.lstrip(BLANK)
            first = begin[: len(FRAMED)].lower()
            if len(first) == len(FRAMED) or not FRAMED.startswith(first):
                blank = len(self._first) - len(begin)
                self._outbound = SentFrames(blank) if first == FRAMED else SentLines(blank)
                self._add(begin)
        else:
            self._add(data)

    def _add(self, data: bytes) -> None:
        assert self._outbound is not None
        lost = self._outbound.lost
        for text, end in self._outbound.add(data):
            self._message(text, end)
        self._size(self._outbound.begun())
        if self._outbound.lost and not lost:
            self._conversation.unreadable()

    def _message(self, text: bytes, end: int) -> None:
        self._size(len(text))
        self._judged = 0
        if len(text) <= self._most and (text.strip(BLANK) or isinstance(self._outbound, SentFrames)):
            self._conversation.sent(text, end)

    def _size(self, size: int) -> None:
        """The message in progress has this size, or a larger one. Count it if it is, or may be, too large."""
        if self._judged <= self._least < size:
            self._perhaps += 1
            self._conversation.unreadable()
        if self._judged <= self._most < size:
            self._perhaps -= 1
            self._large += 1
        self._judged = max(self._judged, size)

    def sent_end(self) -> None:
        if self._outbound is None and self._first.strip(BLANK):
            self._outbound = SentLines()
            self._add(self._first)
        last = None if self._outbound is None else self._outbound.last()
        if last is not None:
            self._message(*last)
        elif self._outbound is not None and self._outbound.unfinished:
            self._conversation.unreadable()

    # The server

    def received(self, data: bytes) -> None:
        self._inbound.extend(data)
        framed = isinstance(self._outbound, SentFrames)
        self._must(self._outbound is not None, "pipes: the server speaks before the client", data[:80])
        while (text := self._take_frame() if framed else self._take_line()) is not None:
            self._on_text(text)

    def _take_line(self) -> bytes | None:
        buffer = self._inbound
        end = buffer.find(b"\n")
        if end < 0:
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        self._must(line.strip(BLANK) and b"\r" not in line, "pipes: a line is no text", line[:80])
        return line

    def _take_frame(self) -> bytes | None:
        buffer = self._inbound
        end = buffer.find(b"\r\n\r\n") + 4
        if end < 4:
            self._must(len(buffer) < 64, "pipes: a head is not a Content-Length", bytes(buffer[:80]))
            return None
        head = HEAD.fullmatch(bytes(buffer[:end]))
        self._must(head, "pipes: a head is not a Content-Length", bytes(buffer[:80]))
        stop = end + int(head[1] if head else 0)
        if len(buffer) < stop:
            return None
        text = bytes(buffer[end:stop])
        del buffer[:stop]
        return text

    def _on_text(self, text: bytes) -> None:
        self._invalid += sum(map(text.count, INVALID))
        try:
            code = self._conversation.received(text)
        except ValueError as error:
            self._must(False, f"answering: {error}", text[:200])
            return
        outbound = self._outbound
        if code == TOO_LARGE and outbound is not None and not outbound.lost:
            self._large -= 1
            self._must(self._large + self._perhaps >= 0, "limits: a message within the limit was refused as too large")

    def received_end(self) -> None:
        self._must(not self._inbound, "pipes: the output ends within a message", bytes(self._inbound[:80]))
        end = self._end
        if end is None or end.input_ended is None or end.full or self._lenient or self._draining or self._shuts_out:
            return
        allowed = self._facts.config.max_bad_messages
        if allowed is not None and self._invalid >= allowed:
            return  # and nobody answers what follows
        outbound = self._outbound
        if outbound is not None and outbound.lost and end.delivered > outbound.lost_behind:
            return  # a head that cannot be read ends the connection
        if end.at < end.input_ended + self._facts.config.stdio_grace:
            unanswered = self._conversation.unanswered(end.delivered)
            self._must(not unanswered, "answering: a pipe ends, and a request before its end has no answer", unanswered)
            self._must(self._large <= 0, "limits: a message above the limit has no answer")
