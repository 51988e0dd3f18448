"""A service as an ASGI application, under a server made by hand: calls over HTTP and WebSocket, limits, and its end."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest
from posthouse.adapters import LifespanError, Server
from posthouse.adapters.asgi import Application, asgi
from posthouse.adapters.asgi.scopes import Message
from posthouse.adapters.journal import read, replay
from posthouse.core import Bearer, Config, Context, Identity, RpcError, Service, UsageError
from posthouse.core.values.lifecycle import ConnectionClosed

from tests.adapters.asgi.hand import JSON, LOCAL, Ends, hand, living
from tests.adapters.loopback import PATIENCE, text

pytestmark = pytest.mark.anyio

QUICK = Config(drain_grace=0.5, drain_spread=0.0)
ADA = Identity("ada", ("reports",))


def house() -> Service:
    """A service with a handler of each kind."""
    service = Service("house", public=True)

    @service.method
    def add(a: int, b: int) -> int:
        return a + b

    @service.method
    async def later(value: Any = None) -> Any:
        await anyio.sleep(0)
        return value

    @service.method
    async def wait() -> None:
        await anyio.sleep_forever()

    @service.method(blocking=True)
    def thread() -> bool:
        return threading.current_thread() is threading.main_thread()

    @service.method(sequential=True)
    async def turn(value: int) -> int:
        await anyio.sleep(0)
        return value

    @service.method
    async def ask(context: Context) -> Any:
        context.progress(0.5)
        context.notify("news", {"n": 1})
        return await context.call("name")

    @service.method
    def whoami(context: Context) -> list[Any]:
        scope = context.host_scope
        return [context.user, context.kind, context.path, context.address.host, scope and scope["state"].get("pool")]

    @service.method(scopes={"reports"})
    def secret() -> str:
        return "secret"

    @service.method
    def blob(size: int) -> str:
        return "x" * size

    return service


@pytest.fixture
def app() -> Application:
    return asgi(house(), config=QUICK)


# HTTP


@pytest.mark.parametrize("path", ["", "/", "/rpc"])
async def test_a_post_at_the_root_or_on_rpc_calls(app: Application, path: str) -> None:
    async with hand(app) as server:
        assert await server.post("add", [1, 2], path) == (200, {"jsonrpc": "2.0", "result": 3, "id": 1})


@pytest.mark.parametrize(
    ("method", "params", "result"), [("add", [1, 2], 3), ("later", [5], 5), ("thread", [], False), ("turn", [7], 7)]
)
async def test_handlers_of_every_kind_answer(app: Application, method: str, params: object, result: object) -> None:
    async with hand(app) as server:
        for _ in range(2):
            assert (await server.post(method, params))[1]["result"] == result


async def test_a_body_may_come_in_pieces_and_a_notification_has_no_answer(app: Application) -> None:
    async with hand(app) as server:
        data = text("add", [1, 2])
        request = server.begin("POST", "/rpc", (JSON, (b"content-length", b"%d" % len(data))))
        request.body(data[:5], more=True)
        request.body(data[5:], more=True)
        request.body(b"")
        status, fields, body = await request.response()
        assert (status, json.loads(body)["result"]) == (200, 3)
        assert fields[b"content-type"] == b"application/json"
        assert fields[b"content-length"] == b"%d" % len(body)
        data = text("add", [1, 2], None)
        assert (await server.request("POST", "/rpc", data, (JSON, (b"content-length", b"60"))))[::2] == (204, b"")


async def test_requests_that_the_rules_refuse_are_refused(app: Application) -> None:
    async with hand(app) as server:
        length = (b"content-length", b"2")
        assert (await server.request("GET", "/rpc"))[0] == 405
        assert (await server.request("POST", "/nowhere", b"{}", (JSON, length)))[0] == 404
        assert (await server.request("POST", "/rpc", b"{}", ((b"content-type", b"text/plain"), length)))[0] == 415
        assert (await server.request("POST", "/rpc", b"{}", (JSON, length, (b"origin", b"https://a.example"))))[
            0
        ] == 403
        assert (await server.request("POST", "/rpc", b"{}", (JSON, (b"content-length", b"9999999"))))[0] == 413
        assert (await server.request("POST", "/rpc", b"{}", (JSON, length), query_string=b"token=a"))[0] == 400
        assert (await server.request("GET", "/ws"))[0] == 426


async def test_only_the_hosts_that_are_allowed_are_answered_for() -> None:
    app = asgi(house(), allow_hosts=["api.example"], allow_origins=["https://app.example"])
    async with hand(app) as server:
        assert (await server.post("add", [1, 2]))[0] == 421
        data = text("add", [1, 2])
        named = (JSON, (b"content-length", b"%d" % len(data)), (b"origin", b"https://app.example"))
        request = server.begin("POST", "/rpc", named)
        request.body(data)
        assert (await request.response())[0] == 421
        scope = server.scope("http", "/rpc", named, method="POST")
        scope["headers"] = [(b"host", b"api.example"), *named]
        ends = Ends()
        ends.give({"type": "http.request", "body": data})
        await app(scope, ends.receive, ends.send)
        start = await ends.event()
        assert (start["status"], dict(start["headers"])[b"access-control-allow-origin"]) == (
            200,
            b"https://app.example",
        )


async def test_health_and_stats_are_answered(app: Application) -> None:
    async with hand(app) as server:
        status, _, body = await server.request("GET", "/health")
        assert (status, json.loads(body)["status"]) == (200, "healthy")
        assert (await server.request("HEAD", "/health"))[::2] == (200, b"")
        assert (await server.request("GET", "/stats"))[0] == 401
    async with hand(asgi(house(), identity=Identity("ops", ("admin",)))) as server:
        stats = json.loads((await server.request("GET", "/stats"))[2])
        assert {"version", "started_at", "connections.opened"} <= stats.keys()


async def test_metrics_are_answered_to_operators_alone(app: Application) -> None:
    async with hand(app) as server:
        assert (await server.request("GET", "/metrics"))[0] == 401
    operators = asgi(house(), identity=Identity("ops", ("admin",)), config=Config(measure_calls=True))
    async with hand(operators) as server:
        assert (await server.post("add", [1, 2]))[0] == 200
        _, headers, body = await server.request("GET", "/metrics")
        assert headers[b"content-type"] == b"text/plain; version=0.0.4; charset=utf-8"
        assert b'posthouse_call_seconds_count{method="add",outcome="result"} 1.0' in body
        received = [line for line in body.splitlines() if line.startswith(b"posthouse_received_bytes_total ")]
        assert received == [b"posthouse_received_bytes_total %.1f" % len(text("add", [1, 2]))]


@pytest.mark.parametrize("root", ["/api", "/api/"])
async def test_everything_is_below_the_mount(app: Application, root: str) -> None:
    async with hand(app, root.rstrip("/")) as server:
        assert (await server.post("whoami"))[1]["result"] == [None, "http", "/api/rpc", "127.0.0.1", None]
        assert (await server.post("add", [1, 2], ""))[1]["result"] == 3
        assert (await server.request("GET", "/health"))[0] == 200
        websocket = await server.opened("")
        assert (await websocket.call("whoami"))["result"][1:3] == ["websocket", "/api"]


async def test_a_server_that_leaves_the_mount_out_of_the_path_is_understood(app: Application) -> None:
    async with hand(app) as server:
        assert (await server.request("GET", "/health", root_path="/api"))[0] == 200
        assert (await server.request("GET", "/apihealth", root_path="/api"))[0] == 404


async def test_handlers_reach_the_state_of_the_host(app: Application) -> None:
    async with hand(app, state={"pool": "its pool"}) as server:
        assert (await server.post("whoami"))[1]["result"][-1] == "its pool"
        websocket = await server.opened()
        assert (await websocket.call("whoami"))["result"][-1] == "its pool"


async def test_a_client_that_has_gone_cancels_its_call(app: Application) -> None:
    async with hand(app) as server:
        data = text("wait")
        request = server.begin("POST", "/rpc", (JSON, (b"content-length", b"%d" % len(data))))
        request.body(data)
        await anyio.wait_all_tasks_blocked()
        request.leave()
        await request.end()
        assert request.sent.waiting == []
        request = server.begin("POST", "/rpc", (JSON, (b"content-length", b"%d" % len(data))))
        request.leave()
        await request.end()
        _, _, body = await server.request("GET", "/health")
        assert (json.loads(body)["calls"], json.loads(body)["sockets"]) == (0, 1)


async def test_a_host_that_repeats_the_end_of_the_body_and_never_waits_is_answered(app: Application) -> None:
    async with hand(app) as server:
        data = text("later", [5])
        events: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": data if not events else b"", "more_body": False}

        async def send(event: Any) -> None:
            events.append(event)

        scope = server.scope("http", "/rpc", (JSON, (b"content-length", b"%d" % len(data))), method="POST")
        await app(scope, receive, send)
        assert json.loads(events[1]["body"])["result"] == 5


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_host_may_give_its_events_in_futures(app: Application, pieces: int) -> None:
    data = text("add", [1, 2])
    async with hand(app) as server:
        for _ in range(3):
            given = [data] if pieces == 1 else [data[:9], data[9:]]
            events: list[Any] = []

            def receive(given: list[bytes] = given) -> asyncio.Future[Message]:
                future = asyncio.get_running_loop().create_future()
                if given:
                    body = given.pop(0)
                    future.set_result({"type": "http.request", "body": body, "more_body": bool(given)})
                return future

            async def send(event: Any, events: list[Any] = events) -> None:
                events.append(event)

            scope = server.scope("http", "/rpc", (JSON, (b"content-length", b"%d" % len(data))), method="POST")
            await app(scope, receive, send)
            assert (events[0]["status"], json.loads(events[1]["body"])["result"]) == (200, 3)


@pytest.mark.parametrize("size", [1, 100_000])
async def test_a_host_may_give_bodies_as_views(app: Application, size: int) -> None:
    async with hand(app) as server:
        data = text("later", ["x" * size])
        headers = (JSON, (b"content-length", b"%d" % len(data)))
        views: list[Any] = [memoryview(data), bytearray(data), memoryview(data)]
        for view in views:
            status, _, answer = await server.request("POST", "/rpc", view, headers)
            assert (status, json.loads(answer)["result"]) == (200, "x" * size)
        health = app.health()
        assert health is not None
        assert health.sockets == 0


async def test_a_request_that_a_host_gives_wrongly_leaves_nothing_behind(app: Application) -> None:
    async with hand(app) as server:
        data = text("add", [1, 2])
        length = (b"content-length", b"%d" % len(data))
        assert (await server.post("add", [1, 2]))[0] == 200
        wrong: Any = None
        for headers in [(JSON, length), (JSON, length, (b"x-new", b"1"))]:
            request = server.begin("POST", "/rpc", headers)
            request.body(wrong)
            with pytest.raises(TypeError):
                await request.end()
        health = app.health()
        assert health is not None
        assert (health.connections, health.sockets) == (0, 0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_future_of_a_request_that_is_turned_away_is_left_to_its_host() -> None:
    app = asgi(house(), config=Config(max_connections=1))
    data = text("add", [1, 2])
    events: list[Any] = []

    def receive() -> asyncio.Future[Message]:
        return asyncio.get_running_loop().create_future()

    async def send(event: Any) -> None:
        events.append(event)

    async with hand(app) as server:
        assert (await server.post("add", [1, 2]))[0] == 200
        await server.opened()
        scope = server.scope("http", "/rpc", (JSON, (b"content-length", b"%d" % len(data))), method="POST")
        await app(scope, receive, send)
    assert events[0]["status"] == 503


async def test_a_call_ends_at_its_deadline(app: Application) -> None:
    async with hand(app) as server:
        data = text("wait")
        headers = (JSON, (b"content-length", b"%d" % len(data)), (b"posthouse-timeout-ms", b"1"))
        assert json.loads((await server.request("POST", "/rpc", data, headers))[2])["error"]["code"] == -32030


async def test_a_body_that_does_not_come_is_refused() -> None:
    async with hand(asgi(house(), config=Config(body_timeout=0.01))) as server:
        request = server.begin("POST", "/rpc", (JSON, (b"content-length", b"2")))
        assert (await request.response())[0] == 408


async def test_a_request_above_a_limit_is_turned_away() -> None:
    async with hand(asgi(house(), config=Config(max_connections=1))) as server:
        websocket = await server.opened()
        status, answer = await server.post("add", [1, 2])
        assert (status, answer["error"]["code"]) == (503, -32009)
        refused = server.open()
        assert (await refused.event())["status"] == 503
        refused = server.open(extended=False)
        assert await refused.next() == 1008
        websocket.leave()
        await websocket.end()
        assert (await server.post("add", [1, 2]))[0] == 200


# WebSocket


@pytest.mark.parametrize("path", ["", "/", "/ws"])
async def test_a_websocket_at_the_root_or_on_ws_opens(app: Application, path: str) -> None:
    async with hand(app) as server:
        websocket = await server.opened(path)
        assert (await websocket.call("add", [1, 2]))["result"] == 3
        assert (await websocket.call("later", [5]))["result"] == 5
        assert (await websocket.call("thread"))["result"] is False
        websocket.leave(1001)
        await websocket.end()


async def test_the_server_sends_first_and_asks(app: Application) -> None:
    async with hand(app) as server:
        websocket = await server.opened()
        request = {"jsonrpc": "2.0", "method": "ask", "id": 1, "meta": {"progress_token": "p"}}
        websocket.say(json.dumps(request))
        assert (await websocket.next())["params"]["value"] == {"fraction": 0.5}
        assert await websocket.next() == {"jsonrpc": "2.0", "method": "news", "params": {"n": 1}}
        asked = await websocket.next()
        websocket.say(json.dumps({"jsonrpc": "2.0", "result": "ada", "id": asked["id"]}))
        assert (await websocket.next())["result"] == "ada"


async def test_a_call_is_cancelled(app: Application) -> None:
    async with hand(app) as server:
        websocket = await server.opened()
        websocket.say(text("wait", id="long"))
        assert (await websocket.call("$/cancelRequest", {"id": "long"}, None))["error"]["code"] == -32800


async def test_the_subprotocol_is_selected(app: Application) -> None:
    async with hand(app) as server:
        offered = ((b"sec-websocket-protocol", b"chat, posthouse.v1.json"),)
        assert (await server.open("/ws", offered).event())["subprotocol"] == "posthouse.v1.json"
        assert (await server.open("/ws").event())["subprotocol"] is None


async def test_the_paths_and_the_subprotocols_are_those_that_are_given() -> None:
    other = Service("other", public=True, subprotocols=("mcp",))
    other.method("add")(lambda a, b: a + b)
    async with hand(asgi(other, rpc_path="/v1", ws_path="/", root_path="/api")) as server:
        offered = ((b"sec-websocket-protocol", b"chat, mcp"),)
        for path in ("/api/", "/", ""):
            assert (await server.open(path, offered).event())["subprotocol"] == "mcp"
        for path in ("/api/v1", "/"):
            assert (await server.post("add", [1, 2], path))[1]["result"] == 3
        assert (await server.post("add", [1, 2], "/rpc"))[0] == 404


async def test_a_handshake_is_refused_with_a_response_if_the_server_can_send_one(app: Application) -> None:
    async with hand(app) as server:
        evil = ((b"origin", b"https://evil.example"),)
        refused = server.open("/ws", evil)
        start, body = await refused.event(), await refused.event()
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
        assert (body["type"], body["body"]) == ("websocket.http.response.body", b"This origin is not allowed here.\n")
        await refused.end()
        assert await server.open("/ws", evil, extended=False).next() == 1008
        assert (await server.open("/elsewhere").event())["status"] == 404


async def test_messages_that_break_a_rule_close_the_websocket() -> None:
    async with hand(asgi(house(), config=Config(max_message_bytes=100, max_bad_messages=1))) as server:
        websocket = await server.opened()
        websocket.say("x" * 101)
        assert await websocket.next() == 1009
        await websocket.end()
        websocket = await server.opened()
        websocket.binary(b"{}")
        assert await websocket.next() == 1003
        websocket = await server.opened()
        websocket.say("{")
        websocket.say("{")
        assert (await websocket.next())["error"]["code"] == -32700
        assert (await websocket.next())["error"]["code"] == -32700
        assert await websocket.next() == 4400


async def test_a_client_that_does_not_take_its_texts_is_not_read_until_it_does(app: Application) -> None:
    async with hand(app) as server:
        slow, other = await server.opened(), await server.opened()
        slow.slow()
        slow.say(text("add", [0, 0], 0))
        await slow.waits.wait()
        for id in range(1, 10):
            slow.say(text("add", [id, 0], id))
        assert (await other.call("add", [1, 1]))["result"] == 2
        assert len(slow.given.waiting) == 9
        slow.may_send.set()
        assert [(await slow.next())["result"] for _ in range(10)] == list(range(10))


async def test_a_client_that_takes_nothing_is_closed_and_then_cut() -> None:
    async with hand(asgi(house(), config=Config(write_timeout=0.05))) as server:
        slow, other = await server.opened(), await server.opened()
        slow.slow()
        slow.say(text("add", [0, 0], 0))
        await slow.end()
        assert (await other.call("add", [1, 1]))["result"] == 2


async def test_pushes_to_a_slow_client_are_bounded() -> None:
    app = asgi(house(), config=Config(max_queued_pushes=5, write_timeout=0.2))
    async with hand(app) as server:
        slow = await server.opened()
        slow.slow()
        assert app.broadcast("news", [0]) == 1
        await slow.waits.wait()
        for n in range(6):
            app.broadcast("news", [n])
        await slow.end()
        assert app.broadcast("news") == 0


async def test_a_peer_that_has_gone_while_it_is_sent_to_ends_its_websocket(app: Application) -> None:
    closed: list[int | None] = []
    service = house()

    @service.on("connection.closed")
    def note(event: ConnectionClosed) -> None:
        closed.append(event.code)

    async with hand(asgi(service)) as server:
        websocket = await server.opened()
        websocket.broken = True
        websocket.say(text("add", [1, 2]))
        await websocket.end()
        assert closed == [1006]


async def test_a_websocket_whose_messages_are_all_there_lets_others_have_their_turns() -> None:
    async with hand(asgi(house(), config=Config(frames_per_turn=4))) as server:
        websocket = await server.opened()
        for number in range(40):
            websocket.say(text("add", [number, 0]))
        answered = [0]
        while answered[-1] < 40:
            await anyio.lowlevel.checkpoint()
            answered.append(len(websocket.sent.waiting))
        turns = [after - before for before, after in itertools.pairwise(answered)]
        assert max(turns) <= 8  # trio may run both sides of a turn in either order
        assert [(await websocket.next())["result"] for _ in range(40)] == list(range(40))


async def test_a_websocket_that_its_server_cancels_is_forgotten(app: Application) -> None:
    async with hand(app) as server:
        async with anyio.create_task_group() as group:
            server.group, outer = group, server.group
            await server.opened()
            group.cancel_scope.cancel()
        server.group = outer
        assert json.loads((await server.request("GET", "/health"))[2])["connections"] == 0


async def test_a_call_of_the_application_that_is_no_handshake_returns(app: Application) -> None:
    async with hand(app) as server:
        ends = Ends()
        ends.give({"type": "websocket.disconnect", "code": 1006})
        await app(server.scope("websocket", "/ws", ()), ends.receive, ends.send)
        with pytest.raises(NotImplementedError, match="'telnet'"):
            await app({"type": "telnet"}, ends.receive, ends.send)


# Clients that leave


async def test_the_call_of_a_client_that_leaves_is_cancelled_at_once() -> None:
    service = Service("waiting", public=True)
    began, cancelled = anyio.Event(), anyio.Event()

    @service.method
    async def wait() -> None:
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async with hand(asgi(service)) as server:
        data = text("wait")
        request = server.begin("POST", "/rpc", (JSON, (b"content-length", b"%d" % len(data))))
        request.body(data)
        await began.wait()
        request.leave()
        await cancelled.wait()
        await request.end()
        assert request.sent.waiting == []


class Verifying:
    """A service that verifies when `verified` is set, and what its body is read for."""

    def __init__(self) -> None:
        self.service = Service("verifying")
        self.asked, self.verified = anyio.Event(), anyio.Event()

        @self.service.authenticator("bearer")
        async def read_token(bearer: Bearer) -> Identity | None:
            self.asked.set()
            await self.verified.wait()
            return ADA

        @self.service.method
        def length(text: str) -> int:
            return len(text)


@pytest.mark.parametrize("ahead", [0, 1, 3])
async def test_a_client_that_leaves_while_its_credentials_are_verified_is_noticed(ahead: int) -> None:
    verifying = Verifying()
    config = Config(require_authentication=True, max_message_bytes_unauthenticated=10)
    async with hand(asgi(verifying.service, config=config)) as server:
        headers = (JSON, (b"content-length", b"100"), (b"authorization", b"Bearer a"))
        request = server.begin("POST", "/rpc", headers)
        for _ in range(ahead):
            request.body(b" " * 10, more=True)
        await verifying.asked.wait()
        request.leave()
        await request.end()
        assert request.sent.waiting == []


async def test_a_body_that_comes_while_credentials_are_verified_is_read_up_to_a_bound_and_then_taken_in_order() -> None:
    verifying = Verifying()
    config = Config(require_authentication=True, max_message_bytes_unauthenticated=10, read_bytes=4_096)
    async with hand(asgi(verifying.service, config=config)) as server:
        data = text("length", ["x" * 20_000])
        headers = (JSON, (b"content-length", b"%d" % len(data)), (b"authorization", b"Bearer a"))
        request = server.begin("POST", "/rpc", headers)
        pieces = [data[at : at + 1_000] for at in range(0, len(data), 1_000)]
        for piece in pieces:
            request.body(piece, more=piece is not pieces[-1])
        await verifying.asked.wait()
        await anyio.wait_all_tasks_blocked()
        assert len(pieces) - len(request.given.waiting) == 5
        verifying.verified.set()
        assert json.loads((await request.response())[2])["result"] == 20_000


async def test_a_client_that_is_turned_away_may_have_gone_or_take_nothing() -> None:
    async with hand(asgi(house(), config=Config(max_connections=1, write_timeout=0.05))) as server:
        await server.opened()
        gone = server.begin("GET", "/health")
        gone.broken = True
        await gone.end()
        slow = server.open()
        slow.slow()
        await slow.end()
        assert slow.sent.waiting == []


class Scoped(Ends):
    """The ends of a server that has a scope around each `send`, which takes a while."""

    async def send(self, message: Message) -> None:
        with anyio.move_on_after(PATIENCE):
            await anyio.sleep(0.001)
            self.sent.put(message)


async def test_a_server_may_have_scopes_of_its_own_around_what_it_takes(app: Application) -> None:
    async with hand(app) as server:
        for path in ("/health", "/rpc"):
            ends = Scoped()
            ends.give({"type": "http.request", "body": b"{"})
            await app(
                server.scope("http", path, (JSON, (b"content-length", b"1")), method="POST"), ends.receive, ends.send
            )
            assert [event["type"] for event in ends.sent.waiting] == ["http.response.start", "http.response.body"]


def test_a_deadline_ends_a_call_in_a_loop_that_no_library_has_started() -> None:
    async def main() -> tuple[int, Any]:
        data, ends = text("wait"), Ends()
        ends.give({"type": "http.request", "body": data})
        headers = [LOCAL, JSON, (b"content-length", b"%d" % len(data)), (b"posthouse-timeout-ms", b"20")]
        scope = {"type": "http", "method": "POST", "path": "/rpc", "headers": headers, "client": None}
        await asyncio.wait_for(asgi(house(), config=QUICK)(scope, ends.receive, ends.send), PATIENCE)
        start, body = await ends.event(), await ends.event()
        return start["status"], json.loads(body["body"])["error"]["code"]

    assert asyncio.run(main()) == (200, -32030)


# Callers


def guarded() -> Service:
    service = Service("guarded")

    @service.authenticator("bearer")
    async def read_token(bearer: Bearer) -> Identity | None:
        await anyio.sleep(0)
        return ADA if bearer.token == "right" else None

    @service.method(scopes={"reports"})
    def secret(context: Context) -> str | None:
        return context.user

    return service


async def test_credentials_in_the_headers_are_verified_before_anything_is_answered() -> None:
    async with hand(asgi(guarded(), config=Config(require_authentication=True))) as server:
        data = text("secret")
        headers = (JSON, (b"content-length", b"%d" % len(data)))
        assert (await server.request("POST", "/rpc", data, headers))[0] == 401
        status, fields, _ = await server.request("POST", "/rpc", data, (*headers, (b"authorization", b"Bearer wrong")))
        assert (status, fields[b"www-authenticate"]) == (401, b"Bearer")
        right = (b"authorization", b"Bearer right")
        assert json.loads((await server.request("POST", "/rpc", data, (*headers, right)))[2])["result"] == "ada"
        assert (await server.open("/ws", ((b"authorization", b"Bearer wrong"),)).event())["status"] == 401
        websocket = await server.opened("/ws", (right,))
        assert (await websocket.call("secret"))["result"] == "ada"
        token = (b"sec-websocket-protocol", b"posthouse.v1.json, posthouse.bearer.cmlnaHQ")
        websocket = await server.opened("/ws", (token,))
        assert (await websocket.call("secret"))["result"] == "ada"


async def test_a_host_says_who_calls(app: Application) -> None:
    async with hand(app) as server:
        assert (await server.post("secret"))[1]["error"]["code"] == -32020
        assert (await server.post("secret", identity=ADA))[1]["result"] == "secret"
        websocket = await server.opened(identity=ADA)
        assert (await websocket.call("secret"))["result"] == "secret"


# In process


async def test_the_host_calls_and_pushes_in_process(app: Application) -> None:
    assert app.broadcast("news") == 0
    assert app.revoke("ada") == 0
    assert (app.health(), app.stats()) == (None, {})
    app.shut_down()
    assert await app.call("add", [1, 2], result_type=int) == 3
    with pytest.raises(RpcError, match="-32020"):
        await app.call("secret")
    assert await app.call("secret", identity=ADA) == "secret"
    async with hand(app) as server:
        websocket = await server.opened(identity=ADA)
        assert app.broadcast("news", {"n": 1}, users=["ada"]) == 1
        assert (await websocket.next())["params"] == {"n": 1}
        assert not app.notify(json.loads("1"), "news")  # that was the call of this process
        assert app.notify(json.loads("4"), "news")
        assert (await websocket.next())["method"] == "news"
        health = app.health()
        assert health is not None
        assert (health.connections, app.stats()["connections.opened.websocket"]) == (1, 1)
        assert app.revoke("ada") == 1
        assert await websocket.next() == 4403


# The lifespan


def counting(opened: list[str]) -> Service:
    service = Service("counting", public=True)

    @service.lifespan
    async def live() -> AsyncIterator[str]:
        opened.append("opened")
        yield "pool"
        opened.append("closed")

    @service.method
    def state(context: Context) -> Any:
        return context.state

    @service.method
    async def wait() -> None:
        await anyio.sleep_forever()

    return service


async def test_the_lifespan_of_the_service_is_that_of_the_server() -> None:
    opened: list[str] = []
    app = asgi(counting(opened), config=QUICK)
    for _ in range(2):
        async with living(app) as server:
            assert opened == ["opened"]
            assert (await server.post("state"))[1]["result"] == "pool"
        assert opened == ["opened", "closed"]
        opened.clear()


async def test_the_lifespan_composes_into_that_of_a_host() -> None:
    opened: list[str] = []
    app = asgi(counting(opened), config=QUICK)
    async with app.lifespan(object()), hand(app, "/api") as server:
        assert (await server.post("state"))[1]["result"] == "pool"
        assert await app.call("state") == "pool"
    assert opened == ["opened", "closed"]
    with pytest.raises(KeyError):
        async with app.lifespan():
            raise KeyError
    assert opened == ["opened", "closed", "opened", "closed"]


async def test_without_its_lifespan_a_request_fails_with_the_remedy() -> None:
    app = asgi(counting([]))
    async with hand(app) as server:
        request = server.begin("GET", "/health")
        with pytest.raises(UsageError) as raised:
            await request.end()
        assert str(raised.value) == (
            "the lifespan of service 'counting' has not started: a mounted application gets no lifespan from its host. "
            "Use FastAPI(lifespan=gateway.lifespan), or `async with gateway.lifespan(app):` in a lifespan of your own"
        )
    with pytest.raises(UsageError, match="has not started"):
        await app.call("state")


async def test_a_lifespan_that_fails_is_told_to_the_server() -> None:
    service = Service("failing", public=True)
    at_end = False

    @service.lifespan
    async def live() -> AsyncIterator[None]:
        if not at_end:
            raise ValueError("no pool")
        yield
        raise ValueError("no end")

    app = asgi(service, config=QUICK)
    ends = Ends()
    ends.give({"type": "lifespan.startup"})
    await app({"type": "lifespan"}, ends.receive, ends.send)
    failed = await ends.event()
    assert failed["type"] == "lifespan.startup.failed"
    assert failed["message"] == "the lifespan of service 'failing' failed to start: ValueError: no pool"
    with pytest.raises(LifespanError):
        async with app.lifespan():
            pass
    at_end = True
    ends.give({"type": "lifespan.startup"})
    ends.give({"type": "lifespan.shutdown"})
    await app({"type": "lifespan"}, ends.receive, ends.send)
    assert [(await ends.event())["type"] for _ in range(2)] == ["lifespan.startup.complete", "lifespan.shutdown.failed"]


async def test_a_shut_down_closes_every_connection_and_later_requests_are_turned_away(app: Application) -> None:
    async with hand(app) as server:
        websocket = await server.opened()
        data = text("wait")
        request = server.begin("POST", "/rpc", (JSON, (b"content-length", b"%d" % len(data))))
        request.body(data)
        await anyio.wait_all_tasks_blocked()
        app.shut_down(0.0)
        assert (await websocket.next())["method"] == "connection.draining"
        assert await websocket.next() == 1012
        await websocket.end()
        status, fields, body = await request.response()
        assert (status, json.loads(body)["error"]["code"]) == (503, -32050)
        assert fields[b"connection"] == b"close"
        status, answer = await server.post("add", [1, 2])
        assert (status, answer["error"]["code"]) == (503, -32050)


async def test_concurrent_first_requests_start_one_server() -> None:
    started: list[Server] = []
    app = asgi(house(), started=started.append)
    async with hand(app) as server:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(server.post, "add", [1, 2])
        assert len(started) == 1
        async with app.lifespan():
            assert (await server.post("add", [1, 2]))[0] == 200
        assert len(started) == 1


# Everything else that `serve` has


async def test_inputs_are_recorded_and_replayed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    app = asgi(house(), config=QUICK, journal=path)
    async with app.lifespan(), hand(app) as server:
        await server.post("add", [1, 2], cookie=b"a")
        websocket = await server.opened("/ws", ((b"cookie", b"secret=1"),))
        await websocket.call("add", [1, 2])
        websocket.leave()
        await websocket.end()
    journal = read(path)
    assert journal.header.machine == "gateway"
    assert "secret=1" not in path.read_text()
    replayed = replay(journal, house(), check=True)
    assert (replayed.failure, replayed.diverged_at, replayed.skipped) == (None, None, 0)


async def test_each_call_has_a_line_in_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "posthouse.access"):
        async with hand(asgi(house(), access_log=True)) as server:
            await server.post("add", [1, 2])
    (line,) = [record for record in caplog.records if record.name == "posthouse.access"]
    assert "add" in line.getMessage()


def test_wrong_arguments_are_refused_when_the_application_is_made() -> None:
    with pytest.raises(UsageError, match=r"asgi takes a Service, not the string 'a:b'"):
        asgi("a:b")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="allow_hosts is a single string"):
        asgi(house(), allow_hosts="a")
    with pytest.raises(UsageError, match="host 'a:1'"):
        asgi(house(), allow_hosts=["a:1"])
    with pytest.raises(TypeError):
        asgi(house(), port=1)  # type: ignore[call-arg]
