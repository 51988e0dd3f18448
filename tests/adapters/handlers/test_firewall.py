"""User code between its interceptors: its outcome is a value, whatever it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from types import coroutine
from typing import Any, cast

import pytest
from posthouse.adapters.handlers.firewall import InThread, alone, drop, finish, must_wait, proper, steps
from posthouse.core.service.context import Context
from posthouse.core.service.method import Method, Outcome, Raised, Returned
from posthouse.core.service.parameters import Arguments
from posthouse.core.service.service import Service
from posthouse.core.values.errors import RpcError

from tests.adapters.handlers.seen_context import SeenContext


async def later(value: object) -> object:
    return value


class Promise:
    """An awaitable of a library."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, Any, object]:
        yield from ()
        return self._value


@coroutine
def old(value: object) -> Generator[Any, Any, object]:
    yield
    return value


def generator() -> Generator[int, None, None]:
    yield 1


def test_only_what_can_be_awaited_is_awaited() -> None:
    started = later(1)
    old_one = old(1)
    assert [must_wait(value) for value in (started, Promise(1), old_one, InThread(later, (), {}))] == [True] * 4
    plain = [None, True, 1, 1.5, "x", b"x", [], {}, (), generator(), object(), later, Promise, RpcError(1)]
    assert [must_wait(value) for value in plain] == [False] * len(plain)
    drop(started)


def test_a_dropped_coroutine_is_closed_and_everything_else_is_left_alone() -> None:
    started = later(1)
    drop(started)
    with pytest.raises(RuntimeError, match="cannot reuse"):
        started.send(None)
    drop(Promise(1))
    drop(None)


def service() -> Service:
    service = Service("fire", public=True)

    @service.method
    def add(a: int, b: int = 0) -> int:
        return a + b

    return service


def method(service: Service) -> Method:
    service.include(Service("other"))  # gathers the interceptors
    return service.methods["add"]


def caught(error: BaseException) -> Outcome:
    return Raised(error)


def run(
    service: Service,
    call: Callable[..., object],
    *,
    sent: Callable[[Any], Any] = lambda waits: waits,
    context: SeenContext | None = None,
) -> tuple[Outcome, list[Any]]:
    """Run a call to its end. What it waits for, and each time what `sent` says; an exception is thrown."""
    waited: list[Any] = []
    context = context or SeenContext(service.methods["add"])
    running = steps(service.methods["add"], context, ((1,), {"b": 2}), call=call, caught=caught)
    try:
        waits = next(running)
        while True:
            waited.append(waits)
            result = sent(waits)
            waits = running.throw(result) if isinstance(result, BaseException) else running.send(result)
    except StopIteration as end:
        return end.value, waited


def test_a_function_gets_its_arguments_and_returns_or_raises() -> None:
    assert run(service(), lambda a, b: a + b) == (Returned(3), [])
    error = KeyboardInterrupt()

    def fail(a: int, b: int) -> None:
        raise error

    assert run(service(), fail) == (Raised(error), [])


def test_what_a_function_returns_is_awaited_again_and_again() -> None:
    first, second = Promise(1), Promise(2)
    results = {first: second, second: "done"}
    assert run(service(), lambda a, b: first, sent=results.__getitem__) == (Returned("done"), [first, second])
    error = ValueError()
    assert run(service(), lambda a, b: first, sent=lambda waits: error) == (Raised(error), [first])


def test_an_interceptor_may_replace_the_arguments_or_refuse_the_call() -> None:
    one = service()
    seen: list[Arguments] = []

    @one.on_call
    def change(context: Context, method: Method, arguments: Arguments) -> Arguments | None:
        seen.append(arguments)
        return ((10,), {"b": 20}) if len(seen) == 1 else None

    @one.on_call
    def note(context: Context, method: Method, arguments: Arguments) -> None:
        seen.append(arguments)

    assert run(one, lambda a, b: a + b) == (Returned(30), [])
    assert seen == [((1,), {"b": 2}), ((10,), {"b": 20})]
    assert run(one, lambda a, b: a + b) == (Returned(3), [])

    @one.on_call
    def refuse(context: Context, method: Method, arguments: Arguments) -> None:
        raise RpcError(7)

    outcome, _ = run(one, lambda a, b: pytest.fail("it was refused"))
    assert isinstance(outcome, Raised) and isinstance(outcome.error, RpcError) and outcome.error.code == 7


