"""The service that every case is asked of: a method for each outcome that a call can have."""

from __future__ import annotations

from typing import Any

from posthouse.core import RpcError, Service

service = Service("conformance", public=True)


@service.method
def subtract(minuend: int, subtrahend: int) -> int:
    """Subtract one number from another."""
    return minuend - subtrahend


@service.method("sum")
def total(*numbers: int) -> int:
    """Add numbers."""
    return sum(numbers)


@service.method
def get_data() -> list[Any]:
    """Some data."""
    return ["hello", 5]


@service.method
def update(*values: int) -> None:
    """A notification's target."""


@service.method("notify_hello")
def hello(number: int) -> None:
    """A notification's target."""


@service.method
def echo(value: Any) -> Any:
    """The value itself."""
    return value


@service.method
def fail() -> None:
    """Raise an error of the service's own."""
    raise RpcError(7, "seven", {"why": "because"})


@service.method
def break_down() -> None:
    """Raise what is no RpcError."""
    raise ValueError("the secret")


@service.method("fail.with")
def fail_with(code: int, retry_after_ms: int | None = None) -> None:
    """Raise an error of this code, which says when to come again."""
    raise RpcError(code, data=None if retry_after_ms is None else {"retry_after_ms": retry_after_ms})


@service.method
def blob(size: int) -> str:
    """A text of so many bytes."""
    return "x" * size
