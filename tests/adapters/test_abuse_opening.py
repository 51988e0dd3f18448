"""Abuse over real sockets: openings from elsewhere, and messages that inflate."""

from __future__ import annotations

import pytest
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config

from tests.abuse.inflating import INFLATING
from tests.abuse.sockets import EVIL, GOOD

from .loopback import UPGRADE, Client, connected, post, serving, text, websocket

pytestmark = pytest.mark.anyio

service = Service("opened", public=True)
called: list[str] = []


@service.method
def echo(value: str) -> str:
    called.append(value)
    return value


CALL = post(text("echo", ["from elsewhere"]))


async def ask(client: Client, request: bytes, *headers: bytes) -> tuple[int, bytes]:
    """The status and the head of the answer to a request with more headers."""
    line, _, rest = request.partition(b"\r\n")
    await client.send(b"\r\n".join((line, *headers, rest)))
    head = await client.take_until(b"\r\n\r\n")
    return int(head.split()[1]), head


async def test_row_30_a_page_from_elsewhere_opens_no_websocket() -> None:
    async with serving(service, allow_origins=[GOOD.decode()]) as server:
        for origin, expected in ((EVIL, 403), (b"null", 403), (GOOD, 101)):
            async with connected(server) as client:
                assert (await ask(client, UPGRADE, b"Origin: " + origin))[0] == expected
                if expected == 403:
                    assert b"\r\n\r\n" not in await client.rest()
        assert server.health().connections <= 1


async def test_row_31_a_name_that_was_bound_anew_to_this_address_reaches_nothing() -> None:
    called.clear()
    async with serving(service) as server:
        for opening in (UPGRADE, CALL, b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            async with connected(server) as client:
                name = b"evil.example:%d" % server.bound[0].port
                rebound = opening.replace(b"Host: localhost", b"Host: " + name)
                assert (await ask(client, rebound, b"Origin: http://" + name))[0] == 421
                await client.rest()
    assert called == []


async def test_rows_30_and_32_a_page_of_the_same_origin_calls_and_in_development_one_of_any_loopback_origin() -> None:
    async with serving(service) as server, serving(service, dev=True) as developing:
        for at in (server, developing):
            here = b"localhost:%d" % at.bound[0].port
            for origin, allowed in ((here, True), (b"localhost:1", at is developing), (b"[::1]", at is developing)):
                for opening, expected in ((CALL, 200), (UPGRADE, 101)):
                    async with connected(at) as client:
                        request = opening.replace(b"Host: localhost", b"Host: " + here)
                        status, _ = await ask(client, request, b"Origin: http://" + origin)
                        assert status == (expected if allowed else 403)


async def test_row_32_a_form_or_a_page_from_elsewhere_calls_nothing() -> None:
    called.clear()
    async with serving(service, allow_origins=[GOOD.decode()]) as server:
        form = CALL.replace(b"application/json", b"text/plain")
        for request, origin, expected in ((CALL, EVIL, 403), (form, GOOD, 415), (form, EVIL, 403)):
            async with connected(server) as client:
                status, head = await ask(client, request, b"Origin: " + origin)
                assert status == expected
                assert (b"Access-Control" in head) == (origin == GOOD)
                await client.rest()
        assert called == []
        async with connected(server) as client:
            assert (await ask(client, CALL, b"Origin: " + GOOD))[0] == 200
    assert called == ["from elsewhere"]


async def test_row_33_a_preflight_is_answered_204_for_allowed_origins_alone() -> None:
    preflight = b"OPTIONS /rpc HTTP/1.1\r\nHost: localhost\r\nAccess-Control-Request-Method: POST\r\n\r\n"
    async with serving(service, allow_origins=[GOOD.decode()]) as server:
        async with connected(server) as client:
            status, head = await ask(client, preflight, b"Origin: " + GOOD)
            assert status == 204
            assert b"Access-Control-Allow-Origin: " + GOOD in head
            assert b"*" not in head
            assert b"Credentials" not in head
        async with connected(server) as client:
            assert (await ask(client, preflight, b"Origin: " + EVIL))[0] == 403


OFFER = UPGRADE.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")


@pytest.mark.parametrize(("payload", "code"), INFLATING.values(), ids=INFLATING)
async def test_row_13_a_message_that_inflates_too_much_or_not_at_all_ends_its_connection_alone(
    payload: bytes, code: int
) -> None:
    async with serving(service, config=Config(close_timeout=0.5)) as server, websocket(server) as beside:
        async with connected(server) as client:
            assert (await ask(client, OFFER))[0] == 101
            await client.say(payload, opcode=0x41)
            assert await client.close_code() == code
        assert (await beside.call("echo", ["unaffected"]))["result"] == "unaffected"
        assert server.health().memory < 2 * 1024 * 1024
