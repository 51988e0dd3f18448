"""Tasks of user code, each with context variables of its own.

They are in no task group, which would wait for a task that resists its cancellation. This module does not know what its
tasks do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, Final

from posthouse.adapters.loop.named import asyncio_loop
from posthouse.adapters.loop.runner import Runner

from .variables import Variables


class Tasks:
    """Starts tasks in the running loop. `fresh` returns the variables for one call. An exception that comes out of a
    task is a defect of the project, and ends the runner."""

    def __init__(self, runner: Runner) -> None:
        self._runner: Final = runner
        self._loop: Final = asyncio_loop()
        self._tasks: Final[dict[asyncio.Task[None], None]] = {}  # the loop itself would not keep them alive
        self.fresh: Final = Variables().fresh

    def start(self, variables: Context, begin: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Start a task with these variables."""
        if self._loop is None:
            import trio

            trio.lowlevel.spawn_system_task(self._checked, begin, name=name, context=variables)
        else:
            task = variables.run(self._loop.create_task, self._checked(begin), name=name)
            self._tasks[task] = None
            task.add_done_callback(self._tasks.pop)

    async def _checked(self, begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await begin()
        except Exception as error:
            self._runner.poller.call_soon(partial(_fail, error))


def _fail(error: Exception) -> None:
    raise error
