"""SIGTERM and SIGINT: the first begins a shut-down, the second exits at once. The process ends in time in any case."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread, current_thread, main_thread
from types import FrameType
from typing import Final

from posthouse.adapters.report import ERROR, report

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

SPARE: Final = 2.0
"""Seconds after the time of a shut-down until the process ends, whatever holds it up."""


def in_main_thread() -> bool:
    """Is this the main thread, which alone may handle signals?"""
    return current_thread() is main_thread()


@contextmanager
def on_signals(shut_down: Callable[[], None], seconds: float) -> Iterator[None]:
    """While this is entered, the first signal calls `shut_down`, and a second one exits at once with 128 + n.

    If the shut-down takes much longer than `seconds`, because user code blocks the loop, the process exits with 1.
    It does not use the event loop's own signal handling, since a handler that blocks the loop would block the second
    signal too. For the main thread only.
    """
    signalled = False
    begun, over = Event(), Event()

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal signalled
        if signalled:
            os._exit(128 + number)
        signalled = True
        begun.set()
        shut_down()

    def watch() -> None:
        begun.wait()
        if not over.wait(seconds + SPARE):
            report(ERROR, "shutdown.overrun", "the event loop is blocked and the time to shut down is over: exits now")
            end_process()

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    Thread(target=watch, name="posthouse-shut-down", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        begun.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def end_process() -> None:
    """Exit with 1, without waiting for tasks and threads of user code that resist."""
    with suppress(Exception):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(1)
