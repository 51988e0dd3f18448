"""Each codec alone: the bytes of a request to what the switchboard is told, and a reply to its bytes.

Each function of a codec carries so many requests and returns the CPU seconds that they took.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import process_time
from typing import Any, Final

import msgspec
from posthouse.core import Config
from posthouse.transports.codec import Exchange, Text
from posthouse.transports.http.server import Http1
from posthouse.transports.pipes.content_length import ContentLengthFraming
from posthouse.transports.pipes.newline import NewlineFraming
from posthouse.transports.policy import Policy
from posthouse.transports.websocket.server import WebSocket

from benchmarks.figures import Question, interleaved
from benchmarks.load.framing import Posts, masked

from .core_alone import REQUEST, RESPONSE

REQUESTS: Final = 5_000
"""How many are carried in one round."""

REPLY: Final = msgspec.json.encode(RESPONSE)


def http1(requests: int) -> float:
    """HTTP/1.1: a POST on a connection that is kept alive, and its 200."""
    codec = Http1(Config(), Policy(), 0.0)
    request = Posts(new=False)(REQUEST)
    began = process_time()
    for _ in range(requests):
        codec.receive_data(request, 0.0)
        codec.output.clear()
        codec.answer(REPLY, None, None, 0.0)
        codec.output.clear()
        codec.proceed(0.0)
    seconds = process_time() - began
    codec.receive_data(request, 0.0)
    assert [output.data for output in codec.output if type(output) is Exchange] == [REQUEST]
    return seconds


def websocket(requests: int) -> float:
    """WebSocket: a masked text frame, and an unmasked one."""
    return carry(WebSocket(Config(), deflate=False, binary=False, now=0.0), masked(REQUEST), requests)


def lines(requests: int) -> float:
    """Newline-delimited JSON."""
    return carry(NewlineFraming(Config()), REQUEST + b"\n", requests)


def headers(requests: int) -> float:
    """Content-Length framing."""
    return carry(ContentLengthFraming(Config()), b"Content-Length: %d\r\n\r\n%b" % (len(REQUEST), REQUEST), requests)


def carry(codec: Any, request: bytes, requests: int) -> float:
    """The same for codecs of connections that last."""
    began = process_time()
    for _ in range(requests):
        codec.receive_data(request, 0.0)
        codec.output.clear()
        codec.frame(REPLY)
    seconds = process_time() - began
    codec.receive_data(request, 0.0)
    assert [output.data for output in codec.output if type(output) is Text] == [REQUEST]
    return seconds


CODECS: Final[dict[str, Callable[[int], float]]] = {
    "HTTP/1.1": http1,
    "WebSocket": websocket,
    "lines": lines,
    "Content-Length": headers,
}


def alone(runs: int) -> dict[str, Question]:
    """All codecs."""
    measured = interleaved({name: partial(per_request, codec) for name, codec in CODECS.items()}, runs)
    return {"codecs": {name: {"cpu": seconds} for name, seconds in measured.items()}}


def per_request(codec: Callable[[int], float]) -> float:
    """CPU seconds for a request and its reply."""
    return codec(REQUESTS) / REQUESTS
