"""The listening sockets of the places: opened once, and open until the supervisor ends.

On Linux each place has sockets of its own on the same addresses, and the kernel divides the clients between them. A
client that comes while its place has no worker waits in the queue of the socket. Elsewhere, and on unix sockets, all
workers accept from one socket.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack

from posthouse.adapters.server.entrances.listeners import Listener, listen_tcp
from posthouse.adapters.system.system import Sockets

DIVIDES = sys.platform == "linux"
"""Does the kernel divide the clients between several sockets on one address?"""


def listen_for_places(
    stack: ExitStack, sockets: Sockets, count: int, hosts: Sequence[str], port: int, *, secure: bool
) -> list[list[Listener]]:
    """Listen on these hosts for each of `count` places. Raises OSError as `listen_tcp` does. `stack` closes them."""
    # Not shared at first: an address on which another program listens is an error.
    first = listen_tcp(sockets, hosts, port, secure=secure)
    if not DIVIDES:
        return [_closed_by(stack, first)] * count
    for listener in first:
        listener.close()
    places: list[list[Listener]] = []
    for _ in range(count):
        places.append([])
        for at in (listener.bound for listener in first):
            opened = listen_tcp(sockets, [at.host], at.port, secure=secure, shared=True)
            places[-1] += _closed_by(stack, opened)
    return places


def _closed_by(stack: ExitStack, listeners: list[Listener]) -> list[Listener]:
    for listener in listeners:
        stack.callback(listener.close)
    return listeners
