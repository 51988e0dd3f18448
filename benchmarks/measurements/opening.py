"""What connections cost: accepting them with their handshake, and their memory while nothing happens on them."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from time import perf_counter, sleep
from typing import Final

from msgspec import Struct

from benchmarks.figures import Question, rounds_of
from benchmarks.load.holder import held
from benchmarks.load.plain import open_websockets
from benchmarks.machine import allow_descriptors
from benchmarks.servers.catalogue import SERVERS, available
from benchmarks.servers.host import Host, host

HANDSHAKES: Final = 500
IDLE: Final = 2_000
MANY: Final = 20_000
PER_HOLDER: Final = 10_000
HEARTBEATS: Final = 26.0
"""Seconds in which each idle connection is sent one heartbeat at least."""

ACCEPTING: Final = ("floor", "posthouse", "posthouse-uvloop", "posthouse-trio", "picows", "websockets", "ws")
HOLDING: Final = ("floor", "posthouse", "posthouse-uvloop", "picows", "websockets", "aiohttp", "starlette", "ws")


class Opened(Struct, frozen=True):
    """CPU seconds of the server for an accept and a handshake, and how many a second it made."""

    cpu: float
    rate: float


class Held(Struct, frozen=True):
    """Resident bytes of one idle WebSocket."""

    bytes: float


class Idle(Struct, frozen=True):
    """The share of a core that idle connections take, with their heartbeats, and how many were held."""

    share: float
    held: float


def handshakes(runs: int) -> dict[str, Question]:
    """Accepts and handshakes."""
    with ExitStack() as stack:
        hosts = [stack.enter_context(host(server)) for server in available(*ACCEPTING)]
        return {"handshakes": rounds_of({each.server.name: partial(handshake, each) for each in hosts}, runs)}


def handshake(each: Host, number: int = HANDSHAKES) -> Opened:
    """Open so many WebSockets in bursts."""
    before, began = each.cpu(), perf_counter()
    opened = open_websockets(each.port, number)
    cpu, seconds = each.cpu() - before, perf_counter() - began
    for plain in opened:
        plain.socket.close()
    each.rest()
    return Opened(cpu / number, number / seconds)


def memory(runs: int) -> dict[str, Question]:
    """Idle WebSockets, each time in a fresh process."""
    allow_descriptors()
    measures = {server.name: partial(idle_bytes, server.name, IDLE) for server in available(*HOLDING)}
    return {"memory": rounds_of(measures, min(runs, 2), warm_up=False)}


def idle_bytes(name: str, number: int) -> Held:
    """Open so many WebSockets beside as many others: the first find room that the server had already."""
    with host(SERVERS[name]) as running, ExitStack() as stack:
        resident = []
        for _ in range(2):
            for plain in open_websockets(running.port, number):
                stack.callback(plain.socket.close)
            running.rest()
            resident.append(running.resident())
        return Held((resident[1] - resident[0]) / number)


def heartbeats(_: int) -> dict[str, Question]:
    """Many idle WebSockets, once."""
    number = min(MANY, allow_descriptors() - 200)
    return {"idle": rounds_of({"posthouse": partial(idle_share, "posthouse", number, HEARTBEATS)}, 1, warm_up=False)}


def idle_share(name: str, number: int, seconds: float) -> Idle:
    """Hold so many WebSockets for so many seconds."""
    with host(SERVERS[name]) as running, ExitStack() as stack:
        for first in range(0, number, PER_HOLDER):
            stack.enter_context(held(running.port, min(PER_HOLDER, number - first)))
        running.rest(2.0)
        before = running.cpu()
        sleep(seconds)
        return Idle((running.cpu() - before) / seconds, number)
