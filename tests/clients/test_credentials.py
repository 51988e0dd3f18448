"""Credentials of clients that are not ours: a cookie over HTTP and for a WebSocket, and a token in a subprotocol."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import httpx

from .served import Served

INFO = {"jsonrpc": "2.0", "method": "connection.info", "id": 2}


def call(method: str, /, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}


async def user_of_websocket(server: Served, **options: Any) -> object:
    """Who calls on a WebSocket with these options, or the status that refuses it."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(server.ws, **options) as socket:
                assert socket.protocol in (None, "posthouse.v1.json")
                await socket.send_json(INFO)
                return (await socket.receive_json())["result"]["user"]
        except aiohttp.WSServerHandshakeError as error:
            return error.status


def test_a_log_in_with_a_cookie_lasts_until_the_log_out(server: Served) -> None:
    # Clients that are no browsers do not send a Secure cookie over http, so that it is given to them by hand.
    with httpx.Client() as client:
        answer = client.post(server.rpc, json=call("auth.login", method="bearer", token="the-right-token", cookie=True))
        assert answer.json()["result"]["user"] == "ada"
        cookie, *attributes = answer.headers["set-cookie"].split("; ")
        assert sorted(attributes) == ["HttpOnly", "Max-Age=7776000", "Path=/", "SameSite=Strict", "Secure"]
        headers = {"Cookie": cookie}
        assert client.post(server.rpc, json=INFO, headers=headers).json()["result"]["user"] == "ada"
        assert client.post(server.rpc, json=INFO).json()["result"]["user"] is None
        assert asyncio.run(user_of_websocket(server, headers=headers)) == "ada"
        assert "Max-Age=0" in client.post(server.rpc, json=call("auth.logout"), headers=headers).headers["set-cookie"]
        assert client.post(server.rpc, json=INFO, headers=headers).status_code == 401
        assert asyncio.run(user_of_websocket(server, headers=headers)) == 401


def test_a_websocket_offers_a_token_as_a_subprotocol(server: Served) -> None:
    ours, right, wrong = "posthouse.v1.json", "posthouse.bearer.dGhlLXJpZ2h0LXRva2Vu", "posthouse.bearer.d3Jvbmc"
    assert asyncio.run(user_of_websocket(server, protocols=(ours, right))) == "ada"
    assert asyncio.run(user_of_websocket(server, protocols=(ours, wrong))) == 401
    assert asyncio.run(user_of_websocket(server, protocols=(right,))) == 400
    both = {"protocols": (ours, right), "headers": {"Authorization": "Bearer the-right-token"}}
    assert asyncio.run(user_of_websocket(server, **both)) == "ada"
