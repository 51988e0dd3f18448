"""The closed loop: each connection has so many requests in flight, and asks again when all connections are answered.

So requests arrive in waves, as fast as the kernel takes them. If each connection asked again at once, a server that is
faster than the load would be woken for each single request, and one that is slower would be handed many at a time: the
costs of the two could not be compared.
"""

from __future__ import annotations

from contextlib import ExitStack
from time import perf_counter
from typing import Final

from msgspec import Struct

from benchmarks.servers.catalogue import Transport
from benchmarks.servers.host import Host

from .connection import Connection, Shape
from .dialects import DIALECTS, FIRST_ID
from .readiness import Readiness

SILENCE: Final = 20.0
"""Seconds without a reply after which a measurement fails."""


class Point(Struct, frozen=True):
    """What is asked: over which transport, by how many connections, each with so many requests of `size` bytes in
    flight. `new_heads`: the heads of HTTP requests all differ."""

    transport: Transport
    connections: int = 64
    depth: int = 1
    size: int = 80
    new_heads: bool = False

    @property
    def name(self) -> str:
        """The name under which its figures are kept."""
        heads = " new heads" if self.new_heads else ""
        return f"{self.transport} {self.connections}×{self.depth}×{self.size}{heads}"


class Measured(Struct, frozen=True):
    """One load: CPU seconds of the server for each call, and quantiles of the latency in seconds."""

    cpu: float
    p50: float
    p99: float


def quantile(sorted_values: list[float], share: float) -> float:
    """Return the value below which that share of the values lies."""
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def load(host: Host, point: Point, seconds: float, warm_up: float | None = None) -> Measured:
    """Load a server for so many seconds, after others to warm up (default: a quarter as many)."""
    with ExitStack() as stack:
        connections = open_connections(host, point, stack)
        waves = Waves(host.server.name, connections, point.depth)
        stack.callback(waves.close)
        ends = perf_counter() + (seconds / 4 if warm_up is None else warm_up)
        waves.run()
        while perf_counter() < ends:
            waves.run()
        waves.latencies.clear()
        cpu, began = host.cpu(), perf_counter()
        waves.run()
        while perf_counter() < began + seconds:
            waves.run()
        cpu = (host.cpu() - cpu) / len(waves.latencies)
        latencies = sorted(waves.latencies)
        return Measured(cpu, quantile(latencies, 0.5), quantile(latencies, 0.99))


def warm(host: Host, point: Point, waves: int = 300) -> None:
    """Make so many waves, for servers whose machine code is made while they run."""
    with ExitStack() as stack:
        running = Waves(host.server.name, open_connections(host, point, stack), point.depth)
        stack.callback(running.close)
        for _ in range(waves):
            running.run()


class Waves:
    """Requests on all connections, `depth` on each, and the next ones when all are answered. `latencies`: of all
    requests, in seconds."""

    def __init__(self, name: str, connections: list[Connection], depth: int) -> None:
        self.latencies: Final[list[float]] = []
        self._name: Final = name
        self._depth: Final = depth
        self._by_descriptor: Final = {connection.socket.fileno(): connection for connection in connections}
        self._readiness: Final = Readiness()
        for connection in connections:
            self._readiness.watch(connection.socket)

    def run(self) -> None:
        """Send one wave, and wait for its replies."""
        depth, latencies = self._depth, self.latencies
        for connection in self._by_descriptor.values():
            connection.ask(depth)
        waiting = depth * len(self._by_descriptor)
        while waiting:
            ready = self._readiness.wait(SILENCE)
            if not ready:
                raise TimeoutError(f"{self._name} does not answer")
            for descriptor, _ in ready:
                answered = self._by_descriptor[descriptor].receive()
                now = perf_counter()
                latencies += [now - sent for sent in answered]
                waiting -= len(answered)

    def close(self) -> None:
        """Send no more."""
        self._readiness.close()


def open_connections(host: Host, point: Point, stack: ExitStack) -> list[Connection]:
    """Open the connections of a load. The stack closes them."""
    shape = Shape(DIALECTS[host.server.dialect], point.transport, point.size, new_heads=point.new_heads)
    connections = []
    for number in range(point.connections):
        connection = Connection(host.port, shape, point.depth, FIRST_ID + number * 2 * point.depth)
        stack.callback(connection.close)
        connections.append(connection)
    return connections
