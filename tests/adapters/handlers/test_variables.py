"""Context variables: one call's interceptors, handler and thread share them, and no other call or hook sees them."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from posthouse.adapters.handlers.variables import Variables, take_over
from posthouse.core.service.context import Context
from posthouse.core.service.method import Method, Outcome, Returned
from posthouse.core.service.parameters import Arguments
from posthouse.core.service.service import Service
from posthouse.core.values.lifecycle import ConnectionOpened

from tests.adapters.loopback import connected, serving, websocket

user: ContextVar[str | None] = ContextVar("user", default=None)
before_serving: ContextVar[str | None] = ContextVar("before_serving", default=None)


def inline(service: Service, name: str, function: Callable[[str | None], Any], **options: Any) -> None:
    service.method(name, **options)(function)


def with_context(service: Service, name: str, function: Callable[[str | None], Any], **options: Any) -> None:
    def called(context: Context, value: str | None = None) -> Any:
        return function(value)

    service.method(name, **options)(called)


def task(service: Service, name: str, function: Callable[[str | None], Any], **options: Any) -> None:
    async def called(value: str | None = None) -> Any:
        await anyio.sleep(0)
        return function(value)

    service.method(name, **options)(called)


def awaitable(service: Service, name: str, function: Callable[[str | None], Any], **options: Any) -> None:
    async def called(value: str | None = None) -> Any:
        await anyio.sleep(0)
        return function(value)

    service.method(name, **options)(lambda value=None: called(value))


def thread(service: Service, name: str, function: Callable[[str | None], Any], **options: Any) -> None:
    service.method(name, blocking=True, **options)(function)


KINDS = [inline, with_context, task, awaitable, thread]


def sets_and_tells(value: str | None = None) -> list[Any]:
    """The values of this call's variables, which it then changes."""
    seen = [user.get(), before_serving.get(), decimal.getcontext().prec]
    user.set(value)
    decimal.getcontext().prec += 1
    return seen


@pytest.mark.anyio
@pytest.mark.parametrize("declare", KINDS)
@pytest.mark.parametrize("uses_decimal", [True, False])
async def test_no_call_sees_what_another_call_of_any_kind_has_set(
    declare: Callable[..., None], uses_decimal: bool
) -> None:
    before_serving.set("kept")
    if uses_decimal:
        decimal.setcontext(decimal.Context(prec=17))
    precision = decimal.getcontext().prec if uses_decimal else decimal.DefaultContext.prec
    service = Service("variables", public=True)
    declare(service, "call", sets_and_tells)
    declare(service, "next", sets_and_tells, **({"sequential": True} if declare in (task, thread) else {}))
    async with serving(service) as server, websocket(server) as client, connected(server) as other:
        for _ in range(2):
            for method in ("call", "next"):
                assert (await client.call(method, ["ada"]))["result"] == [None, "kept", precision]
                assert (await other.post(method))[1]["result"][0] is None
    assert user.get() is None


@pytest.mark.anyio
@pytest.mark.parametrize("declare", KINDS)
@pytest.mark.parametrize("plain", [True, False])
async def test_interceptors_handler_and_thread_of_one_call_share_their_variables(
    declare: Callable[..., None], plain: bool
) -> None:
    service = Service("shared", public=True)

    def handler(value: str | None = None) -> Any:
        seen = user.get()
        user.set(f"{seen}, handler")
        return seen

    def on_call(context: Context, method: Method, arguments: Arguments) -> None:
        assert user.get() is None
        user.set("interceptor")

    def on_outcome(context: Context, method: Method, outcome: Outcome) -> Outcome:
        assert isinstance(outcome, Returned)
        return Returned([outcome.value, user.get()])

    async def on_call_later(context: Context, method: Method, arguments: Arguments) -> None:
        await anyio.sleep(0)
        on_call(context, method, arguments)

    async def on_outcome_later(context: Context, method: Method, outcome: Outcome) -> Outcome:
        await anyio.sleep(0)
        return on_outcome(context, method, outcome)

    if plain:
        service.on_call(on_call)
        service.on_outcome(on_outcome)
    else:
        service.on_call(on_call_later)
        service.on_outcome(on_outcome_later)
    declare(service, "call", handler)
    async with serving(service) as server, websocket(server) as client:
        for _ in range(2):
            assert (await client.call("call"))["result"] == ["interceptor", "interceptor, handler"]


@pytest.mark.anyio
async def test_hooks_see_neither_what_another_hook_has_set_nor_what_a_call_has() -> None:
    service = Service("hooks", public=True)
    seen: list[str | None] = []

    @service.method
    def set_user() -> None:
        user.set("caller")

    @service.on("connection.opened")
    def opened(event: ConnectionOpened) -> None:
        seen.append(user.get())
        user.set("hook")

    @service.on("connection.opened")
    async def opened_later(event: ConnectionOpened) -> None:
        seen.append(user.get())
        user.set("awaited hook")
        await anyio.sleep(0)
        seen.append(user.get())

    async with serving(service) as server:
        for _ in range(2):
            async with websocket(server) as client:
                assert (await client.call("set_user"))["result"] is None
    assert seen == [None, None, "awaited hook"] * 2


def test_a_copy_keeps_its_changes_until_they_are_taken_over() -> None:
    user.set("before")
    fresh = Variables().fresh()
    fresh.run(user.set, "after")
    assert user.get() == "before"
    take_over(fresh)
    assert user.get() == "after"
    user.set(None)
