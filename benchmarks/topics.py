"""What topics cost: the bytes of a subscription and of a topic, and a publication beside a broadcast.

    python -m benchmarks.topics [--subscribers 100 1000 10000]

The machines are driven without sockets, in this process: a switchboard with pipes, which includes the framing of every
publication and one action for each subscriber. Bytes are those that Python has allocated (tracemalloc).
"""

from __future__ import annotations

import argparse
import gc
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final

from msgspec import json
from posthouse.core import Address, Config, Gateway, Service, SocketId
from posthouse.transports import Switchboard

SAMPLE: Final = 2_000
"""Connections, subscriptions and topics that are counted for the bytes of one."""

ROUNDS: Final = 30
DATA: Final = {"text": "x" * 64}

CONFIG: Final = Config(max_connections=10**6, max_in_head=10**6, max_topics=10**6, idle_timeout=None)


def offered() -> Service:
    """Topics with and without history."""
    service = Service("topics", public=True)
    service.topic("plain.*")
    service.topic("kept.*", history=100)
    return service


def machine() -> Switchboard:
    """A switchboard without sockets."""
    return Switchboard(Gateway(offered(), CONFIG, wall=0.0, entropy=_Counter().entropy))


class _Counter:
    def __init__(self) -> None:
        self.drawn = 0

    def entropy(self, size: int) -> bytes:
        """Bytes that were not drawn before."""
        self.drawn += 1
        return self.drawn.to_bytes(size, "big")


def open_pipes(board: Switchboard, number: int) -> list[SocketId]:
    """Open so many pipes."""
    sockets = []
    for _ in range(number):
        socket = board.opened(Address(transport="pipe"), 0.0)
        assert socket is not None
        sockets.append(socket)
    board.outbox.clear()
    return sockets


def call(board: Switchboard, socket: SocketId, method: str, **params: object) -> None:
    """Call a method over a pipe."""
    text = json.encode({"jsonrpc": "2.0", "method": method, "params": params, "id": 1})
    board.received(socket, text + b"\n", 0.0)
    board.outbox.clear()


def allocated(work: Callable[[], object]) -> int:
    """The bytes that this work leaves allocated."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        work()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before


def subscription_bytes(each: int, number: int = SAMPLE) -> float:
    """The bytes of one subscription, if each connection has so many, to topics that all of them share."""
    board = machine()
    sockets = open_pipes(board, number)
    for topic in range(each):
        call(board, sockets[0], "topic.subscribe", topic=f"plain.{topic}")
    names = [f"plain.{topic}" for topic in range(each)]
    for socket in sockets:
        call(board, socket, "topic.history", topic="plain.0", limit=1)  # its first call takes a table for calls

    def subscribe() -> None:
        for socket in sockets[1:]:
            for name in names:
                call(board, socket, "topic.subscribe", topic=name)

    return allocated(subscribe) / (each * (number - 1))


def topic_bytes(number: int = SAMPLE) -> float:
    """The bytes of one topic without history, and without subscribers."""
    board = machine()

    def publish() -> None:
        for topic in range(number):
            board.publish(f"plain.{topic}", 1, 0.0)
            board.outbox.clear()

    return allocated(publish) / number


def seconds(work: Callable[[], object]) -> float:
    """The shortest time of this work."""
    times = []
    for _ in range(ROUNDS):
        began = perf_counter()
        work()
        times.append(perf_counter() - began)
    return min(times)


def spread_seconds(number: int) -> tuple[float, float, float]:
    """The time of a broadcast to so many pipes, of a publication to as many, and of one with history."""
    board = machine()
    for socket in open_pipes(board, number):
        for topic in ("plain.a", "kept.a"):
            call(board, socket, "topic.subscribe", topic=topic)

    def done(work: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            work()
            board.outbox.clear()

        return run

    return (
        seconds(done(lambda: board.broadcast("tick", DATA, 0.0))),
        seconds(done(lambda: board.publish("plain.a", DATA, 0.0))),
        seconds(done(lambda: board.publish("kept.a", DATA, 0.0))),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print all figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.topics", description="What topics cost.")
    parser.add_argument("--subscribers", type=int, nargs="+", default=[100, 1_000, 10_000])
    arguments = parser.parse_args(argv)
    for each in (1, 3):
        sys.stdout.write(f"a subscription, {each} a connection: {subscription_bytes(each):.0f} bytes\n")
    sys.stdout.write(f"a topic without history: {topic_bytes():.0f} bytes\n")
    for number in arguments.subscribers:
        broadcast, plain, kept = (1e6 * each / number for each in spread_seconds(number))
        sys.stdout.write(
            f"to {number:,}: a broadcast {broadcast:.3f} µs a subscriber, a publication {plain:.3f} "
            f"(x {plain / broadcast:.2f}), with history {kept:.3f} (x {kept / broadcast:.2f})\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
