"""Pages in a real browser: a cookie, a token in a subprotocol, and the pages of other origins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from websockets.sync.client import ClientConnection

from .browser import CHROMIUM, MISSING, Page, browser
from .served import Served, served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

CALLS = """
    const call = async (method, params, options) => {
        const body = JSON.stringify({jsonrpc: '2.0', method, params, id: 1});
        const headers = {'Content-Type': 'application/json'};
        const answer = await fetch(RPC, {method: 'POST', headers, body, ...options});
        const {result, error} = await answer.json();
        return error ? [answer.status, error.code] : result;
    };
    const user = async (protocols) => new Promise((resolve) => {
        const socket = new WebSocket(WS, protocols);
        socket.onerror = () => resolve('refused');
        socket.onopen = () => socket.send('{"jsonrpc": "2.0", "method": "connection.info", "id": 1}');
        socket.onmessage = ({data}) => resolve([JSON.parse(data).result.user, socket.protocol]);
    });
"""

CALL_WITH_COOKIE = "await call('wait', ['forged'], {credentials: 'include'})"

SEND_WITHOUT_PREFLIGHT = """
    const body = '{"jsonrpc": "2.0", "method": "wait", "params": ["forged"]}';
    return (await fetch(RPC, {method: 'POST', body, credentials: 'include', mode: 'no-cors'})).type;
"""

SUBMIT_A_FORM = """
    document.body.innerHTML = `
        <iframe name=frame></iframe>
        <form method=post enctype=text/plain action=${RPC} target=frame>
            <input name='{"jsonrpc": "2.0", "method": "wait", "params": ["forged"], "meta": {"x": "' value='"}}'>
        </form>`;
    const loaded = new Promise((resolve) => document.querySelector('iframe').onload = resolve);
    document.forms[0].submit();
    await loaded;
"""
"""A form sends JSON as text/plain, to any site."""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientConnection]:
    with browser(tmp_path_factory.mktemp("profile")) as socket:
        yield socket


@pytest.fixture
def page(chromium: ClientConnection) -> Page:
    """A tab without cookies."""
    return Page(chromium)


@pytest.fixture(scope="module")
def other() -> Iterator[Served]:
    """A server of another origin, which is of the same site: cookies do not know ports."""
    with served("asyncio") as server:
        yield server


def run(page: Page, server: Served, script: str) -> object:
    """Run a script that may call this server."""
    return page.run(f"const RPC = '{server.rpc}', WS = '{server.ws}'; {CALLS} {script}")


def log_in(page: Page, server: Served) -> object:
    params = "{method: 'bearer', token: 'the-right-token', cookie: true}"
    return run(page, server, f"return (await call('auth.login', {params})).user")


def test_a_page_of_the_same_origin_logs_in_with_a_cookie_and_opens_a_websocket_with_it(
    server: Served, page: Page
) -> None:
    page.open(f"http://127.0.0.1:{server.port}/health")
    assert run(page, server, "return await user()") == [None, ""]
    assert log_in(page, server) == "ada"
    assert page.run("return document.cookie") == "", "scripts do not see it"
    assert run(page, server, "return (await call('connection.info')).user") == "ada"
    assert run(page, server, "return await user()") == ["ada", ""]
    assert run(page, server, "return await call('auth.logout')") == {}
    assert run(page, server, "return (await call('connection.info')).user") is None
    assert run(page, server, "return await user()") == [None, ""]


def test_a_page_offers_its_token_as_a_subprotocol(server: Served, page: Page) -> None:
    page.open(f"http://127.0.0.1:{server.port}/health")
    right, wrong = "posthouse.bearer.dGhlLXJpZ2h0LXRva2Vu", "posthouse.bearer.dGhlLXdyb25nLXRva2Vu"
    ours = "posthouse.v1.json"
    assert run(page, server, f"return await user(['{ours}', '{right}'])") == ["ada", ours]
    assert run(page, server, f"return await user(['{right}', '{ours}'])") == ["ada", ours]
    assert run(page, server, f"return await user(['{ours}', '{wrong}'])") == "refused"
    assert run(page, server, f"return await user(['{right}'])") == "refused"


def test_a_page_of_another_origin_is_refused_though_its_browser_sends_the_cookie(
    server: Served, other: Served, page: Page
) -> None:
    page.open(f"http://127.0.0.1:{server.port}/health")
    assert log_in(page, server) == "ada"
    page.open(f"http://127.0.0.1:{other.port}/health")
    assert run(page, server, "return await user()") == "refused"
    script = f"try {{ return {CALL_WITH_COOKIE} }} catch (error) {{ return error.name }}"
    assert run(page, server, script) == "TypeError", "the preflight refuses it"
    assert run(page, server, SEND_WITHOUT_PREFLIGHT) == "opaque"
    run(page, server, SUBMIT_A_FORM)
    assert server.begun.empty(), "no call of the other page was let in"
    page.open(f"http://127.0.0.1:{server.port}/health")
    assert run(page, server, "return (await call('connection.info')).user") == "ada", "the cookie still counts"


def test_a_page_without_an_origin_is_refused(server: Served, page: Page) -> None:
    page.open("data:text/html,<p>")
    assert run(page, server, "return await user()") == "refused"
    asked = "await call('connection.info')"
    assert run(page, server, f"try {{ return {asked} }} catch (error) {{ return error.name }}") == "TypeError"
