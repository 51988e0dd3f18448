"""How the cost of a call grows: with the connections that are held, with the size of a message, with the depth.

Beside the connections: what a disconnect costs while others are held.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from time import perf_counter, sleep
from typing import Final

from msgspec import Struct

from benchmarks.figures import Question, Questions, rounds_of
from benchmarks.load.closed_loop import Point
from benchmarks.load.holder import held
from benchmarks.load.plain import open_websockets
from benchmarks.machine import allow_descriptors
from benchmarks.servers.catalogue import Transport, available
from benchmarks.servers.host import Host

from .calls import at, started

ROUNDS: Final = 3
"""A curve has many points, each of so many rounds at most."""

SIZES: Final = (64, 1024, 16 * 1024, 128 * 1024, 1024 * 1024)
DEPTHS: Final = (1, 4, 16, 64)
ACTIVE: Final = (1, 8, 64)
HELD: Final = (1_000, 4_000, 10_000)
CURVES: Final[dict[Transport, tuple[str, ...]]] = {
    "websocket": ("floor", "posthouse", "picows", "ws"),
    "http": ("floor", "posthouse", "node-http"),
}
AMONG_OTHERS: Final = ("floor", "posthouse", "ws")

DISCONNECTS: Final = 500
BACKGROUND: Final = 0.2
"""Seconds in which the heartbeats of those that stay are measured before a disconnect."""


def with_size(runs: int) -> dict[str, Question]:
    """Cost against payload: 16 connections."""
    return curve([(Point(transport, 16, 1, size)) for transport in CURVES for size in SIZES], runs)


def with_depth(runs: int) -> dict[str, Question]:
    """Cost against depth: 8 connections."""
    return curve([(Point(transport, 8, depth)) for transport in CURVES for depth in DEPTHS], runs)


def curve(points: list[Point], runs: int) -> dict[str, Question]:
    """Each server at each point."""
    questions = Questions()
    with ExitStack() as stack:
        hosts = {
            server.name: started(server, Point(server.transports[0]), stack)
            for server in available(*dict.fromkeys(name for names in CURVES.values() for name in names))
        }
        for point in points:
            rivals = [hosts[name] for name in CURVES[point.transport] if name in hosts]
            questions.ask(f"growth {point.name}", partial(at, point, rivals, min(runs, ROUNDS), 0.25, warm_up=False))
    return questions


def with_connections(runs: int) -> dict[str, Question]:
    """Cost against connections: 1, 8 and 64 that are active, then others that are held beside the 64."""
    questions = Questions()
    most = allow_descriptors() - 200
    with ExitStack() as stack:
        hosts = [started(server, Point("websocket"), stack) for server in available(*AMONG_OTHERS)]
        rounds = min(runs, ROUNDS)

        def ask(name: str, active: int) -> None:
            point = Point("websocket", active)
            questions.ask(f"connections {name}", partial(at, point, hosts, rounds, 0.25, warm_up=False))

        for active in ACTIVE:
            ask(str(active), active)
        questions.ask("disconnects 0", partial(disconnects, hosts, rounds))
        before = 0
        for number in HELD:
            if number > most:
                break
            try:
                for each in hosts:
                    stack.enter_context(held(each.port, number - before))
            except ConnectionError as error:
                questions.lost.append(f"connections {number} were not measured: {error}")
                break
            before = number
            ask(str(number), 64)
            questions.ask(f"disconnects {number}", partial(disconnects, hosts, rounds))
    return questions


class Disconnect(Struct, frozen=True):
    """CPU seconds of the server for each disconnect."""

    cpu: float


def disconnects(hosts: list[Host], runs: int) -> Question:
    """What it costs each of these servers that a client goes."""
    return rounds_of({each.server.name: partial(disconnect, each) for each in hosts}, runs, warm_up=False)


def disconnect(each: Host, number: int = DISCONNECTS) -> Disconnect:
    """Open so many WebSockets, and close them all at once. The heartbeats of the others do not count."""
    opened = open_websockets(each.port, number)
    each.rest()
    idle, began = each.cpu(), perf_counter()
    sleep(BACKGROUND)
    before, at = each.cpu(), perf_counter()
    background = (before - idle) / (at - began)
    for plain in opened:
        plain.socket.close()
    each.rest()
    used = each.cpu() - before - background * (perf_counter() - at)
    return Disconnect(max(0.0, used) / number)
