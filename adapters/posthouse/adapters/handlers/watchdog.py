"""The watchdog names inline code that blocks the event loop, while it blocks.

It has a thread of its own, because the blocked loop cannot look. It changes nothing.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from threading import Event, Thread, get_ident
from typing import Final

from posthouse.adapters.report import WARNING, report


class Watchdog:
    """Watches the thread that creates it. Names the code after `warn` seconds, logs its stack after `log` seconds."""

    def __init__(self, now: Callable[[], float], warn: float, log: float) -> None:
        self._now: Final = now
        self._warn: Final = warn
        self._log: Final = log
        self._watched: Final = get_ident()
        self._current: tuple[str, float] | None = None
        self._warned: tuple[str, float] | None = None
        self._logged: tuple[str, float] | None = None
        self._stopped: Final = Event()
        self._thread: Final = Thread(target=self._run, name="posthouse-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stopped.set()
        self._thread.join()

    def begins(self, name: str) -> None:
        """Inline code begins: a method or a hook of this name."""
        self._current = (name, self._now())

    def ends(self) -> None:
        self._current = None

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

    def _run(self) -> None:
        while not self._stopped.wait(self._warn / 2):
            self.look()
