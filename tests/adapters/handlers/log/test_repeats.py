"""Lines that repeat are left out of the log and counted, on the virtual clock of a simulated machine."""

from __future__ import annotations

import logging

import anyio
import pytest
from posthouse.adapters.handlers.log import repeats
from posthouse.adapters.simulation import World
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import RpcError
from posthouse.core.values.lifecycle import CallFailed, ConnectionClosed, ConnectionOpened


def service() -> Service:
    failing = Service("failing", public=True)

    @failing.method
    def fail() -> None:
        raise ValueError

    @failing.method
    def break_differently() -> None:
        raise ValueError

    @failing.method
    def lose_data() -> None:
        raise RpcError(1, data=object())

    @failing.method(timeout=0.5)
    async def stick() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(7)

    return failing


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if vars(record).get("event") == event]


def left_out(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [vars(record)["fields"] for record in lines(caplog, "log.left_out")]


def fail(world: World, method: str, times: int) -> None:
    for _ in range(times):
        world.client("alice").call(method)
        world.run(0.01)


def test_lines_of_one_event_and_method_beyond_the_limit_are_counted_and_hooks_hear_of_each(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing, heard = service(), list[str]()

    @failing.on("call.failed")
    def failed(event: CallFailed) -> None:
        heard.append(event.method)

    world = World(service=failing, config=Config(log_lines=3, log_interval=5.0))
    fail(world, "fail", 3)
    fail(world, "break_differently", 4)
    logged = [vars(record)["method"] for record in lines(caplog, "call.failed")]
    assert logged == [*["fail"] * 3, *["break_differently"] * 3]
    fail(world, "fail", 20)
    assert len(lines(caplog, "call.failed")) == 6 and left_out(caplog) == []
    world.run(6)
    assert left_out(caplog) == [
        {"lines": 20, "of": "call.failed", "method": "fail"},
        {"lines": 1, "of": "call.failed", "method": "break_differently"},
    ]
    assert caplog.records[-2].getMessage() == (
        "left out 20 lines like those before: to see more, raise log_lines, of=call.failed, method=fail"
    )
    assert len(heard) == 27 and vars(world.process)["handlers"].runs._events.log.raised == {}
    world.finish()


def test_counting_begins_anew_after_each_interval(caplog: pytest.LogCaptureFixture) -> None:
    world = World(service=service(), config=Config(log_lines=2, log_interval=5.0))
    for _ in range(3):
        fail(world, "fail", 3)
        world.run(6)
    assert len(lines(caplog, "call.failed")) == 6
    assert left_out(caplog) == [{"lines": 1, "of": "call.failed", "method": "fail"}] * 3
    world.finish()


def test_exactly_as_many_lines_as_allowed_leave_nothing_out(caplog: pytest.LogCaptureFixture) -> None:
    world = World(service=service(), config=Config(log_lines=2, log_interval=5.0))
    fail(world, "fail", 2)
    world.finish()
    assert len(lines(caplog, "call.failed")) == 2 and left_out(caplog) == []


def test_the_end_of_the_server_ends_the_interval(caplog: pytest.LogCaptureFixture) -> None:
    world = World(service=service(), config=Config(log_lines=2))
    fail(world, "fail", 5)
    world.finish()
    assert left_out(caplog) == [{"lines": 3, "of": "call.failed", "method": "fail"}]


def test_every_line_that_a_client_can_repeat_is_limited(caplog: pytest.LogCaptureFixture) -> None:
    failing = service()

    @failing.on("connection.opened")
    def opened(event: ConnectionOpened) -> None:
        raise ValueError

    @failing.on("connection.closed")
    async def closed(event: ConnectionClosed) -> None:
        await anyio.lowlevel.checkpoint()
        raise ValueError

    config = Config(log_lines=1, log_interval=60.0, cleanup_grace=1.0)
    world = World(service=failing, config=config)
    for name in ("alice", "bob", "carol"):
        client = world.client(name)
        client.call("lose_data")
        client.call("stick")
    world.run(10)
    for client in world.clients.values():
        client.close()
    world.run(120)
    test = "test_every_line_that_a_client_can_repeat_is_limited.<locals>."
    assert left_out(caplog) == [
        {"lines": 2, "of": "hook.failed", "hook": f"{test}opened"},
        {"lines": 2, "of": "error.data_lost", "method": "lose_data"},
        {"lines": 2, "of": "call.timed_out", "method": "stick"},
        {"lines": 2, "of": "handler.resists", "method": "stick"},
        {"lines": 2, "of": "hook.failed", "hook": f"{test}closed"},
    ]
    world.finish()


def test_methods_beyond_the_bound_of_the_table_count_together(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "MAX_COUNTED", 1)
    failing = service()
    failing.method("third")(lambda: 1 / 0)
    world = World(service=failing, config=Config(log_lines=2, log_interval=5.0))
    fail(world, "fail", 3)
    fail(world, "break_differently", 2)
    fail(world, "third", 2)
    assert len(lines(caplog, "call.failed")) == 4
    world.run(6)
    assert left_out(caplog) == [
        {"lines": 1, "of": "call.failed", "method": "fail"},
        {"lines": 2, "of": "call.failed", "method": "others"},
    ]
    world.finish()
