"""The watchdog names inline code that blocks the event loop, while it blocks.

It has a thread of its own, because the blocked loop cannot look. The only thing that it changes: before code that was
slow the last time, the bytes that wait are sent.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from threading import get_ident
from typing import Final

from posthouse.adapters.report import WARNING, report
from posthouse.adapters.system.system import Threads

SLOW: Final = 0.001
"""Code that took longer than so many seconds is expected to do so again: nobody else's answer should wait for it."""


class Watchdog:
    """Watches the thread that creates it. Names the code after `warn` seconds, logs its stack after `log` seconds.
    `before_slow` is called before code that was slow the last time."""

    def __init__(self, now: Callable[[], float], before_slow: Callable[[], None], warn: float, log: float) -> None:
        self._now: Final = now
        self._before_slow: Final = before_slow
        self._slow: Final[dict[str, None]] = {}
        self._warn: Final = warn
        self._log: Final = log
        self._watched: Final = get_ident()
        self._current: tuple[str, float] | None = None
        self._warned: tuple[str, float] | None = None
        self._logged: tuple[str, float] | None = None

    def start(self, threads: Threads) -> Callable[[], None]:
        """Look from now on, in a thread. Returns a function that ends it."""
        return threads.every(self._warn / 2, self.look, "posthouse-watchdog")

    def begins(self, name: str) -> None:
        """Inline code begins: a method or a hook of this name."""
        if name in self._slow:
            self._before_slow()
        self._current = (name, self._now())

    def ends(self) -> float:
        """The code that began last has ended. Returns the time."""
        assert self._current is not None
        name, since = self._current
        self._current = None
        now = self._now()
        if now - since > SLOW:
            self._slow[name] = None
        elif self._slow:
            self._slow.pop(name, None)
        return now

    def look(self) -> None:
        """Log inline code that has run for too long. Each run is named once, and its stack logged once."""
        current = self._current
        if current is None:
            return
        name, since = current
        seconds = round(self._now() - since, 3)
        if seconds >= self._warn and current is not self._warned:
            self._warned = current
            report(
                WARNING,
                "loop.blocked",
                "{method} blocks the event loop: make it `async def`, or declare it with blocking=True",
                method=name,
                seconds=seconds,
            )
        if seconds >= self._log and current is not self._logged:
            self._logged = current
            frame = sys._current_frames().get(self._watched)
            stack = "".join(traceback.format_stack(frame))
            report(
                WARNING,
                "loop.stuck",
                "{method} still blocks the event loop; its stack:",
                stack=stack,
                method=name,
                seconds=seconds,
            )
