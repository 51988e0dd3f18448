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
    """One wait at a time, in the task that makes this. `interrupt` ends it, and all later ones; it may be called from
    any other task of the loop. While nothing waits it only ends the later ones."""

    __slots__ = ("_end", "_task", "interrupted")

    def __init__(self) -> None:
        self.interrupted = False
        self._end: Callable[[], object] | None = None
        self._task: Final = None if asyncio_loop() is None else asyncio.current_task()

    def interrupt(self) -> None:
        """End the wait, or the next one."""
        if not self.interrupted:
            self.interrupted = True
            if self._end is not None:
                self._end()

    async def until(self, awaited: Awaitable[T]) -> T | None:
        """Wait for this and return its result. None: the wait was interrupted."""
        if self.interrupted:
            drop(awaited)
            return None
        task = self._task
        if task is None:
            return await self._on_trio(awaited)
        before = task.cancelling()
        self._end = task.cancel
        try:
            value = await awaited
        except asyncio.CancelledError:
            if self.interrupted and task.uncancel() <= before:
                return None
            raise
        finally:
            self._end = None
        if self.interrupted:
            task.uncancel()  # what it awaited has taken the cancellation
        return value

    async def _on_trio(self, awaited: Awaitable[T]) -> T | None:
        import trio

        try:
            with trio.CancelScope() as scope:
                self._end = scope.cancel
                return await awaited
        finally:
            self._end = None
        return None


class Begun(Generic[T]):
    """A coroutine that has run until it waits. `done`: it never waited, and `value` is its result. Otherwise await it,
    once, or `close` it. `held` is called when it is awaited."""

    __slots__ = ("_begun", "_wanted", "done", "held", "value")

    value: T

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._begun: Final = coroutine
        self.held: Callable[[], object] | None = None
        try:
            self._wanted = coroutine.send(None)
        except StopIteration as end:
            self.value = end.value
            self.done = True
        else:
            self.done = False

    def close(self) -> None:
        """Wait no longer."""
        self._begun.close()

    def __await__(self) -> Generator[Any, Any, T]:
        send, throw = self._begun.send, self._begun.throw
        wanted = self._wanted
        try:
            if self.held is not None:
                self.held()
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


def drop(awaited: Awaitable[Any]) -> None:
    """Nothing waits for this. Futures need nothing: their host has them."""
    if isinstance(awaited, Coroutine | Begun):
        awaited.close()
