"""Log-ins that outlive the server: cookies and headers of a session in a store, over real HTTP and in a browser."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from posthouse.adapters.store import SqliteStore

from tests.adapters.loopback import ENVIRONMENT, ROOT

from .browser import CHROMIUM, MISSING, Page, browser
from .served import served

POSTHOUSE = [sys.executable, "-m", "posthouse"]


@contextmanager
def serving(store: Path) -> Iterator[str]:
    """`posthouse serve --store`: its address, until the block ends and with it the server."""
    command = [*POSTHOUSE, "serve", "diary:service", "--port", "0", "--store", str(store)]
    with subprocess.Popen(
        command, cwd=ROOT / "examples", env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            while not (line := process.stderr.readline()).startswith("listening on "):
                assert line, "it ended before it listened"
            yield line.removeprefix("listening on ").strip()
            process.send_signal(signal.SIGTERM)
            process.communicate()
            assert process.returncode == 0
        finally:
            process.kill()


def ask(url: str, name: str, headers: dict[str, str] | None = None, /, **params: Any) -> httpx.Response:
    body = {"jsonrpc": "2.0", "method": name, "params": params, "id": 1}
    return httpx.post(f"{url}/rpc", json=body, headers=headers)


def test_a_cookie_counts_after_a_restart_until_its_session_ends(tmp_path: Path) -> None:
    store = tmp_path / "diary.sqlite"
    add = [*POSTHOUSE, "user", "add", "ada", "--scope", "write", "--store", str(store)]
    subprocess.run(add, env=ENVIRONMENT, input="canary\n", text=True, check=True, capture_output=True)
    with serving(store) as url:
        answer = ask(url, "auth.login", method="password", user="ada", password="canary", cookie=True)
        assert answer.json()["result"] == {"user": "ada", "scopes": ["write"], "expires_at": None}
        cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
        assert ask(url, "write", cookie, text="hello").json()["result"] == 1
    with serving(store) as url:
        assert ask(url, "read", cookie).json()["result"] == ["hello"]
        (listed,) = ask(url, "session.list", cookie).json()["result"]["sessions"]
        assert listed["current"] is True
        assert ask(url, "session.end", cookie, session=listed["id"]).status_code == 200
        refused = ask(url, "read", cookie)
        assert (refused.status_code, "Max-Age=0" in refused.headers["set-cookie"]) == (401, True)


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_a_page_reloads_after_a_restart_and_goes_on(tmp_path: Path) -> None:
    calls = """
        const call = async (method, params) => {
            const body = JSON.stringify({jsonrpc: '2.0', method, params, id: 1});
            const answer = await fetch('/rpc', {method: 'POST', headers: {'Content-Type': 'application/json'}, body});
            const {result, error} = await answer.json();
            return error ? error.code : result;
        };
        const ask = (text) => new Promise((resolve) => {
            const socket = new WebSocket(`ws://${location.host}/ws`);
            socket.onerror = () => resolve('refused');
            socket.onopen = () => socket.send(text);
            socket.onmessage = ({data}) => resolve(JSON.parse(data).result.data);
        });
    """
    get = json.dumps({"jsonrpc": "2.0", "method": "session.get", "id": 1})
    log_in = "{method: 'bearer', token: 'the-right-token', cookie: true}"
    port = 0
    with browser(tmp_path / "profile") as socket:
        page = Page(socket)
        for turn in range(3):
            with served("asyncio", sessions="on", port=port, store=SqliteStore(tmp_path / "store.sqlite")) as server:
                port = server.port
                page.open(f"http://127.0.0.1:{port}/health")
                if not turn:
                    assert page.run(f"{calls} return (await call('auth.login', {log_in})).user") == "ada"
                else:
                    assert page.run(f"{calls} return await ask({get!r})") == {"turn": turn - 1}
                assert page.run(f"{calls} return (await call('connection.info')).user") == "ada"
                changed = f"{calls} return (await call('session.update', {{set: {{turn: {turn}}}}})).version"
                assert page.run(changed) == turn + 2
                assert page.run("return document.cookie") == "", "scripts do not see it"
        with served("asyncio", sessions="on", port=port, store=SqliteStore(tmp_path / "store.sqlite")):
            page.open(f"http://127.0.0.1:{port}/health")
            assert page.run(f"{calls} return await call('auth.logout')") == {}
            assert page.run(f"{calls} return (await call('connection.info')).user") is None
