"""A peer that keeps no rules: raw bytes and raw frames on a board, and what came back of them."""

from __future__ import annotations

import gc
import random
import re
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from msgspec.json import decode
from posthouse.core import Invoke
from posthouse.core.values.peers import SocketId
from posthouse.transports.websocket.frames import CLOSE, FIN, RSV1, TEXT, masked_frame

from tests.transports.board import HERE, Board

KEY = b"\x00\x00\x00\x00"
"""A mask that leaves payloads as they are: a peer may choose it."""

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%b\r\n"
)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


class Held(Board):
    """A board on which no handler ends unless the test says so."""

    def invoke(self, action: Invoke) -> None:
        self.waiting.append(action)


class Attacker:
    """One socket that was upgraded to a WebSocket, without a client's codec behind it."""

    def __init__(self, board: Board, *, deflate: bool = False) -> None:
        self.board = board
        self.socket = board.open(HERE)
        answer = board.feed(self.socket, UPGRADE % (DEFLATE if deflate else b""))
        assert answer.startswith(b"HTTP/1.1 101 ")
        self._unread = b""

    def send(self, data: bytes) -> list[tuple[int, bytes]]:
        """Raw bytes; the frames that came back."""
        self._unread += self.board.feed(self.socket, data)
        return self.frames()

    def say(self, text: bytes, first: int = FIN | TEXT) -> list[tuple[int, bytes]]:
        """One frame, masked as it should be; the frames that came back."""
        return self.send(frame(text, first))

    def tell(self, text: bytes) -> None:
        """One text; what comes back is left to `frames` and `messages`."""
        self._unread += self.board.feed(self.socket, frame(text))

    def frames(self) -> list[tuple[int, bytes]]:
        """The frames that came since the last time: their first byte and their payload."""
        self._unread += self.board.take(self.socket)
        found = list(parse(self._unread))
        self._unread = b""
        return found

    def messages(self) -> list[Any]:
        """What the texts said that came since the last time."""
        return [decode(payload) for first, payload in self.frames() if first == FIN | TEXT]

    @property
    def over(self) -> bool:
        """Was the socket closed by us?"""
        return self.socket in self.board.closed


def frame(payload: bytes, first: int = FIN | TEXT) -> bytes:
    """One frame of a client."""
    return masked_frame(first, payload, KEY)


def compressed(data: bytes) -> bytes:
    """One frame that says it is compressed."""
    return frame(data, FIN | RSV1 | TEXT)


def parse(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The frames of a server, whole and unmasked."""
    while data:
        size, at = data[1], 2
        if size > 125:
            at = 4 if size == 126 else 10
            size = int.from_bytes(data[2:at], "big")
        assert len(data) >= at + size, "half a frame"
        yield data[0], data[at : at + size]
        data = data[at + size :]


def close_codes(frames: list[tuple[int, bytes]]) -> list[int]:
    """The codes of the close frames among them."""
    return [int.from_bytes(payload[:2], "big") for first, payload in frames if first == FIN | CLOSE]


def status(answer: bytes) -> int:
    """The status of an HTTP answer."""
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer[9:12])


def answers(data: bytes) -> int:
    """How many HTTP answers there are in it."""
    return len(re.findall(rb"HTTP/1\.1 [0-9]{3} ", data))  # a body need not end with a line break


def content(answer: bytes) -> Any:
    """The JSON of an HTTP answer's body."""
    return decode(answer.partition(b"\r\n\r\n")[2])


def cuts(data: bytes, times: int = 3) -> Iterator[list[bytes]]:
    """The same bytes in one piece, byte by byte, and cut at a few places chosen by chance, the same every time."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    chance = random.Random(len(data))
    for _ in range(times):
        places = sorted({0, len(data), *(chance.randrange(len(data)) for _ in range(5))})
        yield [data[start:end] for start, end in pairwise(places)]


def feed_all(board: Board, socket: SocketId, pieces: list[bytes]) -> bytes:
    """Feed them one after another; all that was written."""
    return b"".join([board.feed(socket, piece) for piece in pieces])


def peak(run: Callable[[], object]) -> int:
    """The most bytes that were allocated at once while it ran, above what there was before."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        run()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
