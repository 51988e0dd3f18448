"""Clients that are not ours: the `websockets` and `aiohttp` libraries, and plain lines and headers through pipes.

All of them call one server, which runs in a thread of its own, once on asyncio and once on trio.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from queue import Queue
from threading import Thread
from typing import Any, BinaryIO, Protocol

import aiohttp
import pytest
import websockets
from posthouse.adapters import Server, run
from posthouse.core import Config

from examples.calculator import service

from .loopback import PATIENCE

QUICK = Config(drain_spread=0.0, drain_grace=0.5)


class Pipe:
    """The client's ends of two pipes."""

    def __init__(self) -> None:
        near_in, far_out = os.pipe()
        far_in, near_out = os.pipe()
        self.near = (near_in, near_out)
        self.out: BinaryIO = os.fdopen(far_out, "wb", buffering=0)
        self.into: BinaryIO = os.fdopen(far_in, "rb")

    def close(self) -> None:
        self.out.close()
        self.into.close()


class Reference:
    """The example service, served to the network and to the processes at the other ends of two pairs of pipes."""

    def __init__(self, backend: str) -> None:
        self.lines, self.headers = Pipe(), Pipe()
        started: Queue[Server] = Queue()
        self.thread = Thread(target=self._run, args=(backend, started))
        self.thread.start()
        self.server = started.get(timeout=PATIENCE)
        self.url = self.server.bound[0].url

    def _run(self, backend: Any, started: Queue[Server]) -> None:
        pipes = [self.lines.near, self.headers.near]
        run(
            service,
            backend=backend,
            host="127.0.0.1",
            port=0,
            pipes=pipes,
            dev=True,
            config=QUICK,
            signals=False,
            started=started.put,
        )

    def close(self) -> None:
        self.server.shut_down()
        self.thread.join(PATIENCE)
        self.lines.close()
        self.headers.close()


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def reference(request: pytest.FixtureRequest) -> Iterator[Reference]:
    reference = Reference(request.param)
    yield reference
    reference.close()
    assert not reference.thread.is_alive()


class Peer(Protocol):
    """A client that is pushed to, whatever library or pipe it is."""

    async def send(self, text: str) -> None: ...
    async def receive(self) -> str | bytes: ...


Opening = Callable[[Reference], AbstractAsyncContextManager[Peer]]


@asynccontextmanager
async def by_websockets(reference: Reference) -> AsyncIterator[Peer]:
    class Client:
        async def send(self, text: str) -> None:
            await connection.send(text)

        async def receive(self) -> str | bytes:
            return await connection.recv()

    address = reference.url.replace("http", "ws", 1) + "/ws"
    async with websockets.connect(address, subprotocols=[websockets.Subprotocol("posthouse.v1.json")]) as connection:
        assert connection.subprotocol == "posthouse.v1.json"
        yield Client()


@asynccontextmanager
async def by_aiohttp(reference: Reference) -> AsyncIterator[Peer]:
    class Client:
        async def send(self, text: str) -> None:
            await socket.send_str(text)

        async def receive(self) -> str:
            return await socket.receive_str()

    async with aiohttp.ClientSession() as session, session.ws_connect(reference.url + "/ws", compress=15) as socket:
        assert socket.protocol is None
        yield Client()


@asynccontextmanager
async def by_lines(reference: Reference) -> AsyncIterator[Peer]:
    class Client:
        async def send(self, text: str) -> None:
            reference.lines.out.write(text.encode() + b"\n")

        async def receive(self) -> bytes:
            return await asyncio.to_thread(reference.lines.into.readline)

    yield Client()


@asynccontextmanager
async def by_headers(reference: Reference) -> AsyncIterator[Peer]:
    class Client:
        async def send(self, text: str) -> None:
            data = text.encode()
            reference.headers.out.write(b"content-length: %d\r\n\r\n%b" % (len(data), data))

        async def receive(self) -> bytes:
            return await asyncio.to_thread(self.read)

        def read(self) -> bytes:
            into = reference.headers.into
            name, _, size = into.readline().partition(b":")
            assert (name, into.readline()) == (b"Content-Length", b"\r\n")
            return into.read(int(size))

    yield Client()


