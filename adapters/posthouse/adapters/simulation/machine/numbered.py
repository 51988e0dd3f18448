"""Tasks and cancel scopes whose order does not depend on the addresses of objects.

asyncio and anyio keep them in sets, and cancel the members of a set in the order of their hashes. So their hashes are
numbers here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, Final

from anyio._backends import _asyncio
from posthouse.core.values.errors import UsageError

NOT_SIMULATED: Final = (
    "handlers in a simulation cannot use sockets, threads of their own or processes: replace them with a fake in tests"
)

SCOPE: Final = "CancelScope"
"""The name under which anyio finds the class of its cancel scopes."""


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
        if isinstance(worker, _asyncio.WorkerThread):
            worker.stop()
            raise UsageError(NOT_SIMULATED)
        super().add_done_callback(callback, context=context)


class NumberedScope(_asyncio.CancelScope):
    """A cancel scope of anyio whose hash is that of its task: scopes are kept in sets, and cancelled in the order of
    their hashes."""

    __slots__ = ()

    def __hash__(self) -> int:
        task = self._host_task
        return object.__hash__(self) if task is None else hash(task)


@contextmanager
def numbered_scopes() -> Iterator[None]:
    """Let anyio make numbered scopes. Tasks make their scopes themselves, through anyio, which offers no other way to
    choose the class."""
    usual = _asyncio.CancelScope
    setattr(_asyncio, SCOPE, NumberedScope)
    try:
        yield
    finally:
        setattr(_asyncio, SCOPE, usual)
