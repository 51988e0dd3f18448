"""What a call, and a client that says nothing, cost a server: asked of the server's own process, over loopback."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Final

import msgspec

from .clients import Client, HttpClient, WebSocketClient, drive
from .environment import RINGS, ROOT
from .hosts import Usage

CONNECTIONS: Final = 8
"""How many clients call at once."""

WARM_UP: Final = 200
"""Calls made before the first that is counted."""


class Host:
    """A server that runs in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._questions = process.stdin
        self._answers = process.stdout
        self.port = int(self._answers.readline())

    def usage(self) -> Usage:
        """What it has used so far."""
        self._questions.write("\n")
        self._questions.flush()
        return msgspec.json.decode(self._answers.readline(), type=Usage)


@contextmanager
def host(name: str) -> Iterator[Host]:
    """Start one of the servers of `hosts.py`, and end it by ending its input."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.hosts", name],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": RINGS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Host(process)


def cpu_per_call(name: str, client: type[Client], calls: int) -> float:
    """CPU seconds of the server for each of so many calls."""
    with host(name) as server, ExitStack() as stack:
        clients = [client(server.port) for _ in range(CONNECTIONS)]
        for each in clients:
            stack.enter_context(closing(each.socket))
        drive(clients, WARM_UP)
        before = server.usage()
        drive(clients, calls)
        return (server.usage().cpu - before.cpu) / calls


def idle_bytes(name: str, sockets: int) -> float:
    """Resident bytes of the server for each of so many WebSockets on which nothing happens.

    They are counted beside as many others: the first find room that the server had already.
    """
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    with host(name) as server, ExitStack() as stack:
        resident = []
        for _ in range(2):
            for _ in range(sockets):
                stack.enter_context(closing(WebSocketClient(server.port).socket))
            resident.append(server.usage().resident)
        return (resident[1] - resident[0]) / sockets


def http(name: str, calls: int) -> float:
    """CPU seconds for each call over HTTP on connections that are kept alive."""
    return cpu_per_call(name, HttpClient, calls)


def websocket(name: str, calls: int) -> float:
    """CPU seconds for each call over WebSockets."""
    return cpu_per_call(name, WebSocketClient, calls)
