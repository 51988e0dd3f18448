"""Signals that a world sends, at any step, and the end of the process."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, Final, Never

Handler = Callable[[int, None], object]


class Exited(BaseException):
    """The process has ended by itself, with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code: Final = code


class SimulatedSignals:
    """The handlers of signals. `slept`: the seconds that handlers have blocked the process."""

    def __init__(self) -> None:
        self._handlers: Final[dict[int, Any]] = {}
        self.slept = 0.0

    def available(self) -> bool:
        return True

    def handle(self, number: int, handler: Any) -> Any:
        before = self._handlers.get(number, signal.SIG_DFL)
        self._handlers[number] = handler
        return before

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def exit(self, code: int) -> Never:
        raise Exited(code)

    def send(self, number: int) -> None:
        """A signal comes. Raises Exited if the process ends at once."""
        handler = self._handlers.get(number, signal.SIG_DFL)
        if handler is signal.SIG_DFL:
            raise Exited(128 + number)
        if handler is not signal.SIG_IGN:
            handler(number, None)
