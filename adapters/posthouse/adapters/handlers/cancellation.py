"""Cancel a coroutine once: the first await after that raises, and the awaits of its clean-up work again.

Event loops that cancel by scopes would raise at every later await, and asyncio would try it again and again without a
pause. One exception is trio's: a nursery that waits for its tasks takes the cancellation itself, so the first await
after it raises, too. This module does not know why a coroutine is cancelled, or how long its clean-up may take.
"""

from __future__ import annotations

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
                    if self._cancellation.called and self._cancellation.caused(getattr(value, "error", None)):
                        self._shield.shield = True  # trio sends it as a value
                    wanted = send(value)
        except StopIteration as end:
            result: T = end.value
            return result
