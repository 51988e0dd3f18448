"""The example service, tested as any service can be: its functions called, its context made by the test."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import anyio
import pytest
from posthouse.core import ANONYMOUS, Address, CallId, ConnectionId, Context, Identity, Kind, Meta, RpcError

from examples.calculator import add, describe, divide, recall, service, store, subtract, sum_ask, sum_slowly


class Recording(Context):
    """A context that keeps what it is told, and answers with `number`."""

    connection = ConnectionId(1)
    public_id = "tested"
    kind: Kind = "websocket"
    identity: Identity = ANONYMOUS
    meta = Meta(progress_token=1)
    call_id = CallId(1)
    method = "tested"
    cancelled = False
    address = Address("192.0.2.1", 5000)
    path = "/ws"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self) -> None:
        self.told: list[object] = []
        self.kept: dict[str, Any] = {}

    @property
    def connection_state(self) -> dict[str, Any]:
        return self.kept

    def notify(self, method: str, params: Any = None, *, after_reply: bool = False) -> bool:
        self.told.append((method, params))
        return True

    def progress(self, fraction: float, message: str | None = None) -> bool:
        self.told.append((fraction, message))
        return True

    async def call(self, method: str, params: Any = None, *, timeout: float = 30.0, result_type: Any = Any) -> Any:
        self.told.append((method, params))
        return 21


def test_it_calculates() -> None:
    assert add() == 0
    assert add(1, 2, 3) == 6
    assert subtract(42, 23) == 19
    assert divide(1, 4) == 0.25
    found = describe([1, 2, 6])
    assert (found.count, found.mean, found.median, round(found.deviation, 3)) == (3, 3.0, 2, 2.16)


def test_dividing_by_zero_is_an_error_of_its_own() -> None:
    with pytest.raises(RpcError) as raised:
        divide(1, 0)
    assert (raised.value.code, raised.value.data) == (1, {"dividend": 1})


def test_it_remembers_until_it_is_asked() -> None:
    assert [store(1), store(2.5)] == [1, 2]
    assert [recall(), recall()] == [[1, 2.5], []]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_slow_sum_tells_how_far_it_is(backend: str) -> None:
    context = Recording()
    assert anyio.run(partial(sum_slowly, context, [1, 3], pause=0.0), backend=backend) == 4
    assert context.told == [(0.5, "1 so far"), (1.0, "4 so far")]


def test_a_sum_asks_its_caller_for_numbers() -> None:
    context = Recording()
    assert anyio.run(sum_ask, context) == 42
    assert context.told == [("number", {"place": 1}), ("number", {"place": 2})]


def test_anyone_may_calculate_and_some_may_remember() -> None:
    assert all(method.public for method in service.methods.values())
    assert [name for name, method in service.methods.items() if method.scopes] == ["memory.store", "memory.recall"]
