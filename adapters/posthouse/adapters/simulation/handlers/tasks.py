"""Coroutines on the virtual clock, for handlers and hooks that await, on asyncio or anyio.

They run as in a server, but they cannot use sockets, threads of their own or other processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from posthouse.adapters.simulation.machine.virtual import VirtualLoop
from posthouse.adapters.simulation.schedule import ProcessClock


class _Loop(VirtualLoop):
    """An event loop that takes a turn when its next sleep ends."""

    def __init__(self, clock: ProcessClock) -> None:
        super().__init__(clock, "time: a handler yields forever and the clock does not advance")
        self.set_exception_handler(_ignore)  # for tasks that are dropped with their world

    def _slept(self) -> None:
        super()._slept()
        self.turn()


class Tasks:
    """The tasks of one process.

    The firewall catches exceptions of handlers and hooks. An exception that a task raises is therefore a defect of the
    project, and `turn` raises it.
    """

    def __init__(self, clock: ProcessClock) -> None:
        self.loop: Final = _Loop(clock)
        self._tasks: dict[asyncio.Task[None], None] = {}  # in the order in which they started

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Start a task. It runs in the next turn."""
        task = self.loop.create_task(coroutine)
        self._tasks[task] = None
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled():
            self.loop.failed = self.loop.failed or task.exception()

    def turn(self) -> None:
        """Run until every task waits. Raises the exception of a task that failed."""
        self.loop.turn()

    def close(self) -> None:
        """The process has ended: cancel every task."""
        if self.loop.is_closed():
            return
        for task in self._tasks:
            task.cancel()
        try:
            self.turn()
        finally:
            self.loop.close()


def _ignore(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Do not log."""
