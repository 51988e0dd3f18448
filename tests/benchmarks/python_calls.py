"""How many Python calls an `echo` makes, on each transport. The count is the same on every machine.

    make calls    # or: python -m tests.benchmarks.python_calls

counts now and writes `python_calls.toml`. The functions of this project, h11 and wsproto count. The standard library
does not, nor do comprehensions: both differ between versions of Python.

Three paths are counted: through the switchboard alone, on the server's real runner on asyncio, and over the ASGI
application. In the last two a call ends when the next one begins: between two calls of the handler, one client asks and
is answered.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from types import FrameType
from typing import Any, Final

import anyio
import h11
import posthouse.adapters
import posthouse.core
import posthouse.transports
import wsproto
from anyio.to_thread import run_sync
from posthouse.adapters import Server, running
from posthouse.adapters.asgi import asgi
from posthouse.core import Address, Bearer, Config, Gateway, Identity, Invoke, Service, Verify
from posthouse.transports import Switchboard

from benchmarks.load.connection import HANDSHAKE, Connection, Shape
from benchmarks.load.dialects import DIALECTS, MESSAGE
from benchmarks.load.framing import Posts, masked
from benchmarks.servers.catalogue import Transport

FILE: Final = Path(__file__).with_suffix(".toml")

COUNTED: Final = tuple(
    str(Path(package.__file__ or "").parent)
    for package in (posthouse.core, posthouse.transports, posthouse.adapters, h11, wsproto)
)
INLINED: Final = ("<listcomp>", "<setcomp>", "<dictcomp>")

ECHOES: Final = 20
"""Echoes that are counted; the fewest calls of one of them are the count. A timer may add to the others."""

ASK: Final = DIALECTS["json-rpc"].ask(100_001, MESSAGE)


class Counter:
    """Counts the calls of the thread that enters it."""

    def __init__(self) -> None:
        self.calls = 0

    def _count(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            code = frame.f_code
            if code.co_filename.startswith(COUNTED) and code.co_name not in INLINED:
                self.calls += 1

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count in this context."""
        before = sys.getprofile()
        sys.setprofile(self._count)
        try:
            yield
        finally:
            sys.setprofile(before)


def fewest(counts: list[int]) -> int:
    """Return the fewest calls between two counts that follow each other."""
    return min(after - before for before, after in pairwise(counts))


# Through the switchboard alone


def through_switchboard(
    address: Address,
    opening: bytes,
    request: Callable[[], bytes],
    config: Config = Config(),
    *,
    authenticates: bool = True,
) -> int:
    """Return the calls of an `echo` from its bytes to the bytes of its reply. Its credentials, if any, are accepted.
    `authenticates`: the service has an authenticator."""
    service = Service("counted", public=True)
    service.method(echo)
    if authenticates:
        service.authenticator("bearer")(accept)
    board = Switchboard(Gateway(service, config, wall=0.0, entropy=bytes))
    id = board.opened(address, 0.0)
    assert id is not None
    if opening:
        board.received(id, opening, 0.0)
    board.outbox.clear()
    counter, counts = Counter(), []
    for _ in range(ECHOES):
        data = request()
        with counter.counting():
            board.received(id, data, 0.0)
            outbox = board.outbox
            for action in outbox:  # it grows meanwhile
                if type(action) is Invoke:
                    board.complete(action.call, action.method.function(*action.args, **action.kwargs), 0.0)
                elif type(action) is Verify:
                    board.conclude(action.operation, accept(action.credentials), 0.0)
        assert any(MESSAGE.encode() in getattr(action, "data", b"") for action in board.outbox), "it was not answered"
        board.outbox.clear()
        counts.append(counter.calls)
    return fewest(counts)


def accept(credentials: Bearer) -> Identity:
    """Accept every token."""
    return Identity("ada")


def with_token() -> bytes:
    """The request of a client that repeats its token."""
    token = b"\r\nAuthorization: Bearer 4f1c9a2b7d3e8c5061f2a9b4d7e3c8f0\r\n\r\n"
    return Posts(new=False)(ASK).replace(b"\r\n\r\n", token, 1)


def echo(message: str) -> str:
    """Return the message."""
    return message


# On the server


def on_server(transport: Transport, *, new_heads: bool = False, config: Config = Config()) -> int:
    """Return the calls of an `echo` on a server on asyncio, over loopback, from one call of its handler to the next."""
    counter, counts = Counter(), list[int]()
    service = Service("counted", public=True)

    @service.method("echo")
    def counted(message: str) -> str:
        counts.append(counter.calls)
        return message

    async def main() -> None:
        async with running(service, port=0, config=config) as server:
            with counter.counting():
                await run_sync(ask, server)

    def ask(server: Server) -> None:
        shape = Shape(DIALECTS["json-rpc"], transport, 80, new_heads=new_heads)
        connection = Connection(server.bound[0].port, shape, 1)
        connection.socket.settimeout(30)
        for _ in range(ECHOES):
            connection.call()
        connection.socket.shutdown(socket.SHUT_RDWR)
        connection.close()

    anyio.run(main)
    return fewest(counts)


