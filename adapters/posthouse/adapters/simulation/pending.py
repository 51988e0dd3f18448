"""One call that a simulated client made, from its asking to its outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from posthouse.core.errors import RpcError

Status = Literal["pending", "result", "error", "lost"]


class PendingCall:
    """One call that a client made. `status` is "pending" until it has a result, an error, or its connection is lost.

    `then(function)` has a function called with it when it is no longer pending.
    """

    __slots__ = ("answered_at", "asked_at", "error", "id", "method", "params", "status", "value", "waiting")

    def __init__(self, id: str, method: str, params: Any, asked_at: float) -> None:
        self.id: Final = id
        self.method: Final = method
        self.params: Final = params
        self.asked_at: Final = asked_at
        self.answered_at: float | None = None
        self.status: Status = "pending"
        self.value: Any = None
        self.error: RpcError | None = None
        self.waiting: list[Callable[[PendingCall], object]] = []

    def __repr__(self) -> str:
        return f"<{self.method} {self.id}: {self.status}>"

    @property
    def result(self) -> Any:
        """The result. Raises RpcError for what failed, and LookupError while there is none or will be none."""
        if self.error is not None:
            raise self.error
        if self.status != "result":
            raise LookupError(f"{self.method} is {self.status}: let the world run, or expect no result")
        return self.value

    def end(self, status: Status, now: float, value: Any = None, error: RpcError | None = None) -> None:
        """It has its outcome."""
        self.status, self.answered_at, self.value, self.error = status, now, value, error
        for tell in self.waiting:
            tell(self)

    def then(self, tell: Callable[[PendingCall], object]) -> None:
        """Call this when it has ended; at once, if it has."""
        if self.status == "pending":
            self.waiting.append(tell)
        else:
            tell(self)
