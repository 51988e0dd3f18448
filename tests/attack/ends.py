"""Attacks by leaving, and on leaving: ends and resets in every state, and a shut-down with many clients."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle
from socket import socket

from posthouse.core.values.config import Config

from tests.abuse.sockets import STATES, half_close, reset
from tests.adapters.loopback import text

from .field import Field, attack, require
from .peer import Peer

TIMES = 10_000
ROUNDS = TIMES // len(STATES)
SETTLED_WITHIN = 10.0
"""Seconds after the last of them in which everything must be given back."""

AT_ONCE = 10
"""Rounds that are open at a time."""

ENDS = Config(head_timeout=1.0)

LEAVING = 200
CALLS_TAKE = 1.0


@attack(47, f"{TIMES:,} sockets end their input, in {len(STATES)} states in turn", limits=ENDS)
def ends_of_input(field: Field) -> str:
    """In silence, within a head, a body or a frame, and with calls that run."""
    return leaves_nothing_behind(field, half_close)


@attack(48, f"{TIMES:,} sockets are reset, in {len(STATES)} states in turn", limits=ENDS)
def resets(field: Field) -> str:
    """The same states."""
    return leaves_nothing_behind(field, reset)


def leaves_nothing_behind(field: Field, end: Callable[[socket], None]) -> str:
    """What the server has afterwards it must have had before, but for what it keeps from its first visitors on."""
    if field.own is None:
        visit(field, end, ROUNDS)
        field.ask("connection.ping")
        return "the server goes on; what it holds cannot be seen from here"
    with field.connect() as control:
        visit(field, end, 2)
        before = settled(control, None)
        visit(field, end, ROUNDS)
        settled(control, before)
    return "connections, sockets, calls, descriptors and threads are as many as before"


def visit(field: Field, end: Callable[[socket], None], rounds: int) -> None:
    """Open, get into a state, and end: some rounds at a time."""
    for begun in range(0, rounds, AT_ONCE):
        peers = [field.connect() for _ in range(min(AT_ONCE, rounds - begun)) for _ in STATES]
        for peer, state in zip(peers, cycle(STATES), strict=False):
            state(peer.socket)
        for peer in peers:
            end(peer.socket)


def settled(control: Peer, before: dict[str, int] | None) -> dict[str, int]:
    """What the server has, when it is as before; without a before, when only the good client and we are left, and the
    one call is this."""
    until = time.monotonic() + SETTLED_WITHIN
    while True:
        usage: dict[str, int] = control.result("usage")
        alone = usage["sockets"] <= 3 and usage["calls"] <= 1 and usage["waiting"] == 0
        if usage == before or (before is None and alone):
            return usage
        require(time.monotonic() < until, f"before: {before}, afterwards: {usage}")


@attack(
    57,
    f"SIGTERM, while {LEAVING} clients wait for answers",
    limits=Config(drain_spread=0.5, drain_grace=15.0),
    own=True,
    beside=False,
)
def a_shut_down(field: Field) -> str:
    """No abuse, but what abuse hopes to profit from."""
    with ExitStack() as stack:
        peers = [stack.enter_context(field.websocket()) for _ in range(LEAVING)]
        control = stack.enter_context(field.connect())
        for number, peer in enumerate(peers):
            peer.say(text("work", [CALLS_TAKE], id=number))
        until = time.monotonic() + CALLS_TAKE
        while control.result("usage")["calls"] <= LEAVING // 2:
            require(time.monotonic() < until, "the calls did not begin")
        field.terminate()
        for number, peer in enumerate(peers):
            messages = [peer.next(), peer.next()]
            told = [message for message in messages if message.get("method") == "connection.draining"]
            answers = [message for message in messages if message.get("id") == number]
            require(len(told) == 1, f"client {number} was not told, but heard {messages}")
            require([answer.get("result") for answer in answers] == [CALLS_TAKE], f"client {number} heard {messages}")
            code = peer.close_code()
            require(code == 1012, f"client {number} was closed with {code}")
            peer.socket.close()
    code = field.exit_code()
    require(code == 0, f"the server exited with {code}")
    return f"all {LEAVING} told, answered and closed with 1012; the server exited with 0"
