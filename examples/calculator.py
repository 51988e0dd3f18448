"""A calculator: the service that `make serve` runs.

    posthouse serve calculator:service --dev

Each method shows one thing that a service can do. Callers see the docstrings and the types through `rpc.discover`.
"""

from __future__ import annotations

import statistics
from typing import Annotated

import anyio
from msgspec import Meta, Struct
from posthouse.core import Context, RpcError, Service

service = Service("calculator", public=True, version="1.0.0", description="Arithmetic, near and far.")

Number = int | float
Seconds = Annotated[float, Meta(ge=0, le=5)]

DIVISION_BY_ZERO = 1


class Summary(Struct):
    """What `describe` finds out about some numbers."""

    count: int
    mean: float
    median: float
    deviation: float


@service.method
def add(*terms: Number) -> Number:
    """Add any number of numbers."""
    return sum(terms)


@service.method
def subtract(minuend: Number, subtrahend: Number) -> Number:
    """Subtract one number from another."""
    return minuend - subtrahend


@service.method
def divide(dividend: Number, divisor: Number) -> float:
    """Divide one number by another. Error 1: the divisor is zero."""
    if divisor == 0:
        raise RpcError(DIVISION_BY_ZERO, "Division by zero", {"dividend": dividend})
    return dividend / divisor


@service.method
def describe(numbers: Annotated[list[Number], Meta(min_length=1)]) -> Summary:
    """Count some numbers, with their mean, median and standard deviation."""
    return Summary(len(numbers), statistics.fmean(numbers), statistics.median(numbers), statistics.pstdev(numbers))


@service.method("sum.slowly", timeout=60.0)
async def sum_slowly(context: Context, terms: list[Number], pause: Seconds = 0.2) -> Number:
    """Add numbers one by one, and tell how far it is. Cancel it if it takes too long."""
    total: Number = 0
    for done, term in enumerate(terms, start=1):
        await anyio.sleep(pause)
        total += term
        context.progress(done / len(terms), f"{total} so far")
    return total


@service.method("sum.ask")
async def sum_ask(context: Context, count: Annotated[int, Meta(ge=1, le=10)] = 2) -> Number:
    """Add numbers for which it asks the caller, by calling the caller's own method `number`."""
    total: Number = 0
    for place in range(1, count + 1):
        total += await context.call("number", {"place": place}, result_type=Number)
    return total


memory: list[Number] = []


@service.method("memory.store", scopes={"memory"})
def store(number: Number) -> int:
    """Remember a number. How many there are now."""
    memory.append(number)
    return len(memory)


@service.method("memory.recall", scopes={"memory"})
def recall() -> list[Number]:
    """The numbers that were remembered, and forget them."""
    numbers = memory.copy()
    memory.clear()
    return numbers
