"""What a type checker sees of a service: decorated functions keep their types, and wrong declarations are errors.

mypy checks this file (each ignored error must be one); run, it shows that what is refused is refused at run time too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, assert_type

import pytest
from posthouse.adapters import Bound, Server, running
from posthouse.core import (
    Arguments,
    Config,
    Context,
    Event,
    HookContext,
    Identity,
    Method,
    Outcome,
    Raised,
    Returned,
    Service,
    UsageError,
)
from posthouse.core.values.lifecycle import ConnectionClosed, ConnectionOpened

service = Service("typed")


@service.method
def bare(a: int, b: str = "b") -> list[int]:
    return [a]


@service.method("named", scopes={"reports"}, timeout=1.0)
async def named(context: Context, year: int) -> dict[str, int]:
    assert_type(context.identity, Identity)
    assert_type(context.scopes, tuple[str, ...])
    assert_type(context.notify("m", [1]), bool)
    assert_type(await context.call("m", result_type=int), Any)
    return {"year": year}


@service.on("connection.opened")
@service.on("connection.closed")
def hook(event: ConnectionOpened | ConnectionClosed) -> None: ...


@service.on_call
def before(context: Context, method: Method, arguments: Arguments) -> Arguments:
    args, kwargs = arguments
    assert_type(args, tuple[Any, ...])
    assert_type(kwargs, dict[str, Any])
    return args, kwargs


@service.on_outcome
async def after(context: Context, method: Method, outcome: Outcome) -> Outcome | None:
    if isinstance(outcome, Raised):
        assert_type(outcome.error, BaseException)
        return Returned(None)
    assert_type(outcome, Returned)
    return None


class Pool:
    """A state."""


@service.lifespan
async def lifespan(server: Server) -> AsyncIterator[Pool]:
    assert_type(server.broadcast("news"), int)
    assert_type(await server.call("bare", [1]), Any)
    yield Pool()


@asynccontextmanager
async def opened(server: Server) -> AsyncIterator[Pool]:
    yield Pool()


@service.method
def stateful(context: Context[Pool]) -> None:
    assert_type(context.state, Pool)
    assert_type(context.user, str | None)


@service.method
def untyped(context: Context) -> None:
    assert_type(context.state, Any)


@service.on_call
def sees_state(context: Context[Pool], method: Method, arguments: Arguments) -> None:
    assert_type(context.state, Pool)


@service.on("connection.opened")
async def greets(event: ConnectionOpened, context: HookContext[Pool]) -> None:
    assert_type(context.state, Pool)
    assert_type(context.notify("welcome", {"a": 1}), bool)


async def runs() -> None:
    async with running(service, port=0, config=Config()) as server:
        assert_type(server, Server)
        assert_type(server.bound, tuple[Bound, ...])


def test_a_lifespan_keeps_its_type() -> None:
    typed: Callable[[Server], AsyncIterator[Pool]] = lifespan
    assert typed is lifespan
    other = Service("other")
    manager: Callable[[Server], AbstractAsyncContextManager[Pool]] = other.lifespan(opened)
    assert manager is opened


def test_decorated_functions_keep_their_types() -> None:
    assert_type(bare(1), list[int])
    assert_type(bare(1, b="x"), list[int])
    typed: Callable[[Context, int], Coroutine[Any, Any, dict[str, int]]] = named
    assert typed is named
    typed_hook: Callable[[ConnectionOpened], None] = hook
    assert typed_hook is hook
    assert before(*_none(), ((), {})) == ((), {})


def test_what_is_declared_has_types() -> None:
    assert_type(service.methods, dict[str, Method])
    method = service.methods["bare"]
    assert_type(method.bind(b"[1]"), tuple[tuple[Any, ...], dict[str, Any]])
    assert_type(method.encode_result([1]), bytes)
    assert_type(method.scopes, tuple[str, ...])
    assert_type(method.timeout, float | None)
    for kind in service.hooks:
        assert_type(kind, type[Event])


def test_wrong_declarations_are_errors_to_a_type_checker_and_at_run_time() -> None:
    with pytest.raises(UsageError):
        service.on("connection.open")  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        service.method("m", on_disconnect="ignore")(bare)  # type: ignore[call-overload]
    with pytest.raises(UsageError):
        service.on_call(bare)  # type: ignore[type-var]
    with pytest.raises(UsageError):
        service.method(1)(bare)  # type: ignore[call-overload]
    with pytest.raises(UsageError):
        service.method("m", retries=3)(bare)  # type: ignore[call-overload]
    with pytest.raises(UsageError):
        service.on("connection.opened", "connection.closed")  # type: ignore[arg-type]


def _none() -> tuple[Any, Any]:
    """Arguments that are not looked at."""
    return None, None