# Under an ASGI server


def over_asgi(kind: str, head: Callable[[], list[tuple[bytes, bytes]]]) -> int:
    """Return the calls of an `echo` over the ASGI application, from one call of its handler to the next. Its server is
    made by hand: it has whole bodies, it waits for each message, and it takes everything at once."""
    counter, counts = Counter(), list[int]()
    service = Service("counted", public=True)
    taken = list[Any]()
    app = asgi(service)

    @service.method("echo")
    def counted(message: str) -> str:
        counts.append(counter.calls)
        return message

    async def send(message: Any) -> None:
        taken.append(message)

    async def answer_requests() -> None:
        for _ in range(ECHOES):
            scope = {"type": "http", "method": "POST", "path": "/rpc", "headers": [*POSTED, *head()], "client": CLIENT}
            with counter.counting():
                await app(scope, body, send)
        assert [message["status"] for message in taken[::2]] == [200] * ECHOES

    async def body() -> Any:
        return {"type": "http.request", "body": ASK, "more_body": False}

    async def answer_websocket() -> None:
        events = [{"type": "websocket.connect"}, *[{"type": "websocket.receive", "text": ASK.decode()}] * ECHOES]

        async def receive() -> Any:
            await anyio.sleep(0)
            return events.pop(0) if events else {"type": "websocket.disconnect", "code": 1000}

        with counter.counting():
            await app({"type": "websocket", "path": "/ws", "headers": [HOST], "client": CLIENT}, receive, send)
        assert len(taken) == ECHOES + 1

    async def main() -> None:
        async with app.lifespan():
            await (answer_websocket() if kind == "websocket" else answer_requests())

    anyio.run(main)
    return fewest(counts)


CLIENT: Final = ("127.0.0.1", 50_000)
HOST: Final = (b"host", b"127.0.0.1")
POSTED: Final = (HOST, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(ASK)))
AUTHORIZATION: Final = (b"authorization", b"Bearer 4f1c9a2b7d3e8c5061f2a9b4d7e3c8f0")
numbers: Final = count()


def new_head() -> list[tuple[bytes, bytes]]:
    """A header that no other request has."""
    return [(b"x-number", b"%d" % next(numbers))]


TCP: Final = Address("127.0.0.1", 50_000)
PIPE: Final = Address(transport="pipe")

MEASURING: Final = Config(measure_calls=True)

COUNTS: Final[dict[str, dict[str, Callable[[], int]]]] = {
    "switchboard": {
        "websocket": partial(through_switchboard, TCP, HANDSHAKE % b"/ws", partial(masked, ASK)),
        "http": partial(through_switchboard, TCP, b"", partial(Posts(new=False), ASK)),
        "http_token": partial(through_switchboard, TCP, b"", with_token),
        "http_new_head": partial(through_switchboard, TCP, b"", partial(Posts(new=True), ASK)),
        "stdio": partial(through_switchboard, PIPE, b"", partial(bytes, ASK + b"\n")),
        "websocket_measured": partial(
            through_switchboard, TCP, HANDSHAKE % b"/ws", partial(masked, ASK), config=MEASURING
        ),
        "http_measured": partial(through_switchboard, TCP, b"", partial(Posts(new=False), ASK), config=MEASURING),
    },
    "server": {
        "websocket": partial(on_server, "websocket"),
        "http": partial(on_server, "http"),
        "http_new_head": partial(on_server, "http", new_heads=True),
        "websocket_measured": partial(on_server, "websocket", config=MEASURING),
        "http_measured": partial(on_server, "http", config=MEASURING),
    },
    "asgi": {
        "websocket": partial(over_asgi, "websocket", list),
        "http": partial(over_asgi, "http", list),
        "http_token": partial(over_asgi, "http", lambda: [AUTHORIZATION]),
        "http_new_head": partial(over_asgi, "http", new_head),
    },
}

HEAD: Final = (
    "# Python calls of one echo. A test fails if one grows by more than a tenth. `make calls` writes this file.\n"
)


def write(file: Path = FILE) -> None:
    """Count, and write the counts down."""
    tables = []
    for path, transports in COUNTS.items():
        rows = [f"{transport} = {count()}\n" for transport, count in transports.items()]
        tables.append(f"\n[{path}]\n{''.join(rows)}")
    file.write_text(HEAD + "".join(tables), encoding="utf-8")


if __name__ == "__main__":
    write()
    sys.stdout.write(FILE.read_text(encoding="utf-8"))