EVERY: list[Opening] = [by_websockets, by_aiohttp, by_lines, by_headers]

every_peer = pytest.mark.parametrize("opening", EVERY)


def within_patience(test: Coroutine[Any, Any, None]) -> None:
    async def run() -> None:
        async with asyncio.timeout(PATIENCE):
            await test

    asyncio.run(run())


async def say(peer: Peer, method: str, params: object = (), id: object = None, **more: object) -> None:
    """A request, or a notification where there is no id."""
    message = {"jsonrpc": "2.0", "method": method, "params": params, **more}
    await peer.send(json.dumps(message if id is None else {**message, "id": id}))


async def hear(peer: Peer) -> Any:
    return json.loads(await peer.receive())


async def call(peer: Peer, method: str, params: object = (), id: object = "called", **more: object) -> Any:
    """The response to a request that nothing comes before."""
    await say(peer, method, params, id, **more)
    answer = await hear(peer)
    assert (answer.pop("jsonrpc"), answer.pop("id")) == ("2.0", id)
    return answer


@every_peer
def test_calls_and_errors_are_answered(reference: Reference, opening: Opening) -> None:
    async def test() -> None:
        async with opening(reference) as peer:
            assert await call(peer, "subtract", [42, 23], id=1) == {"result": 19}
            assert await call(peer, "subtract", {"subtrahend": 23, "minuend": 42}, id="é") == {"result": 19}
            assert (await call(peer, "divide", [1, 0]))["error"] == {
                "code": 1,
                "message": "Division by zero",
                "data": {"dividend": 1},
            }
            assert (await call(peer, "nothing", id=1.5))["error"]["code"] == -32601
            wrong = await call(peer, "describe", {"numbers": [1, "two"]})
            assert wrong["error"]["data"]["parameter"] == "numbers"
            await peer.send("{")
            assert (await hear(peer))["error"]["code"] == -32700
            assert await call(peer, "add", list(range(50_000))) == {"result": sum(range(50_000))}

    within_patience(test())


@every_peer
def test_notifications_and_batches_are_answered_as_they_should(reference: Reference, opening: Opening) -> None:
    async def test() -> None:
        async with opening(reference) as peer:
            await say(peer, "add", [1, 2])
            await say(peer, "nothing")
            entries = [
                {"jsonrpc": "2.0", "method": "add", "params": [1, 2], "id": 1},
                {"jsonrpc": "2.0", "method": "add", "params": [1, 2]},
                {"foo": "bar"},
                {"jsonrpc": "2.0", "method": "sum.slowly", "params": [[1, 2], 0], "id": 2},
            ]
            await peer.send(json.dumps(entries))
            answers = await hear(peer)
            assert [(answer["id"], answer.get("result")) for answer in answers] == [(1, 3), (None, None), (2, 3)]

    within_patience(test())


@every_peer
def test_a_call_tells_how_far_it_is(reference: Reference, opening: Opening) -> None:
    async def test() -> None:
        async with opening(reference) as peer:
            await say(peer, "sum.slowly", [[1, 2], 0], id=7, meta={"progress_token": "mine"})
            said = [await hear(peer) for _ in range(3)]
            assert [(each["method"], each["params"]["token"]) for each in said[:2]] == [("$/progress", "mine")] * 2
            assert [each["params"]["value"]["fraction"] for each in said[:2]] == [0.5, 1.0]
            assert said[2] == {"jsonrpc": "2.0", "result": 3, "id": 7}

    within_patience(test())


