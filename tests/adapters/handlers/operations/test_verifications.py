"""Authenticators of every kind run behind a firewall, and each caller gets the answer of its credentials."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from threading import Event
from typing import Any, cast

import anyio
import pytest
from posthouse.core.operations.operations import Refused
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.service.context import AuthContext, Context
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Identity

from tests.adapters.loopback import UPGRADE, Client, connected, serving, text

pytestmark = pytest.mark.anyio

QUICK = Config(drain_grace=0.0, drain_spread=0.0, drain_timeout=0.2, cleanup_grace=0.1)

REFUSAL = {"jsonrpc": "2.0", "error": {"code": -32020, "message": "Unauthenticated"}, "id": None}


class Gate:
    """What the tests see of the authenticators, and how they let one go on."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.waits = anyio.Event()
        self.cancelled = anyio.Event()
        self.resists = anyio.Event()


def doors() -> Service:
    """A service with an authenticator of each kind."""
    service = Service("doors")

    @service.lifespan
    async def opens() -> AsyncIterator[Gate]:
        yield Gate()

    @service.authenticator("bearer", name="plain", namespace="plain")
    def plain(credentials: Bearer, context: AuthContext[Gate]) -> Any:
        context.state.asked.append(f"{context.kind} {context.path} {context.headers.get('x-tenant')}")
        assert context.address.host == "127.0.0.1"
        assert len(context.public_id) == 24
        if credentials.token == "wrong type":
            return "ada"
        if credentials.token == "nobody":
            return Identity(scopes=("*",))
        if credentials.token == "raises":
            raise SystemExit
        return Identity("plain") if credentials.token == "plain" else None

    @service.authenticator("bearer", name="async", namespace="async")
    async def waits(credentials: Bearer, context: AuthContext[Gate]) -> Identity | None:
        state = context.state
        if credentials.token in ("waits", "resists"):
            state.waits.set()
            try:
                await anyio.sleep_forever()
            finally:
                state.cancelled.set()
                if credentials.token == "resists":
                    with anyio.CancelScope(shield=True):
                        await state.resists.wait()
        await anyio.lowlevel.checkpoint()
        return Identity("async", ("read",)) if credentials.token == "async" else None

    @service.authenticator("basic", namespace="files", blocking=True)
    def files(credentials: Basic) -> Any:
        async def later() -> Identity:
            return Identity(credentials.user)

        return later() if credentials.password == "pw" else None

    @service.method
    def who(context: Context[Gate]) -> tuple[str | None, str]:
        return context.user, context.identity.namespace

    @service.method
    def asked(context: Context[Gate]) -> list[str]:
        return context.state.asked

    return service


async def call(client: Client, authorization: bytes, method: str = "who") -> tuple[int, Any]:
    body = text(method)
    head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-Tenant: t\r\n"
    await client.send(head + b"Authorization: %b\r\nContent-Length: %d\r\n\r\n%b" % (authorization, len(body), body))
    return await client.response()


@pytest.mark.parametrize(
    ("authorization", "user"),
    [
        (b"Bearer plain", ["plain", "plain"]),
        (b"Bearer async", ["async", "async"]),
        (b"Basic YWRhOnB3", ["ada", "files"]),
        (b"Bearer other", None),
        (b"Bearer raises", None),
        (b"Basic YWRhOng=", None),
        (b"Digest x", None),
    ],
)
async def test_an_authenticator_of_each_kind_decides(authorization: bytes, user: list[str] | None) -> None:
    async with serving(doors()) as server, connected(server) as client:
        answer = {"jsonrpc": "2.0", "result": user, "id": 1}
        assert await call(client, authorization) == ((200, answer) if user else (401, REFUSAL))


