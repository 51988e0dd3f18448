"""Servers that record: over sockets and pipes, on both event loops; what they record is replayed to the same."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import anyio
import pytest
from posthouse.adapters.journal import Journal, read, replay
from posthouse.adapters.journal import recorder as recorders
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config

from tests.adapters.loopback import PATIENCE, connected, serving, text, websocket

pytestmark = pytest.mark.anyio

CANARY = "c4n4ry"


def told() -> tuple[Service, list[str]]:
    """A service, and the events that its hook was told."""
    service = Service("recorded", public=True)
    events: list[str] = []

    @service.method
    def echo(value: str) -> str:
        return value

    @service.method
    async def fail() -> None:
        raise ValueError("on purpose")

    @service.on("connection.opened")
    def opened(event: object) -> None:
        events.append("opened")

    return service, events


def held(path: Path, service: Service) -> Journal:
    """The journal, when a replay of it has gone the same way."""
    journal = read(path)
    done = replay(journal, service, check=True)
    assert done.failure is None
    assert (done.given, done.skipped, done.diverged_at) == (len(journal.entries), 0, None)
    return journal


async def test_the_inputs_of_a_server_are_recorded_and_replay_to_the_same(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    service, events = told()
    async with serving(service, journal=path, config=Config(drain_spread=0.0, drain_grace=1.0)) as server:
        async with connected(server) as client:
            body = text("echo", ["hello"])
            head = (
                f"POST /rpc?q={CANARY} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Authorization: Bearer {CANARY}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            await client.stream.send(head.encode() + body)
            assert (await client.stream.receive()).startswith(b"HTTP/1.1 200")
        async with websocket(server) as client:
            assert (await client.call("echo", {"value": "again"}))["result"] == "again"
            assert (await client.call("fail"))["error"]["code"] == -32603
        server.shut_down()
        with anyio.fail_after(PATIENCE):
            await server.ended()
    assert events == ["opened", "opened"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert CANARY not in path.read_text()
    journal = held(path, service)
    assert journal.end == "the server stopped"
    assert {"opened", "received", "complete", "fail", "closed", "shut_down"} <= {e.input for e in journal.entries}


async def test_a_pipe_is_recorded_too(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    service, _ = told()
    (source, send), (receive, sink) = os.pipe(), os.pipe()
    os.write(send, text("echo", ["piped"]) + b"\n")
    os.close(send)
    async with serving(service, pipes=[(source, sink)], journal=path) as _server:
        answer = await anyio.to_thread.run_sync(os.read, receive, 1000)
        assert json.loads(answer)["result"] == "piped"
        while await anyio.to_thread.run_sync(os.read, receive, 1000):
            pass
    os.close(receive)
    assert "received_eof" in [entry.input for entry in held(path, service).entries]


async def test_without_a_journal_nothing_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any, **__: Any) -> None:
        raise AssertionError("a recorder without a journal")

    monkeypatch.setattr(recorders, "Recorder", none)
    service, _ = told()
    async with serving(service) as server, connected(server) as client:
        assert (await client.post("echo", ["plain"]))[0] == 200
        assert not {"received", "complete"} & vars(server._board).keys()
