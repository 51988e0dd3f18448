"""The server under loops that are not ours: each example as a process, called from outside."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

from tests.adapters.loopback import PATIENCE, post, text

from .processes import EXAMPLES, Program, running

RESET = struct.pack("ii", 1, 0)


LOOPS = ["asyncio", "selectors", "threads", "trio", "twisted"]
CANCELLING = ["asyncio", "trio", "twisted"]


def needs(name: str) -> Any:
    """A parameter that is skipped with its reason if what the example needs is not installed."""
    missing = name in ("trio", "twisted") and find_spec(name) is None
    return pytest.param(name, marks=pytest.mark.skipif(missing, reason=f"{name} is not installed"))


@pytest.fixture(params=map(needs, LOOPS))
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    with running(EXAMPLES / f"embed_{request.param}.py") as program:
        yield program


@pytest.fixture(params=map(needs, CANCELLING))
def cancelling_program(request: pytest.FixtureRequest) -> Iterator[Program]:
    with running(EXAMPLES / f"embed_{request.param}.py") as program:
        yield program


def test_every_example_of_a_loop_is_among_these() -> None:
    others = {"gateway"}  # no loop: an ASGI server drives it
    assert {file.stem.removeprefix("embed_") for file in EXAMPLES.glob("embed_*.py")} == {*LOOPS, *others}


def websocket(program: Program) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{program.port}/ws", open_timeout=PATIENCE, max_size=None, compression=None)


def read_response(sock: socket.socket) -> bytes:
    """The body of one HTTP response."""
    with sock.makefile("rb") as file:
        assert file.readline() == b"HTTP/1.1 200 OK\r\n"
        size = 0
        while (line := file.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        return file.read(size)


def test_it_answers_over_http_and_websocket(program: Program) -> None:
    assert program.post("repeat", ["ab", 2]) == {"jsonrpc": "2.0", "result": "abab", "id": 1}
    assert program.post("repeat", ["ab", "x"])["error"]["code"] == -32602
    assert program.post("repeat", {"text": "a", "times": 10**18})["error"]["code"] == -32603
    with websocket(program) as client:
        client.send(text("repeat", {"text": "ab", "times": 2}, "mine").decode())
        assert json.loads(client.recv(PATIENCE)) == {"jsonrpc": "2.0", "result": "abab", "id": "mine"}


def test_who_does_not_read_is_not_read_from_and_holds_up_nobody(program: Program) -> None:
    calls, tenth = 40, "x" * 100_000  # the replies are far more, in all, than may be queued for one peer
    with websocket(program) as slow, ThreadPoolExecutor(1) as pool:

        def ask() -> None:
            for id in range(calls):
                slow.send(text("repeat", [tenth, 10], id).decode())

        asking = pool.submit(ask)
        assert program.post("repeat", ["y", 1])["result"] == "y"
        answers = [json.loads(slow.recv(PATIENCE)) for _ in range(calls)]
        asking.result(PATIENCE)
    assert sorted(answer["id"] for answer in answers) == list(range(calls))
    assert {len(answer["result"]) for answer in answers} == {1_000_000}


def test_a_large_reply_over_http_arrives_whole(program: Program) -> None:
    with socket.create_connection(("127.0.0.1", program.port), PATIENCE) as slow:
        slow.sendall(post(text("repeat", ["x", 5_000_000])))
        assert program.post("repeat", ["y", 1])["result"] == "y"
        assert len(json.loads(read_response(slow))["result"]) == 5_000_000


def test_the_end_of_input_is_a_half_close_and_the_answer_is_still_sent(program: Program) -> None:
    with socket.create_connection(("127.0.0.1", program.port), PATIENCE) as client:
        client.sendall(post(text("repeat", ["x", 1_000_000])))
        client.shutdown(socket.SHUT_WR)
        assert len(json.loads(read_response(client))["result"]) == 1_000_000
        assert client.recv(1) == b""


def test_a_reset_concerns_nobody_else(program: Program) -> None:
    with socket.create_connection(("127.0.0.1", program.port), PATIENCE) as rude:
        rude.sendall(post(text("repeat", ["x", 5_000_000])))
        assert rude.recv(1) == b"H"
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    assert program.post("repeat", ["y", 1])["result"] == "y"
    assert program.post("connection.ping", [])["result"]["pong"] is True


def test_it_leaves_in_good_order(program: Program) -> None:
    with websocket(program) as client:
        client.send(text("connection.ping").decode())
        assert json.loads(client.recv(PATIENCE))["result"]["pong"] is True
        program.process.terminate()
        assert json.loads(client.recv(PATIENCE))["method"] == "connection.draining"
        with pytest.raises(ConnectionClosedError) as closed:
            client.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    assert program.ended() == 0
    assert program.process.stdout is not None
    assert program.process.stdout.read() == ""


def test_a_handler_that_waits_is_cancelled(cancelling_program: Program) -> None:
    with websocket(cancelling_program) as client:
        client.send(text("nap", [3600], "long").decode())
        client.send(text("nap", [0], "short").decode())
        assert json.loads(client.recv(PATIENCE)) == {"jsonrpc": "2.0", "result": "rested", "id": "short"}
        client.send(text("rpc.cancel", {"id": "long"}, "stop").decode())
        answers = {answer["id"]: answer for answer in (json.loads(client.recv(PATIENCE)) for _ in range(2))}
    assert answers["long"]["error"]["code"] == -32800
    assert answers["stop"]["result"] == {"cancelled": True}
