"""Cancel a coroutine once: the first await after that raises, and the awaits of its clean-up work again.

Event loops that cancel by scopes would raise at every later await, and asyncio would try it again and again without a
pause. One exception is trio's: a nursery that waits for its tasks takes the cancellation itself, so the first await
after it raises, too. This module does not know why a coroutine is cancelled, or how long its clean-up may take.

A checkpoint of trio, such as `anyio.sleep(0)`, opens a scope of its own when it finds itself cancelled. That scope
takes the exception if the clean-up behind it is shielded by then. So a coroutine is cancelled before its checkpoint
looks.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Coroutine, Generator
from typing import Any, Final, Generic, TypeVar

import anyio

T = TypeVar("T")


class Cancellation:
    """Cancels one coroutine. `called`: it was cancelled, perhaps before it began."""

    __slots__ = ("_kind", "_scope", "called")

    def __init__(self) -> None:
        self.called = False
        self._scope: anyio.CancelScope | None = None

    def cancel(self) -> None:
        """Cancel the coroutine. A second call changes nothing."""
        self.called = True
        if self._scope is not None:
            self._scope.cancel()

    def caused(self, error: BaseException | None) -> bool:
        """Is this exception the cancellation? User code can raise one of its own, from elsewhere."""
        return self.called and isinstance(error, self._kind)

    async def guard(self, guarded: Coroutine[Any, Any, T]) -> T | None:
        """Await a coroutine that `cancel` cancels. Returns None if it lets the cancellation through."""
        self._kind = anyio.get_cancelled_exc_class()
        with anyio.CancelScope() as self._scope, anyio.CancelScope() as shield:
            if self.called:
                self._scope.cancel()
            return await _Steps(self, shield, guarded)
        return None


class _Steps(Generic[T]):
    """The steps of a coroutine, each between two awaits."""

    __slots__ = ("_cancellation", "_guarded", "_shield")

    def __init__(self, cancellation: Cancellation, shield: anyio.CancelScope, guarded: Coroutine[Any, Any, T]) -> None:
        self._cancellation: Final = cancellation
        self._shield: Final = shield
        self._guarded: Final = guarded

    def __await__(self) -> Generator[Any, Any, T]:
        """Pass on everything between the event loop and the coroutine. Behind the cancellation, shield what follows."""
        send, throw = self._guarded.send, self._guarded.throw
        try:
            wanted = send(None)
            while True:
                try:
                    value = yield wanted
                except BaseException as error:
                    if self._cancellation.caused(error):
                        self._shield.shield = True
                    wanted = throw(error)
                else:
                    if self._cancellation.called and not self._shield.shield:
                        if self._cancellation.caused(getattr(value, "error", None)):
                            self._shield.shield = True  # trio sends it as a value
                        elif anyio.current_effective_deadline() == -math.inf and _in_checkpoint(self._guarded):
                            wanted = throw((yield from self._cancelled()))
                            continue
                    wanted = send(value)
        except StopIteration as end:
            result: T = end.value
            return result

    def _cancelled(self) -> Generator[Any, Any, BaseException]:
        """Wait until this is cancelled, as it is already. Returns the exception, and shields what follows."""
        try:
            yield from anyio.sleep_forever().__await__()
        except anyio.get_cancelled_exc_class() as error:
            self._shield.shield = True
            return error
        raise AssertionError("a sleep without an end has ended")


def _in_checkpoint(coroutine: Coroutine[Any, Any, object]) -> bool:
    """Does this coroutine wait in a checkpoint of trio, which then looks whether it is cancelled?"""
    if (trio := sys.modules.get("trio")) is None:
        return False
    checkpoint = [trio.lowlevel.checkpoint.__code__, trio.lowlevel.cancel_shielded_checkpoint.__code__]
    inner: Any = coroutine
    codes = []
    while (code := getattr(inner, "cr_code", None)) is not None:
        codes.append(code)
        inner = inner.cr_await
    return codes[-2:] == checkpoint
