"""Channels: sockets that take less than they are given, half-close, or go: plain and under TLS."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream
from posthouse.adapters import Options, Server
from posthouse.adapters.server.entrances.channel import NOTHING, Channel
from posthouse.adapters.system.system import READ, WRITE
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config

from tests.adapters.loopback import Client, connected, post, serving, text
from tests.adapters.server.entrances.fakes import ID, Runner

pytestmark = pytest.mark.anyio

SIZE = 6_000_000

service = Service("large", public=True)
calls: list[int] = []


@service.method
def large(number: int) -> str:
    calls.append(number)
    return "x" * SIZE


class Door:
    """A kind of server, and how one connects to it."""

    def __init__(self, options: Options, trusting: ssl.SSLContext | None) -> None:
        self.options = options
        self.trusting = trusting

    @asynccontextmanager
    async def client(self, server: Server) -> AsyncIterator[Client]:
        bound = server.bound[0]
        stream: ByteStream = await anyio.connect_tcp(bound.host, bound.port)
        if self.trusting is not None:
            stream = await TLSStream.wrap(
                stream, hostname=bound.host, ssl_context=self.trusting, standard_compatible=False
            )
        async with stream:
            yield Client(stream)


@pytest.fixture(params=["plain", "tls"])
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Door]:
    config = Config(write_timeout=60.0)
    if request.param == "plain":
        yield Door({"config": config}, None)
        return
    authority = trustme.CA()
    pem = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    yield Door({"config": config, "tls_cert": pem}, trusting)


async def test_a_large_answer_waits_for_its_reader_and_arrives_whole(door: Door) -> None:
    calls.clear()
    async with serving(service, **door.options) as server, AsyncExitStack() as stack:
        client = await stack.enter_async_context(door.client(server))
        await client.send(post(text("large", [1])) + post(text("large", [2])))
        while not server.health().memory:
            await anyio.lowlevel.checkpoint()
        # While it is not taken, nothing more is asked of its peer, and others are served.
        async with door.client(server) as other:
            await other.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await other.response())[0] == 200
        assert calls == [1]
        for _ in range(2):
            status, body = await client.response()
            assert (status, len(body["result"])) == (200, SIZE)
        assert calls == [1, 2]
        while server.health().memory:
            await anyio.lowlevel.checkpoint()


async def test_the_end_of_input_behind_a_request_leaves_its_answer() -> None:
    async with serving(service) as server, connected(server) as client:
        await client.send(post(text("connection.ping")))
        await client.stream.send_eof()
        assert (await client.response())[1]["result"]["pong"]
        assert await client.rest() == b""


async def test_a_refusal_reaches_a_client_that_is_still_sending(door: Door) -> None:
    async with serving(service, **door.options) as server, door.client(server) as client:
        await client.send(post(b"").replace(b"Content-Length: 0", b"Content-Length: 9999999"))
        await client.send(b"x" * 50_000)
        status, body = await client.response()
        assert (status, body["error"]["code"]) == (413, -32007)


async def test_a_client_that_disconnects_during_an_answer_leaves_no_state(door: Door) -> None:
    async with serving(service, **door.options) as server:
        async with door.client(server) as client:
            await client.send(post(text("large", [1])))
            await client.take(1000)
            connection = client.stream.extra(anyio.abc.SocketAttribute.raw_socket)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await anyio.aclose_forcefully(client.stream)
        while server.health().sockets or server.health().memory:
            await anyio.lowlevel.checkpoint()
        assert server.health().calls == 0


# With a socket that does what the test says


class Socket:
    """A connected socket. `script` holds what its next calls return or raise; `done` notes the calls."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.done: list[tuple[Any, ...]] = []

    def _next(self) -> Any:
        result = self.script.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result

    def recv(self, size: int) -> bytes:
        self.done.append(("recv", size))
        data: bytes = self._next()
        return data

    def send(self, data: bytes | memoryview) -> int:
        self.done.append(("send", bytes(data)))
        size: int = self._next()
        return size

    def shutdown(self, how: int) -> None:
        self.done.append(("shutdown", how))
        if self.script:
            self._next()

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        self.done.append(("setsockopt", level, option, value))

    def close(self) -> None:
        self.done.append(("close",))


class Bench(Runner):
    """A channel over such a socket, which has begun to read."""

    def __init__(self, *script: Any, config: Config = Config(read_bytes=4096)) -> None:
        super().__init__(config)
        self.socket = Socket(*script)
        made: Any = self
        socket: Any = self.socket
        self.channel = Channel(ID, socket, made, self.forget)
        self.channel.start()
        assert self.take() == [("watch", 0, READ)]
        assert self.board.attached == {ID: self.channel}

    def write(self, *pieces: bytes, report: bool = False) -> list[Any]:
        """Write, and flush. Returns what was told."""
        for piece in pieces:
            self.channel.write(piece, report=report)
        self.flush()
        return self.take()

    def ready(self, events: int) -> list[Any]:
        self.channel.ready(events)
        self.flush()
        return self.take()

    def done(self) -> list[Any]:
        done = self.socket.done[:]
        self.socket.done.clear()
        return done


