"""SIGTERM and SIGINT: the first asks to leave in good order, the second insists."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def on_signals(shut_down: Callable[[], None]) -> Iterator[None]:
    """Inside, the first signal calls `shut_down`, and a second one exits at once with 128 + n.

    Not by the event loop's own means: a handler that blocks the loop must not hold up the second. For the main thread.
    """
    told = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal told
        if told:
            os._exit(128 + number)
        told = True
        shut_down()

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
