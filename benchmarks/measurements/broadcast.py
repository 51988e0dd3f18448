"""A broadcast to a thousand connections: ours, raw writes, picows, `websockets.broadcast`, node `ws`."""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import partial
from time import perf_counter
from typing import Final

import msgspec

from benchmarks.figures import Question, rounds_of
from benchmarks.load.dialects import MESSAGE
from benchmarks.load.plain import Plain, open_websockets
from benchmarks.load.readiness import Readiness
from benchmarks.machine import allow_descriptors
from benchmarks.servers.catalogue import available
from benchmarks.servers.host import Host, host

RECEIVERS: Final = 1_000
TIMES: Final = 25
CONTESTANTS: Final = ("floor", "posthouse", "posthouse-uvloop", "posthouse-trio", "picows", "websockets", "ws")

SPREAD: Final = b'{"jsonrpc":"2.0","method":"spread","params":[%s],"id":1}'
TICK: Final = {"jsonrpc": "2.0", "method": "tick"}


class Broadcast(msgspec.Struct, frozen=True):
    """One broadcast: CPU seconds of the server, and seconds until the last one had it."""

    cpu: float
    seconds: float


def to_a_thousand(runs: int) -> dict[str, Question]:
    """One short text to all."""
    allow_descriptors()
    questions = {}
    with ExitStack() as stack:
        measures = {}
        for server in available(*CONTESTANTS):
            running = stack.enter_context(host(server))
            receivers = open_websockets(running.port, RECEIVERS)
            for plain in receivers:
                stack.callback(plain.socket.close)
            measures[server.name] = partial(broadcast, running, receivers, TIMES)
        questions[f"broadcast to {RECEIVERS}"] = rounds_of(measures, runs)
    return questions


def broadcast(running: Host, receivers: list[Plain], times: int, message: str = MESSAGE) -> Broadcast:
    """Have the first of the receivers spread a text so many times, each time when all have the one before."""
    spread = SPREAD % msgspec.json.encode(message)
    with closing(Readiness()) as readiness:
        by_descriptor = {plain.socket.fileno(): plain for plain in receivers}
        for plain in receivers:
            readiness.watch(plain.socket)
        known: dict[bytes, int] = {}
        before, began = running.cpu(), perf_counter()
        for _ in range(times):
            receivers[0].send(spread)
            ticks = replies = 0
            while ticks < len(receivers) or not replies:
                for descriptor, _ in readiness.wait(20.0):
                    for text in by_descriptor[descriptor].texts():
                        is_tick = known.get(text)
                        if is_tick is None:
                            known[text] = is_tick = meaning(text, message, len(receivers))
                        ticks += is_tick
                        replies += 1 - is_tick
            assert (ticks, replies) == (len(receivers), 1), "every receiver gets one notification"
        return Broadcast((running.cpu() - before) / times, (perf_counter() - began) / times)


def meaning(text: bytes, message: str, receivers: int) -> int:
    """Return 1 for the notification, 0 for the reply that tells the number of receivers."""
    said = msgspec.json.decode(text)
    if said == {**TICK, "params": [message]}:
        return 1
    assert said == {"jsonrpc": "2.0", "result": receivers, "id": 1}, text
    return 0
