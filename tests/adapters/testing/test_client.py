"""A client in process: the real gateway, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from posthouse.adapters.asgi import asgi
from posthouse.adapters.testing import Client, client_of
from posthouse.core import Arguments, Bearer, Config, Context, Identity, Method, ResultError, RpcError, Service

pytestmark = pytest.mark.anyio
pytest_plugins = ["posthouse.adapters.testing.fixture"]


calls: list[str] = []
"""The methods that an interceptor has seen."""


def house() -> Service:
    calls.clear()
    service = Service("house", public=True)

    @service.lifespan
    async def live() -> AsyncIterator[dict[str, int]]:
        yield {"visits": 0}

    @service.method
    def visit(context: Context) -> int:
        context.state["visits"] += 1
        visits: int = context.state["visits"]
        return visits

    @service.method
    async def build(context: Context, year: int) -> int:
        context.progress(0.5, "half way")
        context.progress(1.0)
        context.notify("built", {"year": year})
        return year

    @service.method
    async def ask(context: Context, method: str, params: Any = None) -> Any:
        return await context.call(method, params)

    @service.method
    async def wait() -> None:
        await anyio.sleep_forever()

    @service.method(scopes={"admin"})
    def secret(context: Context) -> str | None:
        return context.user

    @service.on_call
    def seen(context: Context, method: Method, arguments: Arguments) -> Arguments:
        calls.append(method.name)
        return arguments

    return service


async def test_it_calls_within_the_lifespan() -> None:
    async with client_of(house()) as client:
        assert await client.call("visit") == 1
        assert await client.call("visit", result_type=int) == 2
        assert calls == ["visit", "visit"]
        with pytest.raises(ResultError):
            await client.call("visit", result_type=str)


async def test_errors_are_raised_as_a_client_would_get_them() -> None:
    async with client_of(house()) as client:
        with pytest.raises(RpcError, match="-32601"):
            await client.call("nope")
        with pytest.raises(RpcError, match="-32602"):
            await client.call("build", {"year": "x"})
        with pytest.raises(RpcError, match="-32020"):
            await client.call("secret")
        with pytest.raises(RpcError, match="-32030"):
            await client.call("wait", timeout=0.001)


async def test_it_is_the_caller_that_a_test_wants() -> None:
    async with client_of(house(), identity=Identity("ada", ("admin",))) as client:
        assert await client.call("secret") == "ada"


async def test_progress_and_notifications_come() -> None:
    told: list[tuple[float, str | None]] = []
    async with client_of(house()) as client:
        assert await client.call("build", [7], progress=lambda *progress: told.append(progress)) == 7
        assert told == [(0.5, "half way"), (1.0, None)]
        assert await client.notification() == ("built", {"year": 7})
        client.notify("build", [8])
        assert await client.notification() == ("built", {"year": 8})
        assert client.gateway.broadcast("news") == 1
        assert await client.notification() == ("news", None)


async def test_it_answers_requests_of_the_server() -> None:
    async def later(name: str) -> str:
        await anyio.sleep(0)
        return f"hello {name}"

    def refuse() -> None:
        raise RpcError(7, "no")

    def fail() -> None:
        raise ValueError("broken")

    answer: dict[str, Callable[..., Any]] = {"now": lambda a, b: a + b, "later": later, "refuse": refuse, "fail": fail}
    async with client_of(house(), answer=answer) as client:
        assert await client.call("ask", ["now", [1, 2]]) == 3
        assert await client.call("ask", ["later", {"name": "ada"}]) == "hello ada"
        for method, code in (("refuse", "7 no"), ("fail", "-32603"), ("unknown", "-32601")):
            with pytest.raises(RpcError, match=code):
                await client.call("ask", [method])


async def test_a_call_whose_task_is_cancelled_is_cancelled() -> None:
    async with client_of(house()) as client:
        with anyio.move_on_after(0.01):
            await client.call("wait")
        with anyio.fail_after(30):
            while (health := client.gateway.health()) is None or health.calls:
                await client.call("connection.ping")
        assert await client.call("visit") == 1


async def test_several_clients_share_a_gateway() -> None:
    gateway = asgi(house(), allow_hosts=["api.example"])
    async with gateway.lifespan(), client_of(gateway) as one, client_of(gateway, identity=Identity("bob")) as other:
        assert await one.call("visit") == 1
        assert await other.call("visit") == 2
        gateway.broadcast("news", users=["bob"])
        assert await other.notification() == ("news", None)


async def test_a_connection_that_the_server_closes_ends_every_call() -> None:
    async with client_of(house(), config=Config(max_bad_messages=1, drain_grace=0.0, drain_spread=0.0)) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(_closed, client)
            await anyio.wait_all_tasks_blocked()
            client.gateway.shut_down(0.0)
        assert client.closed == 1012
        with pytest.raises(RpcError, match="closed with code 1012"):
            await client.call("visit")
        assert (await client.notification())[0] == "connection.draining"
        for _ in range(2):
            with pytest.raises(RpcError, match="closed with code 1012"):
                await client.notification()


async def _closed(client: Client) -> None:
    with pytest.raises(RpcError, match=r"-32050|-32800|1012"):
        await client.call("wait")


async def test_a_handshake_that_is_refused_raises() -> None:
    service = Service("closed")

    @service.authenticator("bearer")
    def read(bearer: Bearer) -> Identity | None:
        return Identity("ada") if bearer.token == "right" else None

    @service.method
    def whoami(context: Context) -> str | None:
        return context.user

    with pytest.raises(RpcError, match="Unauthenticated"):
        async with client_of(service, headers={"Authorization": "Bearer wrong"}):
            pass
    async with client_of(service, headers={"Authorization": "Bearer right"}) as client:
        assert await client.call("whoami") == "ada"


async def test_a_lifespan_that_fails_is_raised() -> None:
    gateway = asgi(house())
    with pytest.raises(RpcError, match="has not started"):
        async with client_of(gateway):
            pass


async def test_the_fixture_opens_clients_until_the_end_of_the_test(connect: Any) -> None:
    one, other = await connect(house()), await connect(house(), identity=Identity("ada", ("admin",)))
    assert await one.call("visit") == 1
    assert await other.call("secret") == "ada"
