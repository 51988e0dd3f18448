"""The lines of the log about events, calls and handlers: their texts, their levels and their facts."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.lifecycle import (
    AuthFailed,
    AuthFailure,
    CallEnded,
    CallFailed,
    CallTimedOut,
    ConnectionClosed,
    ForwardingIgnored,
    LimitBreached,
    RequestRefused,
)
from posthouse.core.values.peers import Address, CallId, ConnectionId, Kind

from tests.adapters.handlers.logged import PLACE, emit, facts, world
from tests.adapters.loopback import text


@pytest.mark.parametrize(
    ("kind", "reason", "level"),
    [("websocket", None, 20), ("websocket", "slow", 20), ("http", "slow", 20), ("http", None, 10)],
)
def test_each_connection_that_closes_has_a_line_with_its_facts(
    kind: Kind, reason: str | None, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = world(caplog)
    event = ConnectionClosed(ConnectionId(5), "c5", kind, PLACE, "ada", 1000, 1.23456, 7, 0.0, reason)
    emit(server, event)
    (line,) = facts(caplog, "connection.closed")
    assert line.pop("text").startswith("connection closed, connection=5")
    assert line == {
        "level": level,
        "connection": 5,
        "public_id": "c5",
        "kind": kind,
        "peer": "10.0.0.9",
        "user": "ada",
        "code": 1000,
        "seconds": 1.235,
        "calls": 7,
        **({} if reason is None else {"reason": reason}),
    }
    caplog.clear()
    emit(server, ConnectionClosed(ConnectionId(5), "c5", kind, Address(), None, None, 0.0, 0, 0.0, reason))
    assert "peer" not in facts(caplog, "connection.closed")[0]
    caplog.clear()
    caplog.set_level(logging.WARNING, "posthouse")
    emit(server, event)
    assert caplog.records == []


def test_credentials_that_are_refused_for_another_reason_or_with_another_text_are_news(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = world(caplog)

    def refuse(now: float, why: str = "", reason: AuthFailure = "refused") -> None:
        emit(server, AuthFailed(ConnectionId(5), "c5", "http", PLACE, "tokens", reason, now, why=why))

    for now, why in ((0.0, ""), (1.0, ""), (2.0, "a: one"), (3.0, "a: two"), (4.0, "a: one"), (12.0, "a: one")):
        refuse(now, why)
    refuse(5.0, reason="failed")
    lines = facts(caplog, "auth.failed")
    assert [(line["level"], line.get("why"), line["reason"]) for line in lines] == [
        (30, None, "refused"),
        (10, None, "refused"),
        (30, "a: one", "refused"),
        (30, "a: two", "refused"),
        (10, "a: one", "refused"),
        (30, "a: one", "refused"),
        (30, None, "failed"),
    ]


@pytest.mark.parametrize(("texts", "warnings"), [(1022, 1023), (1023, 1024), (1024, 1024)])
def test_a_text_for_each_refusal_is_no_news_any_more(
    texts: int, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = world(caplog)
    for number in range(-1, texts):
        why = str(number) if number >= 0 else ""
        emit(server, AuthFailed(ConnectionId(5), "c5", "http", PLACE, "tokens", "refused", 0.0, why=why))
    levels = [line["level"] for line in facts(caplog, "auth.failed")]
    assert (levels.count(30), len(levels)) == (warnings, texts + 1)


def test_a_call_that_fails_or_times_out_has_a_line_with_its_facts(caplog: pytest.LogCaptureFixture) -> None:
    server = world(caplog)
    error = ArithmeticError()
    server.events.log.raised["1f"] = error
    for incident in ("1f", "2f"):
        emit(server, CallFailed(CallId(3), ConnectionId(5), "work", incident, "it raised", 0.0, "r1"))
    lines = facts(caplog, "call.failed")
    assert [line.pop("text") for line in lines] == [
        f"call failed, method=work, incident={incident}, reason=it raised, connection=5, request_id=r1"
        for incident in ("1f", "2f")
    ]
    common = {"method": "work", "reason": "it raised", "connection": 5, "request_id": "r1"}
    assert lines == [{"level": 40, "incident": incident, **common} for incident in ("1f", "2f")]
    raised = [record.exc_info for record in caplog.records if vars(record).get("event") == "call.failed"]
    assert (raised[0] and raised[0][1], raised[1]) == (error, None)
    emit(server, CallTimedOut(CallId(3), ConnectionId(5), "work", 0.0, "r1"))
    (line,) = facts(caplog, "call.timed_out")
    assert line.pop("text") == "call timed out, method=work, connection=5, request_id=r1"
    assert line == {"level": 30, "method": "work", "connection": 5, "request_id": "r1"}


def test_a_breach_is_a_warning_once_in_ten_seconds_for_each_limit(caplog: pytest.LogCaptureFixture) -> None:
    server = world(caplog)

    def breach(limit: str, now: float, *, enforced: bool = True, place: Address = PLACE) -> tuple[int, str]:
        caplog.clear()
        emit(server, LimitBreached(limit, ConnectionId(5), place, enforced, now))
        (line,) = facts(caplog, "limit.breached")
        assert (line["limit"], line["connection"], line.get("peer")) == (limit, 5, place.host or None)
        return line["level"], line["text"]

    exceeded = "limit max_batch exceeded: docs/limits.md explains it, connection=5, peer=10.0.0.9"
    assert breach("max_batch", 100.0) == (30, exceeded)
    assert breach("max_batch", 109.9) == (10, exceeded)
    assert breach("max_depth", 109.9)[0] == 30
    assert breach("max_batch", 110.0)[0] == 30
    assert breach("max_batch", 110.0)[0] == 10
    assert breach("max_calls", 0.0, enforced=False, place=Address()) == (
        30,
        "limit max_calls would have been exceeded, and is not enforced: docs/limits.md explains it, connection=5",
    )


def test_a_refusal_that_depends_on_a_setting_is_a_warning_once_in_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    server = world(caplog)

    def refuse(status: int, now: float, rejected: str | None) -> dict[str, Any]:
        caplog.clear()
        emit(server, RequestRefused(status, "why", rejected, PLACE, now))
        (line,) = facts(caplog, "request.refused")
        assert (line.pop("status"), line.pop("reason"), line.pop("peer")) == (status, "why", "10.0.0.9")
        return line

    host = "refused host evil.example: to allow it, use --allow-host (in code, allow_hosts)"
    origin = "refused origin https://evil.example: to allow it, use --allow-origin (in code, allow_origins)"
    rest = ", reason=why, peer=10.0.0.9"
    assert refuse(421, 100.0, "evil.example") == {
        "level": 30,
        "text": f"{host}, status=421{rest}",
        "host": "evil.example",
    }
    assert refuse(403, 100.0, "https://evil.example") == {
        "level": 30,
        "text": f"{origin}, status=403{rest}",
        "origin": "https://evil.example",
    }
    assert [refuse(status, 109.9, "x")["level"] for status in (421, 403)] == [10, 10]
    assert [refuse(status, 110.0, "x")["level"] for status in (421, 403)] == [30, 30]
    plain = {"level": 10, "text": f"refused a request, status=400{rest}"}
    assert refuse(400, 200.0, None) == plain
    assert refuse(400, 200.0, "x") == plain
    assert refuse(421, 300.0, None) == {**plain, "text": f"refused a request, status=421{rest}"}


def test_a_call_whose_error_loses_its_data_or_whose_handler_resists_has_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("events", public=True)

    @service.method
    async def work() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(100.0)

    server = world(caplog, service, config=Config(cleanup_grace=1.0))
    server.do(lambda: server.events.log.data_lost("work", 7))
    (line,) = facts(caplog, "error.data_lost")
    lost = "sent an error without its data: the data cannot be encoded as JSON, method=work, code=7"
    assert line == {"level": 30, "text": lost, "method": "work", "code": 7}
    client = server.websocket()
    client.say(b'{"jsonrpc":"2.0","method":"work","id":1,"meta":{"request_id":"r1"}}')
    client.say(text("$/cancelRequest", {"id": 1}, id=None))
    server.pass_time(1.0)
    (line,) = facts(caplog, "handler.resists")
    connection = line.pop("connection")
    resists = "work was cancelled, but goes on after its clean-up time: it keeps its slot until it ends"
    assert line.pop("text") == f"{resists}, connection={connection}, request_id=r1"
    assert line == {"level": 30, "method": "work", "request_id": "r1"}


def test_lines_of_one_kind_and_method_are_left_out_when_there_are_too_many(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("events", public=True)

    @service.method
    async def work() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(100.0)

    server = world(caplog, service, config=Config(log_lines=1, log_interval=10.0, cleanup_grace=1.0))
    client = server.websocket()
    for id in (1, 2):
        client.say(text("work", id=id))
        client.say(text("$/cancelRequest", {"id": id}, id=None))
    for _ in range(2):
        emit(server, CallFailed(CallId(3), ConnectionId(5), "work", "1f", "it raised", 0.0))
        emit(server, CallTimedOut(CallId(3), ConnectionId(5), "work", 0.0))
        server.do(lambda: server.events.log.data_lost("work", 7))
    server.pass_time(1.0)
    for event in ("call.failed", "call.timed_out", "error.data_lost", "handler.resists"):
        assert len(facts(caplog, event)) == 1
    server.pass_time(20.0)
    left_out = facts(caplog, "log.left_out")
    assert [(line["level"], line["of"], line["method"], line["lines"]) for line in left_out] == [
        (30, event, "work", 1) for event in ("call.failed", "call.timed_out", "error.data_lost", "handler.resists")
    ]


def test_the_lines_of_a_shut_down_say_when_it_began_and_what_it_did(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("events", public=True)

    @service.method
    async def wait() -> None:
        await anyio.sleep_forever()

    server = world(caplog, service)
    for number in range(3):
        client = server.websocket()
        client.say(text("wait", id=number))
    gone = server.websocket()
    gone.reset()
    server.pass_time(10.0)
    caplog.clear()
    server.end()
    assert facts(caplog, "gateway.draining") == [
        {"level": 20, "text": "shutting down: new calls are refused, running calls may finish"}
    ]
    (line,) = facts(caplog, "server.stopped")
    seconds = line.pop("seconds")
    assert 0.0 < seconds <= 26.0 and seconds == round(seconds, 3)
    text_ = f"shut down in {seconds} s: closed connections: 3, cancelled calls: 3"
    assert line == {"level": 20, "text": text_, "connections": 3, "calls": 3}


def test_a_server_that_is_cancelled_says_how_many_connections_it_cut(caplog: pytest.LogCaptureFixture) -> None:
    server = world(caplog)
    server.websocket()
    server.websocket()
    server.task.cancel()
    server.settle()
    assert facts(caplog, "server.stopped") == [
        {"level": 20, "text": "stopped without a shut-down: 2 connections were cut", "connections": 2}
    ]


def test_the_access_log_has_the_facts_of_each_call(caplog: pytest.LogCaptureFixture) -> None:
    server = world(caplog, access_log=True)
    event = CallEnded(
        CallId(3), ConnectionId(5), "c5", "websocket", PLACE, "ada", "work", "error", -32000, 0.0123456, "r1", 0.0
    )
    emit(server, event)
    (line,) = facts(caplog, "call.ended")
    assert line.pop("text").startswith("call ended, method=work, outcome=error, code=-32000, milliseconds=12.346")
    assert line == {
        "level": 20,
        "method": "work",
        "outcome": "error",
        "code": -32000,
        "milliseconds": 12.346,
        "connection": 5,
        "kind": "websocket",
        "peer": "10.0.0.9",
        "user": "ada",
        "request_id": "r1",
    }
    assert [record.name for record in caplog.records if vars(record)["event"] == "call.ended"] == ["posthouse.access"]
    caplog.clear()
    emit(world(caplog), event)
    assert facts(caplog, "call.ended") == []


def test_a_line_about_a_client_behind_a_proxy_names_both(caplog: pytest.LogCaptureFixture) -> None:
    server = world(caplog)
    client = Address("192.0.2.1", proxy="10.0.0.9")
    emit(server, RequestRefused(400, "why", None, client, 0.0))
    emit(server, LimitBreached("max_batch", ConnectionId(5), client, True, 0.0))
    for event in ("request.refused", "limit.breached"):
        (line,) = facts(caplog, event)
        assert (line["peer"], line["proxy"]) == ("192.0.2.1", "10.0.0.9")
        assert line["text"].endswith(", peer=192.0.2.1, proxy=10.0.0.9")


@pytest.mark.parametrize(("place", "peer"), [(PLACE, "10.0.0.9"), (Address(), "unix")])
def test_a_header_that_was_ignored_is_a_warning_with_the_remedy(
    caplog: pytest.LogCaptureFixture, place: Address, peer: str
) -> None:
    emit(world(caplog), ForwardingIgnored("x-forwarded-for", place, 0.0))
    (line,) = facts(caplog, "forwarding.ignored")
    text = f"ignored x-forwarded-for of {peer}: if it is a proxy of yours, use --trust-proxy {peer}"
    assert line == {"level": 30, "text": f"{text} (in code, trust_proxies)", "header": "x-forwarded-for", "peer": peer}
