"""What a handler knows about its connection, and notifications behind its reply: over real sockets."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest
from posthouse.core.service.context import Context
from posthouse.core.service.method import Method
from posthouse.core.service.parameters import Arguments
from posthouse.core.service.service import Service
from posthouse.core.values.errors import RpcError

from tests.adapters.loopback import UPGRADE, connected, post, serving, text, websocket

pytestmark = pytest.mark.anyio


def facts(context: Context) -> dict[str, Any]:
    return {"host": context.address.host, "path": context.path, "headers": dict(context.headers)}


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_handler_knows_the_address_path_and_headers_of_its_request(blocking: bool) -> None:
    service = Service("facts", public=True)
    service.method("facts", blocking=blocking)(facts)
    secrets = (
        b"Authorization: Bearer secret\r\nCookie: sid=secret\r\nPosthouse-Session: secret\r\nX-Tag: a\r\nx-tag: b\r\n"
    )
    body = text("facts")
    async with serving(service) as server, connected(server) as client:
        await client.send(
            post(body)
            .replace(b"/rpc", b"/rpc?page=1")
            .replace(b"Host: localhost\r\n", b"Host: localhost\r\n" + secrets)
        )
        _, answer = await client.response()
        assert answer["result"] == {
            "host": "127.0.0.1",
            "path": "/rpc",
            "headers": {
                "host": "localhost",
                "content-type": "application/json",
                "content-length": str(len(body)),
                "x-tag": "a, b",
            },
        }


async def test_over_a_websocket_every_call_has_the_headers_of_the_handshake() -> None:
    service = Service("facts", public=True)
    service.method(facts)
    async with serving(service) as server, connected(server) as client:
        await client.send(
            UPGRADE.replace(b"Host: localhost\r\n", b"Host: localhost\r\nSec-WebSocket-Protocol: secret\r\n")
        )
        await client.take_until(b"\r\n\r\n")
        for _ in range(2):
            found = (await client.call("facts"))["result"]
            assert (found["path"], found["headers"]["upgrade"]) == ("/ws", "websocket")
            assert "secret" not in str(found)


async def test_all_calls_of_a_connection_share_its_state_and_no_other_connection_does() -> None:
    service = Service("states", public=True)

    def count(context: Context) -> int:
        number: int = context.connection_state.get("count", 0) + 1
        context.connection_state["count"] = number
        return number

    service.method("plain")(count)
    service.method("blocking", blocking=True)(count)

    @service.method
    async def awaiting(context: Context) -> int:
        return count(context)

    @service.on_call
    def note(context: Context, method: Method, arguments: Arguments) -> None:
        context.connection_state["intercepted"] = True

    @service.method
    def intercepted(context: Context) -> bool:
        return context.connection_state["intercepted"] is True

    async with serving(service) as server:
        for _ in range(2):
            async with websocket(server) as client:
                counted = [
                    (await client.call(name))["result"] for name in ("plain", "blocking", "awaiting", "intercepted")
                ]
                assert counted == [1, 2, 3, True]
        async with connected(server) as client:
            assert [(await client.post("plain"))[1]["result"] for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_notification_behind_the_reply_comes_after_it_and_not_after_an_error(blocking: bool) -> None:
    service = Service("subscriptions", public=True)

    @service.method(blocking=blocking)
    def subscribe(context: Context, refused: bool) -> str:
        assert context.notify("event", [1], after_reply=True)
        assert context.notify("before")
        if refused:
            raise RpcError(7, "no")
        return "0x1"

    async with serving(service) as server, websocket(server) as client:
        await client.say(text("subscribe", [True], id=1))
        assert (await client.next())["method"] == "before"
        assert (await client.next())["error"]["code"] == 7
        await client.say(text("subscribe", [False], id=2))
        assert (await client.next())["method"] == "before"
        assert (await client.next())["result"] == "0x1"
        assert (await client.next()) == {"jsonrpc": "2.0", "method": "event", "params": [1]}


async def test_over_http_nothing_follows_a_reply() -> None:
    service = Service("subscriptions", public=True)

    @service.method
    def subscribe(context: Context) -> bool:
        return context.notify("event", after_reply=True)

    async with serving(service) as server, connected(server) as client:
        assert (await client.post("subscribe"))[1]["result"] is False


@pytest.mark.parametrize("kind", ["plain", "awaits", "blocking"])
async def test_a_context_that_is_kept_notifies_after_a_result_and_never_after_an_error(kind: str) -> None:
    service = Service("kept", public=True)
    kept: list[Context] = []

    def keep(context: Context, refused: bool) -> Any:
        kept.append(context)
        if refused:
            raise RpcError(7, "no")
        return object() if len(kept) == 2 else "kept"

    async def keep_later(context: Context, refused: bool) -> Any:
        return keep(context, refused)

    service.method("keep", blocking=kind == "blocking")(keep_later if kind == "awaits" else keep)

    async with serving(service) as server, websocket(server) as client:
        for refused in (False, False, True):
            await client.call("keep", [refused])
        notify = partial(kept[0].notify, "event", [1], after_reply=True)
        assert [kept[1].notify("event", after_reply=True), kept[2].notify("event", after_reply=True)] == [False, False]
        assert notify()
        assert (await client.next())["params"] == [1]
        assert await anyio.to_thread.run_sync(notify)
        assert (await client.next())["params"] == [1]


async def test_a_context_keeps_its_connections_state_while_others_have_none_of_it() -> None:
    service = Service("states", public=True)
    kept: list[Context] = []

    @service.method
    def keep(context: Context) -> None:
        context.connection_state["kept"] = True
        kept.append(context)

    async with serving(service) as server:
        for _ in range(2):
            async with connected(server) as client:
                await client.post("keep")
    first, second = kept
    assert first.connection_state == second.connection_state == {"kept": True}
    assert first.connection_state is not second.connection_state