BLOCKED = BlockingIOError()
BROKEN = ConnectionResetError()
RESET = ("setsockopt", socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(("size", "few"), [(16_384, True), (16_385, False), (0, True)])
def test_more_than_16_kib_of_a_socket_are_many(size: int, few: bool) -> None:
    bench = Bench(bytes(size), config=Config())
    assert bench.channel.ready(READ) is few


def test_a_socket_from_which_nothing_was_read_has_done_something_else() -> None:
    assert Bench().channel.ready(WRITE) is False
    assert Bench(BLOCKED).channel.ready(READ) is False
    assert Bench(BROKEN).channel.ready(READ) is False


def test_bytes_that_come_are_told_and_so_is_their_end() -> None:
    bench = Bench(b"abc", BLOCKED, b"")
    assert bench.ready(READ) == [("received", 3, b"abc", 1.0)]
    assert bench.ready(READ) == []
    assert bench.ready(READ) == [("watch", READ, 0), ("end of input", 3, 1.0)]
    assert bench.done() == [("recv", 4096)] * 3
    assert bench.ready(READ) == [], "the end comes once"
    assert bench.done() == []


def test_reading_stops_and_starts_again() -> None:
    bench = Bench(b"abc")
    bench.channel.stop_reading()
    assert bench.take() == [("watch", READ, 0)]
    assert bench.ready(READ) == []
    bench.channel.stop_reading()
    assert bench.take() == []
    bench.channel.start_reading()
    assert bench.take() == [("watch", 0, READ)]
    assert bench.ready(READ) == [("received", 3, b"abc", 1.0)]


def test_behind_its_end_no_input_is_watched_for() -> None:
    bench = Bench(b"", 2)
    bench.ready(READ)
    bench.channel.stop_reading()
    bench.channel.start_reading()
    assert bench.take() == []
    assert bench.write(b"ab") == []
    assert bench.done()[1:] == [("send", b"ab")]


def test_a_read_that_fails_closes_the_socket_with_a_reset() -> None:
    bench = Bench(BROKEN)
    assert bench.ready(READ) == [("watch", READ, 0), ("forget", 3), ("closed", 3, 1.0)]
    assert bench.done() == [("recv", 4096), RESET, ("close",)]
    assert not bench.channel.open
    bench.channel.close()
    assert (bench.take(), bench.done()) == ([], [])


def test_all_bytes_of_a_turn_are_sent_in_one_write() -> None:
    bench = Bench(1, 6)
    assert bench.write(b"a") == []
    assert bench.write(b"ab", b"c", b"def") == []
    assert bench.done() == [("send", b"a"), ("send", b"abcdef")]
    assert bench.channel._unsent is NOTHING


def test_bytes_that_the_socket_does_not_take_are_held_until_it_does() -> None:
    bench = Bench(2, 1, 3)
    assert bench.write(b"abcdef") == [("held", 3, 4, 1.0), ("watch", READ, READ | WRITE)]
    bench.time = 2.0
    assert bench.ready(WRITE) == [("sent", 3, 1, 2.0)]
    assert bench.write(b"gh") == [("held", 3, 2, 2.0)]
    bench.socket.script = [5]
    assert bench.ready(WRITE) == [("sent", 3, 5, 2.0), ("watch", READ | WRITE, READ)]
    assert bench.done() == [("send", b"abcdef"), ("send", b"cdef"), ("send", b"defgh")]
    assert bench.write() == []


def test_a_socket_that_takes_nothing_is_not_written_to_again_until_it_is_ready() -> None:
    bench = Bench(BLOCKED)
    assert bench.write(b"ab") == [("held", 3, 2, 1.0), ("watch", READ, READ | WRITE)]
    assert bench.write(b"cd") == [("held", 3, 2, 1.0)]
    assert bench.done() == [("send", b"ab")]
    bench.socket.script = [BLOCKED]
    assert bench.ready(WRITE) == []
    bench.socket.script = [4]
    assert bench.ready(WRITE) == [("sent", 3, 4, 1.0), ("watch", READ | WRITE, READ)]
    assert bench.done() == [("send", b"abcd")] * 2


def test_bytes_that_count_as_held_already_are_told_when_they_are_sent() -> None:
    bench = Bench(2)
    assert bench.write(b"ab", report=True) == [("sent", 3, 2, 1.0)]
    bench.socket.script = [3]
    assert bench.write(b"cdefg", report=True) == [("sent", 3, 3, 1.0), ("watch", READ, READ | WRITE)]
    bench.socket.script = [1]
    assert bench.ready(WRITE) == [("sent", 3, 1, 1.0)]
    bench.channel.write(b"h", report=True)
    bench.channel.write(b"i", report=False)
    bench.flush()
    assert bench.take() == [("held", 3, 1, 1.0)]
    bench.socket.script = [3]
    assert bench.ready(WRITE) == [("sent", 3, 3, 1.0), ("watch", READ | WRITE, READ)]


def test_of_bytes_of_both_kinds_those_are_sent_first_that_count_as_held() -> None:
    bench = Bench(3)
    bench.channel.write(b"ab", report=False)
    bench.channel.write(b"cd", report=True)
    bench.flush()
    assert bench.take() == [("held", 3, 1, 1.0), ("sent", 3, 2, 1.0), ("watch", READ, READ | WRITE)]


def test_a_write_that_fails_closes_the_socket_with_a_reset() -> None:
    bench = Bench(BROKEN)
    assert bench.write(b"ab") == [("watch", READ, 0), ("forget", 3), ("closed", 3, 1.0)]
    assert bench.done() == [("send", b"ab"), RESET, ("close",)]
    assert bench.channel._unsent is NOTHING
    bench.channel.write(b"more", report=False)
    bench.flush()
    assert (bench.take(), bench.done()) == ([], [])


def test_an_output_ends_when_everything_was_sent() -> None:
    bench = Bench(1)
    bench.channel.write(b"ab", report=False)
    bench.channel.end_writing()
    bench.flush()
    assert bench.done() == [("send", b"ab")]
    bench.take()
    bench.socket.script = [1]
    assert bench.ready(WRITE) == [("sent", 3, 1, 1.0), ("watch", READ | WRITE, READ)]
    assert bench.done() == [("send", b"b"), ("shutdown", socket.SHUT_WR)]
    bench.socket.script = [b"still"]
    assert bench.ready(READ) == [("received", 3, b"still", 1.0)]
    assert bench.write() == []
    bench.socket.script = [1]
    bench.write(b"c")
    assert bench.done() == [("recv", 4096), ("send", b"c")], "it ends once"


def test_an_output_that_has_nothing_to_send_ends_at_once_and_may_be_broken() -> None:
    bench = Bench(BROKEN)
    bench.channel.end_writing()
    bench.flush()
    assert (bench.done(), bench.take(), bench.channel.open) == ([("shutdown", socket.SHUT_WR)], [], True)


def test_a_socket_closes_when_everything_was_sent() -> None:
    bench = Bench(1)
    bench.channel.write(b"ab", report=False)
    bench.channel.close_when_sent()
    bench.flush()
    assert bench.channel.open
    bench.take()
    bench.socket.script = [1]
    assert bench.ready(WRITE) == [
        ("sent", 3, 1, 1.0),
        ("watch", READ | WRITE, READ),
        ("watch", READ, 0),
        ("forget", 3),
        ("closed", 3, 1.0),
    ]
    assert bench.done() == [("send", b"ab"), ("send", b"b"), ("close",)]
    bench = Bench(2)
    bench.channel.write(b"ab", report=False)
    bench.channel.close_when_sent()
    bench.flush()
    assert (bench.channel.open, bench.done()) == (False, [("send", b"ab"), ("close",)])


def test_an_output_ends_before_its_socket_closes() -> None:
    bench = Bench()
    bench.channel.end_writing()
    bench.channel.close_when_sent()
    bench.flush()
    assert bench.done() == [("shutdown", socket.SHUT_WR), ("close",)]


def test_closing_drops_what_was_not_sent() -> None:
    bench = Bench(BLOCKED)
    bench.write(b"ab")
    bench.channel.close()
    assert bench.take() == [("watch", READ | WRITE, 0), ("forget", 3), ("closed", 3, 1.0)]
    assert bench.done() == [("send", b"ab"), ("close",)]
    assert bench.channel._unsent is NOTHING


def test_a_socket_that_is_not_blocked_is_not_flushed_when_it_is_ready_to_be_written() -> None:
    bench = Bench(b"abc")
    assert bench.ready(READ | WRITE) == [("received", 3, b"abc", 1.0)]
    assert bench.done() == [("recv", 4096)]


def test_a_socket_is_written_before_it_is_read() -> None:
    bench = Bench(BLOCKED)
    bench.write(b"ab")
    bench.socket.script = [2, b"in"]
    assert bench.ready(READ | WRITE) == [
        ("sent", 3, 2, 1.0),
        ("watch", READ | WRITE, READ),
        ("received", 3, b"in", 1.0),
    ]
