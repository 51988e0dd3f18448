"""How long a client waits: at half load among 512 connections, and beside clients that take much."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final

import msgspec

from benchmarks.figures import Question, rounds_of
from benchmarks.load.closed_loop import Point, load, open_connections
from benchmarks.load.dialects import DIALECTS, MESSAGE, message
from benchmarks.load.holder import held
from benchmarks.load.open_loop import Latency, Pace, paced
from benchmarks.load.plain import Plain, open_websockets
from benchmarks.servers.catalogue import OURS, available
from benchmarks.servers.host import Host, host

from .broadcast import SPREAD
from .calls import started

ROUNDS: Final = 3
SECONDS: Final = 2.0
MANY: Final = Point("websocket", 512)
CONTESTANTS: Final = (*OURS, "ws")
FASTEST: Final = 30_000.0
"""The most requests a second that one load can send at their times."""

GOOD: Final = Point("websocket", 8)
EVERY: Final = 0.005
"""The connections of the good client, and the seconds between two of its calls."""

RECEIVERS: Final = 1_000
BROADCAST_EVERY: Final = 0.25
BROADCAST_SIZE: Final = 10_000
"""Bytes to each of a thousand: 10 MB a broadcast."""

BATCH: Final = 100


def at_half_load(runs: int) -> dict[str, Question]:
    """Calls at random times, half as many as the server can answer."""
    with ExitStack() as stack:
        hosts = [started(server, MANY, stack) for server in available(*CONTESTANTS)]
        measures = {each.server.name: partial(half_loaded, each, MANY, SECONDS) for each in hosts}
        return {"half load": rounds_of(measures, min(runs, ROUNDS), warm_up=False)}


def half_loaded(running: Host, point: Point, seconds: float) -> Latency:
    """The latency at half the rate that takes all of the server's core."""
    capacity = 1 / load(running, point, seconds / 4).cpu
    return paced(running, point, min(capacity / 2, FASTEST), seconds)


def beside_others(runs: int) -> dict[str, Question]:
    """A good client, which makes a call every 5 ms: alone, beside broadcasts of 10 MB, beside batches of 100."""
    questions = {}
    with ExitStack() as stack:
        hosts = [stack.enter_context(host(server)) for server in available("posthouse", "posthouse-uvloop")]
        for name, disturb in DISTURBANCES.items():
            if disturb is broadcasts:
                for each in hosts:
                    stack.enter_context(held(each.port, RECEIVERS))
            measures = {each.server.name: partial(beside, each, disturb, SECONDS) for each in hosts}
            questions[name] = rounds_of(measures, min(runs, ROUNDS), warm_up=False)
    return questions


Disturb = Callable[[Pace, Plain], None]
"""Let another client disturb, over this connection."""


def beside(running: Host, disturb: Disturb, seconds: float) -> Latency:
    """The latency of the good client while another disturbs."""
    with ExitStack() as stack:
        pace = Pace(open_connections(running, GOOD, stack), lambda: EVERY)
        (other,) = open_websockets(running.port, 1)
        stack.callback(other.socket.close)
        disturb(pace, other)
        return pace.run(seconds)


def nothing(_: Pace, __: Plain) -> None:
    """Do nothing."""


def broadcasts(pace: Pace, other: Plain) -> None:
    """Broadcast a text, four times a second."""
    spread = SPREAD % msgspec.json.encode(message(BROADCAST_SIZE))

    def receive() -> None:
        other.texts()

    pace.others[other.socket.fileno()] = receive
    pace.every = (BROADCAST_EVERY, lambda: other.send(spread))


def batches(pace: Pace, other: Plain) -> None:
    """Send a batch of 100 calls, and the next when it is answered."""
    texts = DIALECTS["json-rpc"]
    batch = b"[%b]" % b",".join(texts.ask(id, MESSAGE) for id in range(1, BATCH + 1))
    known: dict[bytes, None] = {}

    def receive() -> None:
        for text in other.texts():
            if text not in known:
                replies = dict(texts.read(bytes(reply)) for reply in msgspec.json.decode(text, type=list[msgspec.Raw]))
                assert replies == dict.fromkeys(range(1, BATCH + 1), MESSAGE), text
                known[text] = None
            other.send(batch)

    pace.others[other.socket.fileno()] = receive
    other.send(batch)


DISTURBANCES: Final[dict[str, Disturb]] = {
    "good client alone": nothing,
    "good client beside batches": batches,
    "good client beside broadcasts": broadcasts,
}
