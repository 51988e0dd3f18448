"""The example in FastAPI: a REST route, the gateway, and one dependency for both, under two ASGI servers. Its clients
are `websockets`, curl, and a browser.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.adapters.loopback import ENVIRONMENT, PATIENCE, ROOT, text
from tests.clients.browser import CHROMIUM, MISSING, Page, browser

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


@pytest.mark.skipif(
    shutil.which("curl") is None, reason="there is no curl: install it (on Debian: apt-get install curl)"
)
def test_the_command_of_its_documentation_calls_it(program: Program) -> None:
    documented = (ROOT / "examples" / "fastapi_app.py").read_text(encoding="utf-8")
    found = re.search(r"^    (curl .*?)\n\n", documented, re.MULTILINE | re.DOTALL)
    assert found is not None
    command = shlex.split(found[1].replace("\\\n", "").replace("127.0.0.1:8000", f"127.0.0.1:{program[1]}"))
    told = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True).stdout
    assert json.loads(told) == {"jsonrpc": "2.0", "result": 1, "id": 1}
    credentials = command.index("Authorization: Bearer ada-token")
    del command[credentials - 1 : credentials + 1]
    told = subprocess.run([*command, "-w", " %{http_code}"], capture_output=True, timeout=PATIENCE, check=True).stdout
    assert told == b'{"detail":"a token is required"} 401'


IN_A_PAGE = """
    const post = async (path, body, token) => {
        const headers = {'Content-Type': 'application/json', ...(token ? {Authorization: `Bearer ${token}`} : {})};
        const answer = await fetch(path, {method: 'POST', headers, body});
        return [answer.status, await answer.json()];
    };
    const call = async (method, params, token) => {
        const body = JSON.stringify({jsonrpc: '2.0', method, params, id: 1});
        const [status, {result, error}] = await post('/rpc', body, token);
        return error ? [status, error.code] : [status, result];
    };
    const opened = (path) => new Promise((resolve) => {
        const socket = new WebSocket(`ws://${location.host}${path}`);
        socket.texts = new Promise((told) => { socket.onmessage = ({data}) => told(JSON.parse(data)); });
        socket.onerror = () => resolve(null);
        socket.onopen = () => resolve(socket);
    });
    const seen = [await call('orders.add', ['tea'], 'ada-token'), await call('orders.add', ['tea'], 'bob-token')];
    seen.push((await call('orders.add', ['tea']))[0], await opened('/rpc'));
    const socket = await opened('/public/ws');
    seen.push(await post('/orders/coffee', '', 'bob-token'), (await socket.texts).params);
    return seen;
"""


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_a_page_in_a_browser_calls_it_and_is_told_of_orders(program: Program, tmp_path: Path) -> None:
    with browser(tmp_path) as socket:
        page = Page(socket)
        page.open(f"http://127.0.0.1:{program[1]}/about")
        added, forbidden, unknown, refused, told = [200, 1], [403, -32021], 401, None, [200, 1]
        assert page.run(IN_A_PAGE) == [added, forbidden, unknown, refused, told, {"item": "coffee"}]