def test_interceptors_may_be_awaited() -> None:
    one = service()
    waits, after = Promise("call"), Promise("outcome")

    @one.on_call
    def change(context: Context, method: Method, arguments: Arguments) -> Any:
        return waits

    @one.on_outcome
    def replace(context: Context, method: Method, outcome: Outcome) -> Any:
        return after

    results = {waits: ((3,), {"b": 4}), after: Returned("replaced")}
    assert run(one, lambda a, b: a + b, sent=results.__getitem__) == (Returned("replaced"), [waits, after])
    none = {waits: None, after: None}
    assert run(one, lambda a, b: a + b, sent=none.__getitem__) == (Returned(3), [waits, after])


def test_an_interceptor_sees_the_outcome_and_may_replace_it_or_fail() -> None:
    one = service()
    seen: list[Outcome] = []
    error = ArithmeticError()

    @one.on_outcome
    def mend(context: Context, method: Method, outcome: Outcome) -> Outcome | None:
        seen.append(outcome)
        return Returned("mended") if isinstance(outcome, Raised) else None

    def fail(a: int, b: int) -> None:
        raise error

    assert run(one, fail)[0] == Returned("mended")
    assert run(one, lambda a, b: a)[0] == Returned(1)
    assert seen == [Raised(error), Returned(1)]

    @one.on_outcome
    def spoil(context: Context, method: Method, outcome: Outcome) -> None:
        raise error

    assert run(one, lambda a, b: a)[0] == Raised(error)


def test_no_interceptor_sees_the_outcome_of_a_call_that_has_ended() -> None:
    one = service()

    @one.on_outcome
    def never(context: Context, method: Method, outcome: Outcome) -> None:
        pytest.fail("the call has ended")

    context = SeenContext(one.methods["add"])

    def end(a: int, b: int) -> int:
        context.ended = True
        return a

    assert run(one, end, context=context) == (Returned(1), [])


def test_an_interceptor_of_another_service_sees_the_state_of_its_own() -> None:
    outer, inner = Service("outer", public=True), service()
    seen: list[Context] = []

    @outer.on_call
    def before(context: Context, method: Method, arguments: Arguments) -> None:
        seen.append(context)

    @outer.on_outcome
    def behind(context: Context, method: Method, outcome: Outcome) -> None:
        seen.append(context)

    outer.include(inner)
    context = SeenContext(outer.methods["add"])
    assert run(outer, lambda a, b: a, context=context)[0] == Returned(1)
    assert seen == [context, context]


def test_what_is_left_of_a_call_is_awaited_or_has_a_thread() -> None:
    one = service()
    in_thread: list[InThread] = []

    async def thread(waits: InThread) -> object:
        in_thread.append(waits)
        return waits.function(*waits.args, **waits.kwargs)

    def begin(call: Callable[..., object]) -> Any:
        return steps(one.methods["add"], SeenContext(one.methods["add"]), ((1,), {"b": 2}), call=call, caught=caught)

    async def main() -> list[Outcome]:
        error = LookupError()

        async def fail() -> None:
            raise error

        outcomes = [
            await finish(begin(lambda a, b: later(a + b)), None, thread),
            await finish(begin(lambda a, b: InThread(max, (a, b), {})), None, thread),
            await finish(begin(lambda a, b: fail()), None, thread),
        ]
        assert outcomes.pop() == Raised(error)
        begun = begin(lambda a, b: later("first"))
        return [*outcomes, await finish(begun, cast("Awaitable[Any]", next(begun)), thread)]

    assert asyncio.run(main()) == [Returned(3), Returned(2), Returned("first")]
    assert in_thread == [InThread(max, (1, 2), {})]


def test_an_outcome_that_is_none_becomes_an_error() -> None:
    returned, raised = Returned(1), Raised(ValueError())
    assert proper(returned) is returned
    assert proper(raised) is raised
    improper = proper(cast("Outcome", [1]))
    assert isinstance(improper, Raised) and isinstance(improper.error, TypeError)
    assert str(improper.error) == ("an on_outcome returned a value of type list: it must be None, Returned or Raised")


def test_an_error_that_is_alone_is_taken_out_of_its_groups() -> None:
    error, other = RpcError(7), ValueError()
    nested = ExceptionGroup("outer", [ExceptionGroup("inner", [error])])
    assert proper(Raised(nested)) == Raised(error)
    assert alone(nested) is error
    two = ExceptionGroup("two", [error, other])
    assert alone(two) is two
    assert alone(other) is other
    group = Raised(ExceptionGroup("group", [other]))
    assert proper(group) is group, "only an RpcError is meant for the caller"
    assert alone(BaseExceptionGroup("base", [KeyboardInterrupt()])).__class__ is KeyboardInterrupt
