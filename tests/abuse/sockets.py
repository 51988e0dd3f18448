"""What abuse sends over real sockets, and service code that misbehaves: for tests over loopback, and for attacks.

Sockets block here. What must come of it is not decided here.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

import anyio.lowlevel
from posthouse.core.service.service import Service

from tests.adapters.loopback import UPGRADE, post, text

from .attacker import frame

EVIL: Final = b"https://evil.example"
GOOD: Final = b"https://app.example"
"""The origin of a page from elsewhere, and of one that a server may allow."""


# States in which a socket may end, and how


def nothing(connection: socket.socket) -> None:
    """It was opened."""


def half_a_head(connection: socket.socket) -> None:
    """The beginning of a request."""
    connection.sendall(b"POST /rpc HT")


def half_a_body(connection: socket.socket) -> None:
    """A request whose body is not whole."""
    connection.sendall(post(text("echo", ["x"]))[:-5])


def a_request(connection: socket.socket) -> None:
    """A request that is answered at once."""
    connection.sendall(post(text("echo", ["x"])))


def a_request_that_waits(connection: socket.socket) -> None:
    """A request whose handler does not return."""
    connection.sendall(post(text("hold")))


def an_upgrade(connection: socket.socket) -> None:
    """A WebSocket."""
    connection.sendall(UPGRADE)


def half_a_frame(connection: socket.socket) -> None:
    """A WebSocket with the beginning of a frame."""
    connection.sendall(UPGRADE + b"\x81\xfe\x10\x00")


def a_call_that_waits(connection: socket.socket) -> None:
    """A WebSocket with a call whose handler does not return."""
    connection.sendall(UPGRADE + frame(text("hold")))


STATES: Final = (
    *(nothing, half_a_head, half_a_body, a_request, a_request_that_waits),
    *(an_upgrade, half_a_frame, a_call_that_waits),
)


def reset(connection: socket.socket) -> None:
    """Break off."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def half_close(connection: socket.socket) -> None:
    """End the input, and wait for the server's end."""
    connection.shutdown(socket.SHUT_WR)
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass  # it was not waited for
    connection.close()


# Handlers that raise


class Unheard(BaseException):
    """A handler's own."""


EXCEPTIONS: Final[tuple[type[BaseException], ...]] = (
    ValueError,
    SystemExit,
    KeyboardInterrupt,
    GeneratorExit,
    StopIteration,
    asyncio.CancelledError,
    Unheard,
)

PRIVATE: Final = "private words"
"""What no answer may say."""


def add_raising(service: Service) -> list[str]:
    """Add a method for every exception in each place where a handler runs. Their names."""
    names = []
    for error in EXCEPTIONS:
        plain, later = _raising(error)
        names += [f"{place}.{error.__name__}" for place in ("inline", "thread", "task")]
        service.method(names[-3])(plain)
        service.method(names[-2], blocking=True)(plain)
        service.method(names[-1])(later)
    return names


def _raising(error: type[BaseException]) -> tuple[Callable[[], None], Callable[[], object]]:
    def plain() -> None:
        raise error(PRIVATE)

    async def later() -> None:
        await anyio.lowlevel.checkpoint()
        raise error(PRIVATE)

    return plain, later
