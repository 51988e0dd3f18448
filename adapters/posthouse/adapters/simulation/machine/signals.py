"""Signals, which a world sends at any step, and the exit of the process.

A signal that comes while the event loop waits comes at the worst moment: after the loop's last instruction, and before
its sleep. It does not end the sleep, and its handler is called when the loop runs again. Other signals come during a
call of the kernel, and their handlers are called there.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Never

from .descriptors import Descriptors
from .paired import PairedSocket
from .threads import Exited

Handler = Callable[[int, None], object]


class SimulatedSignals:
    """The signals of one process.

    `waker`: the descriptor to which each signal writes a byte, or -1. `slept`: seconds for which their handlers have
    blocked it. `handled`: the signals for which a handler was called. `code`: the exit code, None before the exit.
    `on_exit` is called at the exit.
    """

    def __init__(self, descriptors: Descriptors) -> None:
        self._descriptors: Final = descriptors
        self._handlers: Final[dict[int, Any]] = {}
        self._arrived: Final[list[int]] = []
        self._planned: list[tuple[int, int]] = []  # calls that are left, and a signal
        self.waker = -1
        self.slept = 0.0
        self.handled: Final[list[int]] = []
        self.code: int | None = None
        self.on_exit: Callable[[], object] = list

    @property
    def signalled(self) -> bool:
        """Has a signal come that has a handler?"""
        return bool(self.handled or self._arrived)

    @property
    def untouched(self) -> bool:
        """Is everything as at the start of the process?"""
        return self.waker == -1 and all(handler is signal.SIG_DFL for handler in self._handlers.values())

    def available(self) -> bool:
        return True

    def handle(self, number: int, handler: Any) -> Any:
        before = self._handlers.get(number, signal.SIG_DFL)
        self._handlers[number] = handler
        return before

    def wake_up(self, descriptor: int) -> int:
        before, self.waker = self.waker, descriptor
        return before

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def flush(self) -> None:
        """Do nothing: the log and the standard streams belong to the process of the test."""

    def exit(self, code: int) -> Never:
        if self.code is None:
            self.code = code
            self.on_exit()
        raise Exited(self.code)

    def send(self, number: int) -> None:
        """Send a signal to the process. Raises Exited if it has no handler: it ends the process."""
        handler = self._handlers.get(number, signal.SIG_DFL)
        if handler is signal.SIG_DFL:
            self.exit(128 + number)
        if handler is signal.SIG_IGN:
            return
        self._arrived.append(number)
        if self.waker != -1:
            waker = self._descriptors.file(self.waker)
            assert isinstance(waker, PairedSocket)
            with suppress(BlockingIOError):  # it is full: the loop will wake in any case
                waker.send(b"\0")

    def call_handlers(self) -> None:
        """Call the handlers of the signals that have come: the event loop runs. Raises Exited if one ends the
        process."""
        while self._arrived and self.code is None:
            number = self._arrived.pop(0)
            self.handled.append(number)
            self._handlers[number](number, None)

    def plan(self, number: int, calls: int) -> None:
        """Send a signal during a call of the kernel, after so many others."""
        self._planned.append((calls, number))

    def forget(self) -> None:
        """Send no more of the planned signals."""
        self._planned.clear()

    def interrupt(self) -> None:
        """The event loop calls the kernel: the planned signals that are due come now, and their handlers are called.
        Raises Exited if one ends the process."""
        if self._planned:
            planned = [(calls - 1, number) for calls, number in self._planned]
            self._planned = [(calls, number) for calls, number in planned if calls >= 0]
            for calls, number in planned:
                if calls < 0:
                    self.send(number)
                    self.call_handlers()
