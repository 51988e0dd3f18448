"""The example in FastAPI: a REST route, the gateway, and one dependency for both, under two ASGI servers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.adapters.loopback import ENVIRONMENT, PATIENCE, ROOT, text

ADA = {"Authorization": "Bearer ada-token"}
BOB = {"Authorization": "Bearer bob-token"}

Program = tuple["subprocess.Popen[str]", int]


@pytest.fixture(params=["uvicorn", "hypercorn"])
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    command = [sys.executable, str(ROOT / "examples" / "fastapi_app.py"), "0", request.param]
    with subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"(\d+)$", process.stdout.readline().strip())
            assert found
            yield process, int(found[1])
        finally:
            process.kill()


def ask(port: int, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = {}) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, json.load(response)
    finally:
        connection.close()


def opened(port: int, headers: dict[str, str], path: str = "/rpc") -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{port}{path}", additional_headers=headers, open_timeout=PATIENCE, close_timeout=PATIENCE
    )


def test_it_serves_rest_and_the_gateway_to_the_same_users_and_ends(program: Program) -> None:
    process, port = program
    call = text("orders.add", ["tea"])
    assert ask(port, "POST", "/rpc", call, ADA)[1]["result"] == 1
    assert ask(port, "POST", "/rpc", call, BOB)[1]["error"]["code"] == -32021
    assert ask(port, "POST", "/rpc", call)[0] == 401
    assert ask(port, "GET", "/orders", headers=BOB) == (200, ["tea for ada"])
    assert ask(port, "GET", "/about") == (200, "a shop")
    assert ask(port, "POST", "/public/rpc", text("about"))[1]["result"] == "a shop"
    with pytest.raises(InvalidStatus) as refused:
        opened(port, {})
    assert refused.value.response.status_code == 401
    with opened(port, ADA) as client:
        client.send(call.decode())
        assert json.loads(client.recv(PATIENCE))["result"] == 2
        assert ask(port, "POST", "/orders/coffee", headers=BOB) == (200, 1)
        assert json.loads(client.recv(PATIENCE))["params"] == {"item": "coffee"}
        process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                client.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code in (1001, 1012)
    assert process.wait(PATIENCE) == 0
