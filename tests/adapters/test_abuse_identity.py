"""Rows 4 and 39 over real sockets: no log-in in time; a token that expires; a user who is banned while a call runs."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio
import pytest
from posthouse.core.service.authenticators import Bearer
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Identity

from .loopback import Client, connected, post, serving, text, websocket

pytestmark = pytest.mark.anyio

FOREVER = Identity("ada")


def guarded(decide: Callable[[], Identity | None], told: list[str]) -> Service:
    """A service with one method, which goes on without its caller. It tells when it begins and ends."""
    service = Service("guarded")

    @service.method(on_disconnect="finish")
    async def hold() -> None:
        told.append("begun")
        try:
            await anyio.sleep_forever()
        finally:
            told.append("ended")

    @service.authenticator("bearer")
    def bearer(credentials: Bearer) -> Identity | None:
        return decide()

    return service


async def log_in(client: Client) -> None:
    answer = await client.call("auth.login", {"method": "bearer", "token": "token"})
    assert answer["result"]["user"] == "ada"


async def test_row_39_a_token_that_expires_is_told_refused_and_closed() -> None:
    service = guarded(lambda: Identity("ada", expires_at=time.time() + 0.2), [])
    async with serving(service, config=Config(auth_grace=0.5)) as server, websocket(server) as client:
        await log_in(client)
        assert (await client.next())["method"] == "auth.expiring"
        while "auth.expired" not in server.stats():
            await anyio.lowlevel.checkpoint()
        assert (await client.call("hold", id=2))["error"]["code"] == -32022
        assert await client.close_code() == 4401


async def test_row_39_a_banned_user_is_closed_at_once_and_no_call_of_theirs_goes_on() -> None:
    told: list[str] = []
    banned = False
    service = guarded(lambda: None if banned else FOREVER, told)
    async with serving(service) as server, websocket(server) as client, connected(server) as over_http:
        await log_in(client)
        await client.say(text("hold", id=2))
        request = post(text("hold")).replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer token\r\n\r\n")
        await over_http.send(request)
        while len(told) < 2:
            await anyio.lowlevel.checkpoint()
        banned = True
        assert server.revoke("ada") == 2
        assert await client.close_code() == 4403
        status, answer = await over_http.response()
        assert (status, answer["error"]["code"]) == (403, -32021)
        while server.stats()["calls.running"]:
            await anyio.lowlevel.checkpoint()
        assert told == ["begun", "begun", "ended", "ended"]
        async with connected(server) as again:
            await again.send(request)
            assert (await again.response())[0] == 401


async def test_row_04_a_websocket_that_does_not_log_in_is_closed_and_a_call_without_credentials_is_401() -> None:
    told: list[str] = []
    config = Config(require_authentication=True, authentication_timeout=1.0)
    async with (
        serving(guarded(lambda: FOREVER, told), config=config) as server,
        websocket(server) as good,
        websocket(server) as silent,
        connected(server) as over_http,
    ):
        await log_in(good)
        assert await silent.close_code() == 4408
        await over_http.send(post(text("hold")).partition(b"\r\n\r\n")[0] + b"\r\nExpect: 100-continue\r\n\r\n")
        status, answer = await over_http.response()
        assert (status, answer["error"]["code"]) == (401, -32020)
        await good.say(text("hold", id=2))
        while not told:
            await anyio.lowlevel.checkpoint()
        assert server.stats()["limit.authentication_timeout"] == 1


async def test_statistics_over_loopback_are_told_to_a_caller_with_the_scope_and_to_no_other() -> None:
    service = Service("guarded")

    @service.authenticator("bearer")
    async def bearer(credentials: Bearer) -> Identity | None:
        await anyio.lowlevel.checkpoint()
        return {"root": Identity("root", ("admin",)), "ada": Identity("ada")}.get(credentials.token)

    async with serving(service) as server:
        for token, expected in ((b"root", 200), (b"root", 200), (b"ada", 403), (b"wrong", 401), (b"", 401)):
            async with connected(server) as client:
                credentials = b"Authorization: Bearer %b\r\n" % token if token else b""
                await client.send(b"GET /stats HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % credentials)
                status, answer = await client.response()
                assert status == expected
                assert ("auth.succeeded" in answer) is (status == 200)
