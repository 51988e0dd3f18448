"""The open loop: requests leave at times that do not depend on the replies, as those of many independent clients do.

If all connections wait for a reply, the latency of the next request counts from the time at which it was due: a server
that stalls cannot hide it. If the load itself is late, it does not count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, closing
from random import Random
from time import perf_counter

from msgspec import Struct

from benchmarks.servers.host import Host

from .closed_loop import SILENCE, Point, open_connections, quantile
from .connection import Connection
from .readiness import Readiness

SEED = 7


class Latency(Struct, frozen=True):
    """Quantiles of the latency, in seconds."""

    p50: float
    p99: float


def paced(host: Host, point: Point, rate: float, seconds: float) -> Latency:
    """Send so many requests a second at random times, for so many seconds."""
    chance = Random(SEED)
    with ExitStack() as stack:
        connections = open_connections(host, point, stack)
        return Pace(connections, lambda: chance.expovariate(rate)).run(seconds)


class Pace:
    """Requests over some connections, one in flight on each, with a pause before each that `pause` gives.

    Clients that disturb take part: `others` are the descriptors of their sockets, with the functions that read them,
    and `every` is something that they do at an interval in seconds.
    """

    def __init__(self, connections: list[Connection], pause: Callable[[], float]) -> None:
        self._free = deque(connections)
        self._by_descriptor = {connection.socket.fileno(): connection for connection in connections}
        self._pause = pause
        self._since: dict[Connection, float] = {}
        self.others: dict[int, Callable[[], None]] = {}
        self.every: tuple[float, Callable[[], None]] | None = None

    def run(self, seconds: float) -> Latency:
        """Send for so many seconds, and wait for the last replies."""
        latencies: list[float] = []
        with closing(Readiness()) as readiness:
            for connection in self._by_descriptor.values():
                readiness.watch(connection.socket)
            for descriptor in self.others:
                readiness.watch(Number(descriptor))
            now = perf_counter()
            ends, due = now + seconds, now
            interval, act = self.every or (seconds, lambda: None)
            next_act = now + interval
            starved = False
            while due < ends or self._since:
                now = perf_counter()
                while due <= now and due < ends and self._free:
                    connection = self._free.popleft()
                    self._since[connection] = due if starved else now
                    connection.ask()
                    due += self._pause()
                starved = due <= now and not self._free
                if next_act <= now < ends:
                    next_act += interval
                    act()
                if now > ends + SILENCE:
                    raise TimeoutError("the server does not answer")
                early = due - perf_counter() if due < ends and self._free else 0.1
                for descriptor, _ in readiness.wait(early if early > 0.002 else 0.0):
                    if descriptor in self.others:
                        self.others[descriptor]()
                        continue
                    connection = self._by_descriptor[descriptor]
                    if connection.receive():
                        latencies.append(perf_counter() - self._since.pop(connection))
                        self._free.append(connection)
        latencies.sort()
        return Latency(quantile(latencies, 0.5), quantile(latencies, 0.99))


class Number(Struct, frozen=True):
    """A descriptor, as an object that has one."""

    descriptor: int

    def fileno(self) -> int:
        """Return it."""
        return self.descriptor
