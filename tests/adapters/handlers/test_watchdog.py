"""The watchdog names code that blocks the loop, while it blocks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest
from posthouse.adapters.handlers.watchdog import SLOW, Watchdog
from posthouse.adapters.system.machine import MachineThreads
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config

from tests.adapters.loopback import PATIENCE, serving, websocket


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def events(caplog: pytest.LogCaptureFixture) -> list[object]:
    return [getattr(record, "event", None) for record in caplog.records]


def test_each_run_is_named_once_and_its_stack_shown_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    watchdog = Watchdog(clock, lambda: None, warn=0.1, log=5.0)
    watchdog.look()
    watchdog.begins("slow")
    clock.time += 0.09
    watchdog.look()
    assert caplog.records == []
    clock.time += 0.02
    watchdog.look()
    watchdog.look()
    assert events(caplog) == ["loop.blocked"]
    assert (
        "slow blocks the event loop: make it `async def`, or declare it with blocking=True, seconds=0.11" in caplog.text
    )
    clock.time += 5
    watchdog.look()
    watchdog.look()
    assert events(caplog) == ["loop.blocked", "loop.stuck"]
    stack = caplog.records[1].stack_info
    assert stack is not None and "test_each_run_is_named_once" in stack
    watchdog.ends()
    clock.time += 5
    watchdog.look()
    assert len(caplog.records) == 2
    watchdog.begins("slow")
    clock.time += 0.2
    watchdog.look()
    assert events(caplog)[2:] == ["loop.blocked"]


def test_what_waits_is_sent_before_code_that_was_slow_the_last_time() -> None:
    clock = Clock()
    sent: list[str] = []
    watchdog = Watchdog(clock, lambda: sent.append(name), warn=0.1, log=5.0)
    for name, seconds in [("a", SLOW / 2), ("a", 2 * SLOW), ("b", 0.0), ("a", 2 * SLOW), ("a", 0.0), ("a", 0.0)]:
        watchdog.begins(name)
        clock.time += seconds
        assert watchdog.ends() == clock.time
        sent.append("|")
    assert "".join(sent) == "|||a|a||"


def test_code_is_slow_that_takes_longer_than_a_millisecond() -> None:
    clock = Clock()
    sent: list[float] = []
    watchdog = Watchdog(clock, lambda: sent.append(clock.time), warn=0.1, log=5.0)
    for begins, seconds in [(0.0, 0.001), (0.0, 0.0011), (1.0, 0.0), (2.0, 0.0)]:
        clock.time = begins
        watchdog.begins("a")
        clock.time += seconds
        watchdog.ends()
    assert sent == [1.0]


def test_code_is_named_at_the_very_times_that_are_given(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    clock.time = 0.0
    watchdog = Watchdog(clock, lambda: None, warn=0.1234, log=5.0)
    watchdog.begins("slow")
    clock.time = 0.1235
    watchdog.look()
    assert caplog.records == [], "0.1235 is shown, and compared, as 0.123"
    watchdog = Watchdog(clock, lambda: None, warn=0.125, log=5.0)
    clock.time = 0.0
    watchdog.begins("slow")
    clock.time = 0.125
    watchdog.look()
    assert events(caplog) == ["loop.blocked"]
    clock.time = 5.0
    watchdog.look()
    assert events(caplog) == ["loop.blocked", "loop.stuck"]
    assert caplog.records[1].getMessage() == "slow still blocks the event loop; its stack:, seconds=5.0"
    stack = caplog.records[1].stack_info
    assert stack is not None and all(line.startswith("  ") for line in stack.splitlines())


def test_it_looks_twice_within_the_time_after_which_code_is_named() -> None:
    told: list[tuple[float, Callable[[], None], str]] = []

    class Threads(MachineThreads):
        def every(self, seconds: float, call: Callable[[], None], name: str) -> Callable[[], None]:
            told.append((seconds, call, name))
            return stop

    def stop() -> None: ...

    watchdog = Watchdog(Clock(), lambda: None, warn=0.5, log=5.0)
    assert watchdog.start(Threads()) is stop
    assert told == [(0.25, watchdog.look, "posthouse-watchdog")]


@pytest.mark.anyio
async def test_a_plain_handler_that_blocks_is_named_while_it_does() -> None:
    named = threading.Event()

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "event", "") == "loop.stuck" and "block" in (record.stack_info or ""):
                named.set()

    service = Service("blocked", public=True)

    @service.method
    def block() -> bool:
        return named.wait(PATIENCE)

    told = Told()
    logging.getLogger("posthouse").addHandler(told)
    try:
        config = Config(watchdog_warn=0.01, watchdog_log=0.02)
        async with serving(service, config=config) as server, websocket(server) as client:
            assert (await client.call("block"))["result"] is True
    finally:
        logging.getLogger("posthouse").removeHandler(told)
