"""Tasks that are numbered in the order in which they begin, so that nothing depends on the addresses of objects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final

from anyio._backends._asyncio import CancelScope, WorkerThread
from posthouse.core.values.errors import UsageError

NOT_SIMULATED: Final = (
    "handlers in a simulation cannot use sockets, threads of their own or processes: replace them with a fake in tests"
)


class NumberedTask(asyncio.Task[Any]):
    """A task whose hash is its number: task groups are sets, and cancel their members in the order of their hashes."""

    def __init__(self, number: int, coroutine: Coroutine[Any, Any, Any], **rest: Any) -> None:
        self._number: Final = number
        super().__init__(coroutine, **rest)

    def __hash__(self) -> int:
        return self._number

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Add a callback. That of an anyio worker thread is refused: virtual time would not wait for the thread."""
        worker = getattr(callback, "__self__", None)
        if isinstance(worker, WorkerThread):
            worker.stop()
            raise UsageError(NOT_SIMULATED)
        super().add_done_callback(callback, context=context)


def _number(scope: CancelScope) -> int:
    """The hash of an anyio cancel scope. Scopes keep their children in sets and cancel them in the order of their
    hashes. While a task of this module is in the scope, its hash is that of the task."""
    host = scope._host_task
    return host._number if type(host) is NumberedTask else object.__hash__(scope)


CancelScope.__hash__ = _number  # type: ignore[method-assign, assignment]
