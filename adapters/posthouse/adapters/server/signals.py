"""SIGTERM and SIGINT: the first begins a shut-down, the second exits at once. The process ends in time in any case.

SIGHUP is for a server that has something to read again. Without that, it ends the process, as it does by default.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty
from types import FrameType
from typing import Final, Never

from posthouse.adapters.report import ERROR, WARNING, report
from posthouse.adapters.system.system import Signals, System

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

SPARE: Final = 2.0
"""Seconds after the time of a shut-down until the process ends, whatever holds it up."""

NO_DESCRIPTOR: Final = -1

LAST_LINE: Final = 0.2
"""Seconds that a second signal waits for the last line of the log."""


@contextmanager
def on_signals(
    system: System,
    shut_down: Callable[[], None],
    waker: int,
    seconds: float,
    *,
    hang_up: Callable[[], object] | None = None,
) -> Iterator[None]:
    """While this is entered, the first signal calls `shut_down`, and a second one exits at once with 128 + n. SIGHUP
    calls `hang_up`, if it is given.

    A signal that comes just before the loop sleeps does not interrupt the sleep, and Python calls its handler only when
    the loop runs again. So each signal also writes a byte to `waker`, a descriptor that wakes the loop. An event loop
    that has such a descriptor itself (uvloop, trio) keeps its own.

    A thread writes the last line of the log. A signal handler may have interrupted the code that holds the log's lock.
    If the shut-down takes much longer than `seconds`, because user code blocks the loop, the process exits with 1.
    It does not use the event loop's own signal handling, since a handler that blocks the loop would block the second
    signal too. For the main thread only.
    """
    signalled = False
    signals = system.signals
    news = system.threads.queue()  # None: the server has ended

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal signalled
        news.put(number)
        if signalled:
            signals.sleep(LAST_LINE)
            signals.exit(128 + number)
        signalled = True
        shut_down()

    def watch() -> None:
        if news.get() is None:
            return
        try:
            second = news.get(timeout=seconds + SPARE)
        except Empty:
            report(ERROR, "shutdown.overrun", "the event loop is blocked and the time to shut down is over: exits now")
            end_process(signals)
        else:
            if second is not None:
                report(WARNING, "server.stopped", "exits now: a second signal came before the shut-down had ended")
                signals.exit(128 + second)

    handlers: dict[int, Callable[[int, FrameType | None], object]] = dict.fromkeys(SIGNALS, handle)
    if hang_up is not None:
        handlers[signal.SIGHUP] = lambda number, frame: hang_up()
    before = {number: signals.handle(number, handler) for number, handler in handlers.items()}
    own = signals.wake_up(waker)
    if own != NO_DESCRIPTOR:
        signals.wake_up(own)
    system.threads.start(watch, "posthouse-shut-down")
    try:
        yield
    finally:
        news.put(None)
        for number, handler in before.items():
            signals.handle(number, handler)
        last = signals.wake_up(own)
        if last != waker:
            signals.wake_up(last)  # asyncio has set its own for a handler of the user's


def end_process(signals: Signals) -> Never:
    """Exit with 1, without waiting for tasks and threads of user code that resist."""
    signals.flush()
    signals.exit(1)
