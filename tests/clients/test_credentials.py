"""Credentials of clients that are not ours: passwords, tokens, cookies, and a token in a subprotocol."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import trustme

from tests.adapters.loopback import PATIENCE

from .served import Served, served

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


def test_the_cookies_of_a_client_carry_a_log_in_over_https(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with served("asyncio", tls_cert=tmp_path / "server.pem") as server, httpx.Client(verify=context) as client:

        def user() -> object:
            return client.post(server.rpc, json=INFO).json()["result"]["user"]

        assert user() is None
        client.post(server.rpc, json=call("auth.login", method="bearer", token="the-right-token", cookie=True))
        assert [cookie.name for cookie in client.cookies.jar] == ["__Host-posthouse"]
        assert user() == "ada"
        assert client.post(server.rpc, json=call("auth.logout")).status_code == 200
        assert not client.cookies.jar
        assert user() is None


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (["-u", "bob:the-right-password: ü"], "200", b'"user":"bob"'),
        (["-u", "bob:the-wrong-password"], "401", b'"code":-32020'),
        (["-u", "eve:the-right-password: ü"], "401", b'"code":-32020'),
        (["--oauth2-bearer", "the-right-token"], "200", b'"user":"ada"'),
        (["--oauth2-bearer", "the-wrong-token"], "401", b'"code":-32020'),
    ],
)
def test_curl_sends_a_password_or_a_token(server: Served, options: list[str], status: str, says: bytes) -> None:
    shown = ["-w", "\n%{http_code}", "-H", "Content-Type: application/json", "-d", json.dumps(INFO), server.rpc]
    done = subprocess.run(["curl", "-sS", *options, *shown], capture_output=True, timeout=PATIENCE, check=True)
    answer, _, code = done.stdout.rpartition(b"\n")
    assert (code.decode(), says in answer) == (status, True), answer


def test_a_websocket_offers_a_token_as_a_subprotocol(server: Served) -> None:
    ours, right, wrong = "posthouse.v1.json", "posthouse.bearer.dGhlLXJpZ2h0LXRva2Vu", "posthouse.bearer.d3Jvbmc"
    assert asyncio.run(user_of_websocket(server, protocols=(ours, right))) == "ada"
    assert asyncio.run(user_of_websocket(server, protocols=(ours, wrong))) == 401
    assert asyncio.run(user_of_websocket(server, protocols=(right,))) == 400
    both = {"protocols": (ours, right), "headers": {"Authorization": "Bearer the-right-token"}}
    assert asyncio.run(user_of_websocket(server, **both)) == "ada"
