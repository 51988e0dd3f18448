"""Signals, which a world sends at any step, and the exit of the process."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, Final, Never

Handler = Callable[[int, None], object]


class Exited(BaseException):
    """The process has exited with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code: Final = code


class SimulatedSignals:
    """The signals of one process. `slept`: seconds for which their handlers have blocked it."""

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
        """Send a signal to the process. Raises Exited if it ends the process."""
        handler = self._handlers.get(number, signal.SIG_DFL)
        if handler is signal.SIG_DFL:
            raise Exited(128 + number)
        if handler is not signal.SIG_IGN:
            handler(number, None)
