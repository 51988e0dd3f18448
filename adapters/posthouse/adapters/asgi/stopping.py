"""The signals that stop a process, heard beside the server that handles them.

An ASGI server tells an application of its shut-down only after all connections have ended, and WebSockets do not end by
themselves. So the application must hear of it at the same time.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def hear_signals(heard: Callable[[], None]) -> Callable[[], None]:
    """Call `heard` at each signal that the process handles, before the handler that is set now. Returns a function that
    ends this. Outside of the main thread it does nothing: there the application must be told by its lifespan."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    set_here: dict[int, tuple[Any, Any]] = {}
    for number in SIGNALS:
        before = signal.getsignal(number)
        if callable(before):  # otherwise the process ends at once, or ignores it
            after = _both(heard, before)
            signal.signal(number, after)
            set_here[number] = (before, after)

    def undo() -> None:
        if threading.current_thread() is threading.main_thread():
            for number, (before, after) in set_here.items():
                if signal.getsignal(number) is after:  # the server may have set its own again
                    signal.signal(number, before)

    return undo


def _both(heard: Callable[[], None], before: Callable[[int, FrameType | None], object]) -> Any:
    def handle(number: int, frame: FrameType | None) -> None:
        heard()
        before(number, frame)

    return handle
