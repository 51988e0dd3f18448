"""What a bearer token that was verified a short time ago adds to a call over HTTP.

    python -m benchmarks.token [--rounds 24]

Clients without a token and clients with one take turns, on the same 32 connections to one server on asyncio. Compared
is the CPU time of the thread of the server, from one call of the handler to another.
"""

from __future__ import annotations

import argparse
import socket
import time
from contextlib import ExitStack, closing
from functools import partial
from statistics import median
from typing import Final

import anyio
from anyio.to_thread import run_sync
from posthouse.adapters import running
from posthouse.core import Bearer, Identity, Service

from benchmarks.load.dialects import DIALECTS, MESSAGE
from benchmarks.load.framing import Posts

CONNECTIONS: Final = 32
CALLS: Final = 60
"""Calls of each connection, in each turn of a round."""

WITHOUT: Final = Posts(new=False)(DIALECTS["json-rpc"].ask(100_001, MESSAGE))
WITH: Final = WITHOUT.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer 4f1c9a2b7d3e8c5061f2a9b4d7e3c8f0\r\n\r\n", 1)


def measure(rounds: int) -> list[tuple[float, float]]:
    """The CPU time of a call without and with a token, in microseconds, in each round."""
    service, times = Service("token", public=True), list[float]()

    @service.method
    def echo(message: str) -> str:
        times.append(time.thread_time())
        return message

    @service.authenticator("bearer")
    def accept(credentials: Bearer) -> Identity:
        return Identity("ada")

    async def main() -> list[tuple[float, float]]:
        async with running(service, port=0) as server:
            return await run_sync(partial(ask, server.bound[0].port, rounds, times))

    return anyio.run(main)


def ask(port: int, rounds: int, times: list[float]) -> list[tuple[float, float]]:
    """Call in turns."""
    with ExitStack() as stack:
        address = "127.0.0.1", port
        sockets = [stack.enter_context(closing(socket.create_connection(address))) for _ in range(CONNECTIONS)]
        return [(turn(sockets, WITHOUT, times), turn(sockets, WITH, times)) for _ in range(rounds)]


def turn(sockets: list[socket.socket], request: bytes, times: list[float]) -> float:
    """The CPU time of one of these calls."""
    times.clear()
    for _ in range(CALLS):
        for each in sockets:
            each.sendall(request)
        for each in sockets:
            answer = each.recv(65536)
            if MESSAGE.encode() not in answer:
                raise SystemExit(f"the server did not answer: {answer!r}")
    return (times[-1] - times[0]) / (len(times) - 1) * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What does a bearer token add to a call over HTTP?")
    parser.add_argument("--rounds", type=int, default=24)
    rounds = measure(parser.parse_args().rounds)
    for name, each in zip(("without a token", "with a token"), zip(*rounds, strict=True), strict=True):
        print(f"{name:16}{min(each):7.1f} µs in the fastest round")
    print(
        f"with a token a call costs {median(b / a for a, b in rounds):.2f} of one without, in the median of the rounds"
    )


if __name__ == "__main__":
    main()
