"""The event loop of a simulated process: a loop on virtual time that reads the descriptors of its machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Final, TypeVarTuple

from posthouse.adapters.simulation.schedule import ProcessClock
from posthouse.adapters.system.system import READ

from .descriptors import Descriptors
from .signals import SimulatedSignals
from .virtual import Ready, VirtualLoop

Ts = TypeVarTuple("Ts")


class SimulatedLoop(VirtualLoop):
    """An event loop on virtual time, over these descriptors. A callback that raises is a defect."""

    def __init__(self, clock: ProcessClock, descriptors: Descriptors, signals: SimulatedSignals) -> None:
        super().__init__(clock, "time: the loop never waits and the clock does not advance")
        self._descriptors: Final = descriptors
        self._signals: Final = signals
        self._readers: Final[dict[int, Ready]] = {}
        self.set_exception_handler(self._fail)

    def _fail(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep the exception of a callback. That of a task is raised in the task that awaits it."""
        if "handle" in context:
            self.failed = self.failed or context.get("exception")

    def wake_up(self) -> None:
        """Let the next turn look at the descriptors: one of them may be ready."""
        self.woken = True

    def add_reader(self, fd: Any, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Call this in each round in which the descriptor can be read."""
        self._readers[fd] = partial(callback, *args), copy_context()
        self._descriptors.watch(self._descriptors.file(fd), self.wake_up)
        self.woken = True

    def remove_reader(self, fd: Any) -> bool:
        """End `add_reader`. Returns False if the descriptor had no reader."""
        if self._readers.pop(fd, None) is None:
            return False
        self._descriptors.unwatch(self._descriptors.file(fd), self.wake_up)
        return True

    def _ready_callbacks(self) -> list[Ready]:
        self._signals.call_handlers()
        file = self._descriptors.file
        return [reader for fd, reader in self._readers.items() if file(fd).ready() & READ]
