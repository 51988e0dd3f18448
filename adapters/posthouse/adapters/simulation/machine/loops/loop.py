"""What a process needs of its event loop, whatever library it is for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Protocol


class Loop(Protocol):
    """An event loop on virtual time, for one main coroutine.

    `wait`: seconds until the next sleep ends, when a turn is over. `failed`: a defect, which `turn` raises. `over`: the
    main coroutine has ended.
    """

    wait: float | None
    failed: BaseException | None
    reordered: int

    @property
    def over(self) -> bool: ...

    def begin(
        self, main: Coroutine[Any, Any, None], context: Context, ended: Callable[[BaseException | None], None]
    ) -> None:
        """Begin to run this. `ended` is called with the exception that it has raised, or None."""
        ...

    def turn(self) -> None:
        """Run until nothing can run. Raises the exception of `failed`."""
        ...

    def wake_up(self) -> None:
        """Let the next turn look at the descriptors."""
        ...

    def run_soon(self, callback: Callable[[], object], context: Context) -> None:
        """Run this in the next turn, with these variables."""
        ...

    def is_running(self) -> bool:
        """Does a task or a callback run?"""
        ...

    def is_closed(self) -> bool:
        """Does nothing run any more?"""
        ...

    def cancel_all(self) -> None:
        """Cancel every task."""
        ...

    def close(self) -> None:
        """End the loop, whatever has not ended."""
        ...
