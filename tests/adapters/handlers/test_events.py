"""Events go to hooks that await, and to the log."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

import anyio
import pytest
from posthouse.adapters import Server, serve
from posthouse.adapters.handlers import events
from posthouse.adapters.report import INFO, clean, report
from posthouse.core.service.context import Context, HookContext
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import (
    ConnectionClosed,
    ConnectionOpened,
    Event,
)
from posthouse.core.values.peers import Caller, ConnectionId, Identity, Peer

from tests.adapters.handlers.logged import PLACE, emit, facts, world
from tests.adapters.loopback import PATIENCE, UPGRADE, connected, post, serving, text, websocket


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [vars(record)["event"] for record in caplog.records if record.name == "posthouse"]


@pytest.mark.anyio
async def test_the_server_waits_for_hooks_that_await_before_it_ends() -> None:
    service = Service("leaving")
    done: list[str] = []

    @service.on("connection.closed")
    async def closed(event: ConnectionClosed) -> None:
        await anyio.lowlevel.checkpoint()
        done.append(event.kind)

    config = Config(drain_spread=0.0)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:

            async def main(*, task_status: anyio.abc.TaskStatus[Server]) -> None:
                await serve(service, port=0, config=config, task_status=task_status)
                assert done == ["http", "websocket"]

            server = await group.start(main)
            async with connected(server) as client:
                assert (await client.post("connection.ping"))[0] == 200
            async with websocket(server) as client:
                server.shut_down()
                assert await client.close_code() == 1012
                await client.say(b"\x03\xf4", opcode=8)
                assert await client.rest() == b""


@pytest.mark.anyio
async def test_events_that_a_slow_hook_cannot_take_are_dropped_and_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "MAX_WAITING", 2)
    service = Service("overrun")
    release, seen, third = anyio.Event(), [0], anyio.Event()

    @service.on("connection.closed")
    async def closed(event: ConnectionClosed) -> None:
        await release.wait()
        seen[0] += 1
        if seen[0] == 3:
            third.set()

    async with serving(service) as server, connected(server) as client:
        for _ in range(10):
            assert (await client.post("connection.ping"))[0] == 200
        release.set()
        await third.wait()
        assert told(caplog).count("hook.overrun") == 1
    assert seen == [3]


@pytest.mark.anyio
async def test_each_connection_that_closes_has_one_line_and_no_peer_brings_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "posthouse")
    service = Service("logged", public=True)
    closed = anyio.Event()

    @service.on("connection.closed")
    def note(event: ConnectionClosed) -> None:
        if event.kind == "websocket":
            closed.set()

    async with serving(service) as server:
        async with connected(server) as client:
            assert (await client.post("no\nsuch\x1b[31m method"))[0] == 200
        async with connected(server) as client:
            await client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not HTTP\r\n\r\n")
            assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
        async with websocket(server) as client:
            await client.say(b"\xff", opcode=1)
            assert await client.close_code() == 1007
        await closed.wait()
    lines = [record for record in caplog.records if vars(record).get("event") == "connection.closed"]
    assert [(line.levelno, vars(line)["kind"], vars(line)["calls"]) for line in lines] == [
        (logging.DEBUG, "http", 0),
        (logging.INFO, "websocket", 0),
    ]
    assert vars(lines[1])["code"] == 1007
    assert vars(lines[1])["reason"] == "a text is not UTF-8, or a compressed message is not a deflate stream"
    for record in caplog.records:
        assert record.exc_info is None
        assert record.getMessage().isprintable()


@pytest.mark.anyio
async def test_refused_hosts_and_origins_are_warnings_once_in_a_while_and_other_refusals_are_for_debugging(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "posthouse")
    probe = b"GET /stats?password=hunter2 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    foreign = probe.replace(b"?password=hunter2", b"").replace(b"localhost", b"evil.example:80")
    page = foreign.replace(b"evil.example:80", b"localhost\r\nOrigin: https://evil.example")
    async with serving(Service("refusing")) as server:
        for request in (foreign, page, foreign, page, probe):
            async with connected(server) as client:
                await client.send(request)
                assert (await client.response())[0] in (400, 403, 421)
    lines = [record for record in caplog.records if vars(record).get("event") == "request.refused"]
    facts = [vars(line)["fields"] for line in lines]
    assert [
        (line.levelno, fact["status"], fact.get("host"), fact.get("origin"))
        for line, fact in zip(lines, facts, strict=True)
    ] == [
        (logging.WARNING, 421, "evil.example:80", None),
        (logging.WARNING, 403, None, "https://evil.example"),
        (logging.DEBUG, 421, "evil.example:80", None),
        (logging.DEBUG, 403, None, "https://evil.example"),
        (logging.DEBUG, 400, None, None),
    ]
    assert (
        lines[0]
        .getMessage()
        .startswith(
            "refused host evil.example:80: to allow it, use --allow-host (in code, allow_hosts), status=421, reason="
        )
    )
    assert (
        lines[1]
        .getMessage()
        .startswith(
            "refused origin https://evil.example: to allow it, use --allow-origin (in code, allow_origins), status=403,"
        )
    )
    assert lines[4].getMessage().startswith("refused a request, status=400, reason=")
    assert facts[4]["reason"] == "A credential must not be in the URL."
    assert not any("hunter2" in line.getMessage() for line in lines)


def test_values_are_escaped_and_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(INFO, "posthouse")
    report(INFO, "something", "it happened", peer="a\r\nforged \x1b[2J\u202e", long="é" * 1000, name="kept", none=None)
    (record,) = caplog.records
    message = record.getMessage()
    assert "a\\r\\nforged \\x1b[2J\\u202e" in message and message.isprintable()
    facts = vars(record)["fields"]
    assert facts["long"] == "é" * 255 + "…"
    assert (record.name, facts["name"], "none" in facts) == ("posthouse", "kept", False)
    assert [clean(value) for value in (1, 0.5, True, None)] == [1, 0.5, True, None]
    assert len(str(clean("\x00" * 1000))) == 256


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, object]]:
    return [vars(record)["fields"] for record in caplog.records if vars(record).get("event") == event]


@pytest.mark.anyio
async def test_an_access_log_has_one_line_for_each_call_and_none_without_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "posthouse")
    service = Service("logged", public=True)

    @service.method
    def add(a: int, b: int) -> int:
        return a + b

    for access_log in (True, False):
        async with serving(service, access_log=access_log) as server, connected(server) as client:
            assert (await client.post("add", [1, 2]))[0] == 200
            assert (await client.post("forged\nINFO call ended, user=root"))[0] == 200
        records = [record for record in caplog.records if record.name == "posthouse.access"]
        caplog.clear()
        if not access_log:
            assert records == []
            continue
        facts = [vars(record)["fields"] for record in records]
        assert {"milliseconds", "peer"} <= facts[0].keys()
        for known in facts:
            del known["milliseconds"], known["peer"]
        assert facts == [
            {"method": "add", "outcome": "result", "connection": 1, "kind": "http"},
            {
                "method": r"forged\nINFO call ended, user=root",
                "outcome": "error",
                "code": -32601,
                "connection": 2,
                "kind": "http",
            },
        ]
        assert r'method="forged\\nINFO call ended, user=root", outcome=error' in records[1].getMessage()


@pytest.mark.anyio
async def test_the_access_log_reaches_no_call_whatever_its_logger_does(caplog: pytest.LogCaptureFixture) -> None:
    class Breaks(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise LookupError

    access = logging.getLogger("posthouse.access")
    handler = Breaks()
    access.addHandler(handler)
    try:
        async with serving(Service("logged"), access_log=True) as server, connected(server) as client:
            caplog.set_level(logging.INFO, "posthouse")
            for _ in range(3):
                assert (await client.post("connection.ping"))[0] == 200
    finally:
        access.removeHandler(handler)


@pytest.mark.anyio
async def test_the_end_of_a_shut_down_says_what_it_did(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "posthouse")
    service = Service("leaving", public=True)
    begun = anyio.Event()

    @service.method
    async def wait() -> None:
        begun.set()
        await anyio.sleep_forever()

    config = Config(drain_spread=0.0, drain_grace=0.0)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:

            async def main(*, task_status: anyio.abc.TaskStatus[Server]) -> None:
                await serve(service, port=0, config=config, task_status=task_status)

            server = await group.start(main)
            async with connected(server) as client:
                await client.send(post(text("wait")))
                await begun.wait()
                server.shut_down()
                assert (await client.response())[0] == 503
    (end,) = lines(caplog, "server.stopped")
    assert (end["connections"], end["calls"]) == (1, 1)
    last = [record.getMessage() for record in caplog.records if record.name == "posthouse"][-1]
    assert last == f"shut down in {end['seconds']} s: closed connections: 1, cancelled calls: 1"


@pytest.mark.anyio
async def test_the_lines_of_a_call_have_the_id_of_its_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "posthouse")
    service = Service("late", public=True)

    @service.method
    def broken() -> None:
        raise ValueError

    @service.method(timeout=0.01)
    async def late() -> None:
        await anyio.sleep_forever()

    async with serving(service, access_log=True) as server, connected(server) as client:
        for method in ("broken", "late"):
            field = b"X-Request-Id: r-%b\r\n" % method.encode()
            await client.send(post(text(method)).replace(b"\r\n", b"\r\n" + field, 1))
            head = await client.take_until(b"\r\n\r\n")
            assert field in head
            await client.take(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
    assert [line["request_id"] for line in lines(caplog, "call.failed")] == ["r-broken"]
    assert [line["request_id"] for line in lines(caplog, "call.timed_out")] == ["r-late"]
    ended = [(line["request_id"], line["outcome"], line["code"]) for line in lines(caplog, "call.ended")]
    assert ended == [("r-broken", "error", -32603), ("r-late", "timed_out", -32030)]


# On a simulated machine


class Hooked:
    """A service whose hooks await `release`, one after another. `seen` has what they have seen."""

    def __init__(self) -> None:
        self.service = Service("hooked", public=True)
        self.seen: list[Any] = []
        self.release: list[asyncio.Future[None]] = []
        self.service.on("connection.opened")(self.opened)

    async def opened(self, event: ConnectionOpened) -> None:
        self.seen.append(f"begins {event.connection}")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.release.append(future)
        try:
            await future
        finally:
            self.seen.append(f"ends {event.connection}")


def opened(number: int) -> Emit:
    event = ConnectionOpened(ConnectionId(number), f"c{number}", "websocket", PLACE, None, 0.0)
    return Emit(event, Caller(ConnectionId(number), f"c{number}", Peer("websocket"), Identity()))


def test_hooks_that_await_run_one_after_another(caplog: pytest.LogCaptureFixture) -> None:
    hooked = Hooked()
    server = world(caplog, hooked.service)
    for number in (1, 2, 3):
        server.do(partial(server.events.emit, opened(number)))
    assert hooked.seen == ["begins 1"]
    for place in range(2):
        hooked.release[place].set_result(None)
        server.settle()
        server.loop.wake_up()
        server.settle()
    assert hooked.seen == ["begins 1", "ends 1", "begins 2", "ends 2", "begins 3"]


def test_at_most_1024_events_wait_for_a_hook_and_the_others_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    hooked = Hooked()
    server = world(caplog, hooked.service)

    def emit_many(count: int) -> None:
        def emit_all() -> None:
            for number in range(count):
                server.events.emit(opened(number))

        server.do(emit_all)

    emit_many(1025)
    assert facts(caplog, "hook.overrun") == []
    emit_many(2)
    text_ = "dropped an event for Hooked.opened, which is slower than the events: make it faster"
    assert facts(caplog, "hook.overrun") == [{"level": 40, "text": text_, "hook": "Hooked.opened"}]
    server.pass_time(9.9)
    emit_many(1)
    assert len(facts(caplog, "hook.overrun")) == 1
    server.pass_time(0.1)
    emit_many(1)
    assert len(facts(caplog, "hook.overrun")) == 2
    assert len(server.events._waiting) == 1024


def test_a_hook_that_fails_has_a_line_and_the_next_ones_run(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("hooked", public=True)
    seen: list[str] = []

    @service.on("connection.opened")
    def plain(event: ConnectionOpened) -> None:
        raise ArithmeticError("plain")

    @service.on("connection.opened")
    async def awaiting(event: ConnectionOpened) -> None:
        raise ArithmeticError("awaiting")

    @service.on("connection.opened")
    async def last(event: ConnectionOpened) -> None:
        seen.append("last")

    server = world(caplog, service)
    server.websocket()
    assert seen == ["last"]
    lines = facts(caplog, "hook.failed")
    assert [line["level"] for line in lines] == [40, 40]
    here = "test_a_hook_that_fails_has_a_line_and_the_next_ones_run.<locals>."
    assert [line["text"] for line in lines] == [
        f"{here}{name} raised an exception: nothing else is affected" for name in ("plain", "awaiting")
    ]
    raised = [record.exc_info for record in caplog.records if vars(record)["event"] == "hook.failed"]
    assert [str(info and info[1]) for info in raised] == ["plain", "awaiting"]


def test_a_hook_without_a_name_is_named_by_its_type_and_one_behind_a_partial_by_its_function(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Nameless:
        def __call__(self, event: Event) -> None:
            raise ArithmeticError

    def named(word: str, event: Event) -> None:
        raise ArithmeticError

    service = Service("hooked", public=True)
    service.on("connection.opened")(Nameless())
    service.on("connection.opened")(partial(named, "x"))
    server = world(caplog, service)
    server.websocket()
    names = [line["hook"].rpartition(".")[2] for line in facts(caplog, "hook.failed")]
    assert names == ["Nameless", "named"]


def test_a_plain_hook_that_is_slow_ends_the_turn(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("hooked", public=True)
    ended: list[bool] = []

    @service.on("connection.opened")
    def slow(event: ConnectionOpened) -> None:
        server.clock.skip(0.006)

    server = world(caplog, service)
    end = server.runner.end_turn_if_slow

    def note(now: float) -> None:
        ended.append(now >= server.runner._turn_ends)
        end(now)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server.runner, "end_turn_if_slow", note)
        server.websocket()
    assert ended == [True]


def test_hooks_with_a_context_notify_the_connection_of_their_event(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("hooked", public=True)
    told: list[bool] = []
    happened: list[Event] = []

    @service.on("connection.opened")
    def greet(event: ConnectionOpened, context: HookContext[Any]) -> None:
        context.connection_state["greeted"] = True
        happened.append(event)
        told.append(context.notify("hello", [1]))

    @service.method
    def greeted(context: Context) -> bool:
        return context.connection_state["greeted"] is True

    server = world(caplog, service)
    client = server.client()
    client.send(UPGRADE)
    head, _, rest = client.take().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    client.received.extend(rest)
    assert [message["params"] for message in client.messages()] == [[1]]
    assert told == [True]
    assert client.call("greeted")["result"] is True
    client.reset()
    emit(server, happened[0])
    assert told == [True, False]


@pytest.mark.parametrize("resists", [False, True])
def test_the_end_of_the_server_waits_for_hooks_and_then_cancels_them(
    resists: bool, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service("hooked", public=True)
    seen: list[str] = []

    @service.on("connection.closed")
    async def closed(event: ConnectionClosed) -> None:
        seen.append("begins")
        try:
            await anyio.sleep(100.0)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(5.0 if resists else 0.05)
            seen.append("ends")

    config = Config(drain_notice=0.0, drain_spread=0.0, drain_grace=0.0, close_timeout=2.0)
    server = world(caplog, service, config=config)
    for _ in range(3):
        server.websocket()
    ended: list[tuple[float, list[str]]] = []
    server.task.add_done_callback(lambda _: ended.append((round(server.clock.now, 2), list(seen))))
    server.server.shut_down()
    server.pass_time(30.0)
    ((when, then),) = ended
    assert then == (["begins"] if resists else ["begins", "ends"])
    assert facts(caplog, "hook.failed") == []
    lines = facts(caplog, "hook.resists")
    assert [line["level"] for line in lines] == ([30] if resists else [])
    if resists:
        text_ = f"{lines[0]['hook']} was cancelled, but goes on: the server ends without it"
        assert lines[0]["text"] == text_ and lines[0]["hook"].endswith("closed")
    assert 2.0 <= when <= 5.0
    assert not server.events._waiting


def test_the_server_ends_as_soon_as_its_last_hook_has(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("hooked", public=True)

    @service.on("connection.closed")
    async def closed(event: ConnectionClosed) -> None:
        await anyio.sleep(0.5)

    server = world(caplog, service)
    for _ in range(2):
        server.websocket().reset()
    server.server.shut_down()
    server.pass_time(0.9)
    assert not server.task.done()
    server.pass_time(0.2)
    assert server.task.done()
    idle = world(caplog)
    idle.server.shut_down()
    idle.pass_time(0.1)
    assert idle.task.done()
