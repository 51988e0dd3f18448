"""Over loopback sockets: clients behind a trusted proxy, on TCP and on a unix socket, and liars beside them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from posthouse.adapters import Server
from posthouse.core import AuthContext, Bearer, Config, Context, Identity, Service

from .loopback import UPGRADE, Client, connected, post, serving, text

pytestmark = pytest.mark.anyio


def service() -> Service:
    """A service that says by which address it knows its caller."""
    offered = Service("forwarded", public=True)

    @offered.authenticator("bearer")
    def bearer(credentials: Bearer, context: AuthContext) -> Identity | None:
        return Identity(f"{credentials.token} at {context.address.host}")

    @offered.method
    def place(context: Context) -> list[Any]:
        address = context.address
        return [address.host, address.port, address.proxy, address.secure, context.user]

    @offered.method
    async def wait() -> None:
        await anyio.sleep_forever()

    return offered


def forwarded(request: bytes, client: str, *more: str) -> bytes:
    """The request as a proxy sends it."""
    lines = "".join(f"{line}\r\n" for line in (f"X-Forwarded-For: {client}", *more))
    return request.replace(b"\r\n\r\n", b"\r\n" + lines.encode() + b"\r\n", 1)


async def asked(client: Client, *fields: str) -> Any:
    await client.send(forwarded(post(text("place")), *fields))
    status, answer = await client.response()
    return answer["result"] if status == 200 else status


async def test_each_request_of_a_keep_alive_socket_has_the_address_of_its_own_client() -> None:
    async with serving(service(), config=Config(trust_proxies=("127.0.0.1",))) as server, connected(server) as proxy:
        assert await asked(proxy, "192.0.2.1", "X-Forwarded-Proto: https") == ["192.0.2.1", 0, "127.0.0.1", True, None]
        assert await asked(proxy, "9.9.9.9, 192.0.2.2:4711") == ["192.0.2.2", 4711, "127.0.0.1", False, None]
        authorization = "Authorization: Bearer ada"
        known = await asked(proxy, "[2001:db8::1]", authorization)
        assert known == ["2001:db8::1", 0, "127.0.0.1", False, "ada at 2001:db8::1"]
        await proxy.send(forwarded(UPGRADE, "192.0.2.3"))
        assert (await proxy.take_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert (await proxy.call("place"))["result"][:3] == ["192.0.2.3", 0, "127.0.0.1"]


async def test_a_liar_is_known_by_its_own_address_and_told_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "posthouse")
    async with serving(service(), config=Config(trust_proxies=("192.0.2.7",))) as server:
        for _ in range(2):
            async with connected(server) as liar:
                host, port, proxy, secure, _ = await asked(liar, "192.0.2.1", "X-Forwarded-Proto: https")
                assert (host, proxy, secure) == ("127.0.0.1", "", False)
                assert port > 0
    told = [line for line in caplog.messages if "x-forwarded-for" in line]
    remedy = "if it is a proxy of yours, use --trust-proxy 127.0.0.1 (in code, trust_proxies)"
    assert told == [f"ignored x-forwarded-for of 127.0.0.1: {remedy}"]


async def test_the_proxy_of_a_unix_socket_names_its_clients_in_forwarded(tmp_path: Path) -> None:
    config = Config(trust_proxies=("unix",), proxy_headers="forwarded")
    path = tmp_path / "s"
    async with serving(service(), config=config, unix=path, host=()), await anyio.connect_unix(path) as stream:
        element = 'Forwarded: for="[2001:db8::1]:4711";proto=https'
        assert await asked(Client(stream), "8.8.8.8", element) == ["2001:db8::1", 4711, "unix", True, None]


async def opened(server: Server, clients: Sequence[str]) -> list[int]:
    """The statuses of handshakes of these clients through one proxy, whose sockets stay open until the end."""
    statuses = []
    async with AsyncExitStack() as stack:
        for client in clients:
            proxy = await stack.enter_async_context(connected(server))
            await proxy.send(forwarded(UPGRADE, client))
            statuses.append(int((await proxy.take_until(b"\r\n")).split()[1]))
    return statuses


async def test_row_40_one_client_of_a_proxy_that_opens_too_many_is_refused_and_others_are_not() -> None:
    config = Config(trust_proxies=("127.0.0.1",), max_connections_per_address=2)
    clients = ["192.0.2.1"] * 3 + ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1", "192.0.2.2"]
    async with serving(service(), config=config) as server:
        assert await opened(server, clients) == [101, 101, 429, 101, 101, 429, 101, 101]


async def test_the_rate_of_calls_of_anonymous_callers_counts_the_clients_of_a_proxy() -> None:
    config = Config(trust_proxies=("127.0.0.1",), call_rate=0.001)
    async with serving(service(), config=config) as server:
        statuses = []
        for host in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
            async with connected(server) as proxy:
                answer = await asked(proxy, host)
                statuses.append(answer if isinstance(answer, int) else 200)
        assert statuses == [200, 200, 429]
