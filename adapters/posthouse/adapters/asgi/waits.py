"""The waits of one connection: for an event of the host, or until the host takes one. Both can be interrupted.

A wait costs nothing until it is interrupted: neither a task nor, on asyncio, a scope. This module does not know what
the events mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final, Generic, TypeVar

from posthouse.adapters.loop.named import asyncio_loop

T = TypeVar("T")


class Wait:
    """One wait at a time, in one task. `interrupt` ends it, and all later ones; it may be called from any other task of
    the loop. While nothing waits it only ends the later ones."""

    __slots__ = ("_end", "interrupted")

    def __init__(self) -> None:
        self.interrupted = False
        self._end: Callable[[], object] | None = None

    def interrupt(self) -> None:
        """End the wait, or the next one."""
        if not self.interrupted:
            self.interrupted = True
            if self._end is not None:
                self._end()

    def reset(self) -> None:
        """Let later waits wait again."""
        self.interrupted = False

    async def until(self, awaited: Awaitable[T]) -> T | None:
        """Wait for this and return its result. None: the wait was interrupted."""
        if self.interrupted:
            if asyncio.iscoroutine(awaited):
                awaited.close()
            return None
        try:
            return await (self._on_trio(awaited) if asyncio_loop() is None else self._on_asyncio(awaited))
        finally:
            self._end = None

    async def _on_trio(self, awaited: Awaitable[T]) -> T | None:
        import trio

        with trio.CancelScope() as scope:
            self._end = scope.cancel
            return await awaited
        return None

    async def _on_asyncio(self, awaited: Awaitable[T]) -> T | None:
        task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        self._end = task.cancel
        try:
            value = await awaited
        except asyncio.CancelledError:
            if self.interrupted and task.uncancel() <= before:
                return None
            raise
        if self.interrupted:
            task.uncancel()  # what it awaited has taken the cancellation
        return value


class Sending(Generic[T]):
    """Awaits that the host takes something. `held` is called if it does not take it at once: that is the only sign of a
    slow peer that ASGI has."""

    __slots__ = ("_held", "_taken")

    def __init__(self, taken: Coroutine[Any, Any, T], held: Callable[[], object]) -> None:
        self._taken: Final = taken
        self._held: Final = held

    def __await__(self) -> Generator[Any, Any, T]:
        send, throw = self._taken.send, self._taken.throw
        try:
            wanted = send(None)
            self._held()
            while True:
                try:
                    value = yield wanted
                except BaseException as error:
                    wanted = throw(error)
                else:
                    wanted = send(value)
        except StopIteration as end:
            result: T = end.value
            return result
