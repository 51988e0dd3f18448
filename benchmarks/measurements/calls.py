"""What a call costs the server: over each transport, for several shapes of load."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final

from benchmarks.figures import Question, Questions, rounds_of
from benchmarks.load.closed_loop import Point, load, warm
from benchmarks.servers.catalogue import OURS, Server, Transport, available, speaking
from benchmarks.servers.host import Host, host

SECONDS: Final = 0.3
"""How long one load counts."""

WEBSOCKET: Final = Point("websocket")
HTTP: Final = Point("http")
NEW_HEADS: Final = Point("http", new_heads=True)

FURTHER: Final[dict[Transport, tuple[Point, ...]]] = {
    "websocket": tuple(Point("websocket", *shape) for shape in ((64, 1, 4096), (64, 1, 65536), (8, 8), (1, 1))),
    "http": (NEW_HEADS, *(Point("http", *shape) for shape in ((64, 1, 4096), (64, 1, 65536), (8, 8), (1, 1)))),
}
"""The shapes that only the nearest rivals are measured at."""

RIVALS: Final[dict[Transport, tuple[str, ...]]] = {
    "websocket": ("floor", *OURS, "picows", "ws"),
    "http": ("floor", *OURS, "node-http", "starlette"),
}


def over_websocket(runs: int) -> dict[str, Question]:
    """Calls over WebSockets."""
    return calls(WEBSOCKET, runs)


def over_http(runs: int) -> dict[str, Question]:
    """Calls over HTTP."""
    return calls(HTTP, runs)


def calls(first: Point, runs: int) -> dict[str, Question]:
    """All servers at the first point, and the rivals at the further ones."""
    with ExitStack() as stack:
        hosts = {server.name: started(server, first, stack) for server in speaking(first.transport)}
        rivals = [hosts[server.name] for server in available(*RIVALS[first.transport])]
        questions = Questions()
        questions.ask(first.name, partial(at, first, list(hosts.values()), runs))
        for point in FURTHER[first.transport]:
            questions.ask(point.name, partial(at, point, rivals, runs))
        return questions


def started(server: Server, point: Point, stack: ExitStack) -> Host:
    """Start a server until the stack is closed, and warm it up if it runs in node."""
    running = stack.enter_context(host(server))
    if server.in_node:
        warm(running, point)
    return running


def at(point: Point, hosts: Sequence[Host], runs: int, seconds: float = SECONDS, *, warm_up: bool = True) -> Question:
    """These servers at one point."""
    loads = {host.server.name: partial(load, host, point, seconds) for host in hosts}
    return rounds_of(loads, runs, warm_up=warm_up)
