"""Channels: sockets that take less than they are given, half-close, or go: plain and under TLS."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream
from posthouse.adapters import Options, Server
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config

from tests.adapters.loopback import Client, connected, post, serving, text

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