@every_peer
def test_a_call_is_cancelled(reference: Reference, opening: Opening) -> None:
    async def test() -> None:
        async with opening(reference) as peer:
            await say(peer, "sum.slowly", [[1], 5], id="slow")
            await say(peer, "$/cancelRequest", {"id": "slow"})
            answer = await hear(peer)
            assert (answer["id"], answer["error"]["code"]) == ("slow", -32800)
            await say(peer, "sum.slowly", [[1], 5], id=5)
            await say(peer, "rpc.cancel", {"id": 5}, id=6)
            answers = {answer["id"]: answer for answer in (await hear(peer), await hear(peer))}
            assert answers[5]["error"]["code"] == -32800
            assert answers[6]["result"] == {"cancelled": True}
            assert (await call(peer, "rpc.cancel", {"id": 5}))["result"] == {"cancelled": False}

    within_patience(test())


@every_peer
def test_the_server_asks_its_caller(reference: Reference, opening: Opening) -> None:
    async def test() -> None:
        async with opening(reference) as peer:
            await say(peer, "sum.ask", [2], id="asking")
            for number in (20, 22):
                question = await hear(peer)
                assert question["method"] == "number"
                await peer.send(json.dumps({"jsonrpc": "2.0", "result": number, "id": question["id"]}))
            assert await hear(peer) == {"jsonrpc": "2.0", "result": 42, "id": "asking"}
            await say(peer, "sum.ask", [1], id="asking")
            question = await hear(peer)
            error = {"code": 7, "message": "No."}
            await peer.send(json.dumps({"jsonrpc": "2.0", "error": error, "id": question["id"]}))
            assert await hear(peer) == {"jsonrpc": "2.0", "error": error, "id": "asking"}

    within_patience(test())


def test_a_broadcast_reaches_every_library_and_pipe(reference: Reference) -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(opening(reference)) for opening in EVERY]
            ids = [(await call(peer, "connection.ping"))["result"]["connection_id"] for peer in peers]
            for sender, id in zip(peers, ids, strict=True):
                await say(sender, "message.broadcast", {"data": {"from": id}}, id="sent")
                for peer in peers:
                    assert await hear(peer) == {
                        "jsonrpc": "2.0",
                        "method": "message.received",
                        "params": {"from": {"connection": id, "user": None}, "data": {"from": id}},
                    }
                assert (await hear(sender))["result"] == {"delivered": 4}
            await say(peers[0], "message.broadcast", {"data": "pipes", "kinds": ["cli"]}, id="sent")
            assert [(await hear(peer))["params"]["data"] for peer in peers[2:]] == ["pipes", "pipes"]
            assert (await hear(peers[0]))["result"] == {"delivered": 2}
            await say(peers[3], "message.send", {"to": {"connection": ids[0]}, "data": "to one"}, id="sent")
            assert (await hear(peers[0]))["params"]["data"] == "to one"
            assert (await hear(peers[3]))["result"] == {"delivered": 1}

    within_patience(test())


def test_aiohttp_calls_over_http(reference: Reference) -> None:
    async def test() -> None:
        async with aiohttp.ClientSession(reference.url) as session:

            async def post(body: object, **headers: str) -> tuple[int, Any]:
                async with session.post("/rpc", json=body, headers=headers) as response:
                    text = await response.text()
                    return response.status, json.loads(text) if text else None

            request = {"jsonrpc": "2.0", "method": "add", "params": [1, 2], "id": 1}
            assert await post(request) == (200, {"jsonrpc": "2.0", "result": 3, "id": 1})
            status, answers = await post([request, {"jsonrpc": "2.0", "method": "add"}, 1])
            assert (status, [answer["id"] for answer in answers]) == (200, [1, None])
            assert await post({"jsonrpc": "2.0", "method": "add"}) == (204, None)
            assert (await post([]))[0] == 400
            slow = {"jsonrpc": "2.0", "method": "sum.slowly", "params": [[1], 5], "id": 1}
            status, answer = await post(slow, **{"Posthouse-Timeout-Ms": "1"})
            assert (status, answer["error"]["code"]) == (200, -32030)
            async with session.get("/health") as response:
                assert (response.status, (await response.json())["status"]) == (200, "healthy")
            calls = (post({**request, "id": id}) for id in range(50))
            assert [answer["id"] for _, answer in await asyncio.gather(*calls)] == list(range(50))

    within_patience(test())
