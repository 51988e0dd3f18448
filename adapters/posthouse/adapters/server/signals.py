"""SIGTERM and SIGINT: the first begins a shut-down, the second exits at once."""

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
    """While this is entered, the first signal calls `shut_down`, and a second one exits at once with 128 + n.

    It does not use the event loop's own signal handling, since a handler that blocks the loop would block the second
    signal too. For the main thread only.
    """
    signalled = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal signalled
        if signalled:
            os._exit(128 + number)
        signalled = True
        shut_down()

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
