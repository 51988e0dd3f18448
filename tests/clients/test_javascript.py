"""JavaScript calls a server with its default options: node, and pages in headless Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

from tests.adapters.loopback import PATIENCE

from .proxy import Proxy, proxied
from .served import Served

CALLS = """
async function post(url, params) {
  const body = JSON.stringify({jsonrpc: "2.0", method: "echo", params, id: 1});
  const answer = await fetch(url, {method: "POST", headers: {"Content-Type": "application/json"}, body});
  return [answer.status, (await answer.json()).result];
}

function talk(url) {
  return new Promise((resolve) => {
    const heard = [];
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send(JSON.stringify({jsonrpc: "2.0", method: "push", params: ["é"], id: 2}));
    socket.onmessage = (event) => {
      heard.push(JSON.parse(event.data));
      if (heard.length === 2) { socket.close(); resolve(heard.map((each) => each.params || each.result)); }
    };
    socket.onerror = () => resolve("refused");
  });
}
"""
"""What a page and node have in common."""

PAGE = """<!doctype html>
<script>
%s
(async () => {
  const elsewhere = "127.0.0.1:%d";
  const report = {
    same: await post("/rpc", ["é"]),
    socket: await talk(`ws://${location.host}/ws`),
    other: await post(`http://${elsewhere}/rpc`, [1]).catch(() => "refused"),
    other_socket: await talk(`ws://${elsewhere}/ws`),
    health: (await fetch("/health")).status,
  };
  await fetch("http://127.0.0.1:%d/report", {method: "POST", mode: "no-cors", body: JSON.stringify(report)});
})();
</script>
"""


def script(server: Served) -> str:
    chunked = """
  const stream = new Blob([JSON.stringify({jsonrpc: "2.0", method: "echo", params: [3], id: 1})]).stream();
  const headers = {"Content-Type": "application/json"};
  const answer = await fetch(url, {method: "POST", headers, body: stream, duplex: "half"});
"""
    return f"""{CALLS}
(async () => {{
  const url = {json.dumps(server.rpc)};
  {chunked}
  const report = {{
    fetch: await post(url, ["é"]),
    chunked: [answer.status, (await answer.json()).result],
    socket: await talk({json.dumps(server.ws)}),
  }};
  console.log(JSON.stringify(report));
}})();
"""


def test_node_calls_with_fetch_and_over_a_websocket(server: Served) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    major = int(version.strip().removeprefix("v").split(".")[0])
    if major < 20:
        pytest.skip(f"node {version.strip()} has no WebSocket: 20 or newer has")
    flags = [] if major >= 22 else ["--experimental-websocket"]
    done = subprocess.run(
        [node, *flags, "--eval", script(server)], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert json.loads(done.stdout) == {"fetch": [200, "é"], "chunked": [200, 3], "socket": [["é"], True]}


def browsed(chromium: str, page: Proxy, told: Proxy, profile: Path) -> Any:
    """What the page reports to `told`, from a browser that is ended when it has."""
    command = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    log = profile / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}", f"http://127.0.0.1:{page.port}/"], stdout=errors, stderr=errors
        )
    try:
        return told.reports.get(timeout=PATIENCE)
    except Empty:
        pytest.fail(log.read_text()[-2000:])
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_a_page_of_the_same_origin_calls_in_a_browser_and_is_refused_elsewhere(server: Served, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    with (
        proxied(server.port) as elsewhere,
        proxied(server.port) as told,
        proxied(server.port, PAGE % (CALLS, elsewhere.port, told.port)) as page,
    ):
        report = browsed(chromium, page, told, tmp_path)
    assert report == {
        "same": [200, "é"],
        "socket": [["é"], True],
        "other": "refused",
        "other_socket": "refused",
        "health": 200,
    }