@pytest.mark.parametrize(
    ("token", "raised"),
    [
        (b"raises", "SystemExit"),
        (b"nobody", "it returned an Identity without a user: it must return an Identity with a user, or None"),
    ],
)
async def test_a_defect_of_an_authenticator_is_logged_and_the_next_one_is_asked(
    token: bytes, raised: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(doors()) as server, connected(server) as client:
        assert (await call(client, b"Bearer " + token))[0] == 401
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "the authenticator plain failed: the caller was refused"
    assert record.exc_info is not None
    assert raised in repr(record.exc_info[1])


async def test_an_authenticator_sees_the_request_and_the_state_of_the_lifespan() -> None:
    async with serving(doors()) as server, connected(server) as client:
        assert (await call(client, b"Bearer plain", "asked"))[1]["result"] == ["http /rpc t"]


async def test_a_websocket_has_the_identity_of_its_handshake() -> None:
    async with serving(doors()) as server, connected(server) as client:
        await client.send(UPGRADE.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer async\r\n\r\n"))
        assert (await client.take_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert (await client.call("who"))["result"] == ["async", "async"]


async def test_a_websocket_logs_in_and_what_comes_behind_runs_as_the_new_caller() -> None:
    async with serving(doors()) as server, connected(server) as client:
        await client.upgrade()
        login = {"method": "bearer", "token": "async"}
        replies: dict[int, Any] = {}
        # A second change of the identity is refused while the first one is pending.
        first: list[tuple[int, str, object]] = [(1, "who", {}), (2, "auth.login", login), (3, "who", {})]
        second: list[tuple[int, str, object]] = [(4, "auth.logout", {}), (5, "who", {})]
        for requests in (first, second):
            for id, method, params in requests:
                await client.say(text(method, params, id))
            replies |= {reply["id"]: reply for reply in [await client.next() for _ in requests]}
        assert replies[1]["error"]["code"] == replies[5]["error"]["code"] == -32020
        assert replies[2]["result"] == {"user": "async", "scopes": ["read"], "expires_at": None}
        assert replies[3]["result"] == ["async", "async"]
        assert replies[4]["result"] == {}


async def test_an_authenticator_is_cancelled_when_its_client_leaves() -> None:
    service = doors()
    gates: list[Gate] = []
    service.on("connection.opened")(lambda event, context: gates.append(context.state))
    async with serving(service, config=Config(half_close_timeout=0.05)) as server:
        async with connected(server) as client:
            await call(client, b"Bearer plain")
        async with connected(server) as client:
            await client.send(UPGRADE.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer waits\r\n\r\n"))
            await gates[0].waits.wait()
        await gates[0].cancelled.wait()


async def test_the_end_of_the_server_cancels_authenticators_and_names_one_that_resists(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = doors()
    gates: list[Gate] = []
    service.on("connection.opened")(lambda event, context: gates.append(context.state))
    async with serving(service, config=QUICK) as server:
        async with connected(server) as client:
            await call(client, b"Bearer plain")
        async with connected(server) as waits, connected(server) as resists:
            for client, token in ((waits, b"waits"), (resists, b"resists")):
                await client.send(UPGRADE.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer %b\r\n\r\n" % token))
            await gates[0].waits.wait()
            server.shut_down()
            await server.ended()
        gates[0].resists.set()
    messages = [record.getMessage() for record in caplog.records]
    assert "authenticator async was cancelled, but goes on: the server ends" in messages


async def test_an_authenticator_in_a_thread_that_outlives_the_server_leaves_no_operation() -> None:
    service = Service("held")
    began, held = Event(), Event()

    @service.authenticator("basic", blocking=True)
    def slow(credentials: Basic) -> Identity | None:
        began.set()
        held.wait(10.0)
        return None

    async with serving(service, config=QUICK) as server:
        async with connected(server) as client:
            await client.send(UPGRADE.replace(b"\r\n\r\n", b"\r\nAuthorization: Basic YTpi\r\n\r\n"))
            assert await anyio.to_thread.run_sync(began.wait, 10.0)
            server.shut_down()
            await server.ended()
        assert server._board.gateway._operations.records == {}
        held.set()


@pytest.mark.parametrize(("queue", "refused"), [(0, 2), (1, 1), (2, 0)])
async def test_no_more_passwords_wait_to_be_hashed_than_the_limit(queue: int, refused: int) -> None:
    service = Service("hashes")

    @service.authenticator("basic", hashing=True)
    def basic(credentials: Basic) -> Identity:
        started.set()
        release.wait(60)
        return Identity(credentials.user)

    started, release = Event(), Event()
    config = Config(hashing_workers=1, max_hashing_queue=queue, max_hashes_per_address=3, drain_grace=0.0)
    body = text("connection.ping")
    head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    request = head + b"Authorization: Basic %b\r\nContent-Length: %d\r\n\r\n%b"
    async with (
        serving(service, config=config) as server,
        connected(server) as first,
        connected(server) as second,
        connected(server) as third,
    ):
        await first.send(request % (b"YWRhOnB3", len(body), body))
        await anyio.to_thread.run_sync(started.wait)
        await second.send(request % (b"Ym9iOnB3", len(body), body))
        await third.send(request % (b"ZXZlOnB3", len(body), body))
        waiting = [second, third]
        for client in waiting[len(waiting) - refused :]:
            status, answer = await client.response()
            assert (status, answer["error"]["code"]) == (503, -32009)
        release.set()
        for client in [first, *waiting[: len(waiting) - refused]]:
            assert (await client.response())[0] == 200


async def test_the_log_says_why_an_authenticator_has_refused(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("refuses")

    @service.authenticator("bearer", name="tokens")
    def bearer(credentials: Bearer) -> Any:
        return Refused("the account is locked") if credentials.token == "locked" else wrong

    wrong: Any = Refused(cast("Any", 3))
    async with serving(service) as server:
        for token in (b"Bearer locked", b"Bearer other"):
            async with connected(server) as client:
                assert await call(client, token) == (401, REFUSAL)
    messages = [record.getMessage() for record in caplog.records]
    assert any("refused credentials, reason=refused, why=tokens: the account is locked" in line for line in messages)
    assert "the authenticator tokens failed: the caller was refused" in messages


async def test_a_pool_that_is_full_refuses(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("busy")

    @service.authenticator("basic", blocking=True)
    def basic(credentials: Basic) -> Identity:
        started.set()
        release.wait(60)
        return Identity(credentials.user)

    started, release = Event(), Event()
    config = Config(blocking_workers=1, max_blocking_queue=0, max_hashes_per_user=2, drain_grace=0.0)
    async with serving(service, config=config) as server, connected(server) as first, connected(server) as second:
        body = text("connection.ping")
        head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        request = head + b"Authorization: Basic YWRhOnB3\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        await first.send(request)
        await anyio.to_thread.run_sync(started.wait)
        await second.send(request)
        assert (await second.response())[0] == 401
        release.set()
        assert (await first.response())[0] == 200
    assert any("every worker thread is busy" in str(record.exc_info) for record in caplog.records if record.exc_info)
