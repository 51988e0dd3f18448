"""A declaration is checked and compiled once, or refused with what to do about it."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from posthouse.core.service.context import Context
from posthouse.core.service.lifespan import Lifespan
from posthouse.core.service.method import Interceptor, Method, Outcome
from posthouse.core.service.parameters import Arguments
from posthouse.core.values.errors import UsageError

from tests.values import changeable, told_apart


def plain(a: int, b: int = 2) -> int:
    """Add two numbers.

    They are whole.
    """
    return a + b


async def later(a: int) -> str: ...  # type: ignore[empty-body]
def many() -> Iterator[int]:
    yield 1


async def many_later() -> AsyncIterator[int]:
    yield 1


class Greeter:
    """Greets."""

    def greet(self, name: str) -> str:
        return name

    @classmethod
    def named(cls, name: str) -> str:
        return name

    async def __call__(self, name: str) -> str:
        return name


async def pass_on(context: Context, method: Method, arguments: Arguments) -> None: ...
def look_at(context: Context, method: Method, outcome: Outcome) -> None: ...


def of(function: Callable[..., Any], **options: Any) -> Method:
    return Method.of(function, **{"name": "m", "public": False, **options})


def test_a_method_is_compiled_from_its_function() -> None:
    method = of(plain, name="add", public=True, scopes={"b", "a"}, timeout=5, on_disconnect="finish")
    assert (method.name, method.function, method.public, method.scopes) == ("add", plain, True, ("a", "b"))
    assert (method.timeout, method.on_disconnect, method.sequential, method.blocking) == (5, "finish", False, False)
    assert (method.is_async, method.awaits, method.reserved) == (False, False, False)
    assert method.description == "Add two numbers.\n\nThey are whole."
    assert method.bind(b"[1]") == ((1, 2), {})
    assert method.encode_result(3) == b"3"


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (plain, False),
        (later, True),
        (functools.partial(later, 1), True),
        (Greeter(), True),
        (functools.partial(Greeter(), "ada"), True),
        (Greeter().greet, False),
    ],
)
def test_coroutine_functions_are_known_through_partials_and_call(function: Callable[..., Any], is_async: bool) -> None:
    assert of(function).is_async is of(function).awaits is is_async


def test_descriptions_look_through_partials_and_objects() -> None:
    assert of(functools.partial(plain, 1)).description.startswith("Add two numbers.")
    assert of(Greeter()).description == "Greets."
    assert of(later).description == ""


def passes_on(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize("function", [later, passes_on(later), passes_on(passes_on(later))])
def test_a_sequential_coroutine_function_needs_a_task_also_behind_decorators(function: Callable[..., Any]) -> None:
    method = of(function, sequential=True)
    assert (method.sequential, method.awaits) == (True, True)
    assert method.intercepted((), (Interceptor(look_at),)).awaits
    assert of(passes_on(later)).awaits is False


def test_a_sequential_function_that_blocks_needs_no_task() -> None:
    for function in (plain, passes_on(later)):
        method = of(function, sequential=True, blocking=True)
        assert (method.sequential, method.awaits) == (True, False)
        assert not method.intercepted((), (Interceptor(look_at),)).awaits


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (42, {}, "42 is not a function"),
        (Greeter, {}, "'Greeter' is a class: give a function"),
        (Greeter.greet, {}, "belongs to a class and is not bound to an instance"),
        (Greeter.__dict__["named"].__func__, {}, "belongs to a class and is not bound to an instance"),
        (many, {}, "is a generator function, which yields many values"),
        (many_later, {}, "is a generator function, which yields many values"),
        (functools.partial(many), {}, "is a generator function, which yields many values"),
        (later, {"blocking": True}, "`blocking=True` is for plain functions"),
        (plain, {"sequential": True}, "runs at once and cannot be sequential"),
        (plain, {"on_disconnect": "ignore"}, "on_disconnect is 'ignore', but must be 'cancel' or 'finish'"),
        (passes_on(plain), {"sequential": True}, "a decorator hides an `async def` unless it uses functools.wraps"),
        (lambda: later(1), {"sequential": True}, "make it an `async def` or `blocking=True`"),
        (plain, {"timeout": 0}, "timeout is 0, but must be a finite number of seconds above 0"),
        (plain, {"scopes": "admin"}, "scopes is a single string: give a collection, such as {'admin'}"),
        (plain, {"scopes": [""]}, "'' is not a scope"),
        (plain, {"scopes": [1]}, "1 is not a scope"),
    ],
)
def test_an_invalid_declaration_is_refused(function: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        of(function, **options)
    assert str(caught.value).startswith("method 'm'")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["", "rpc.mine"])
def test_a_method_cannot_be_declared_under_a_reserved_name(name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        of(plain, name=name)


def test_a_timeout_may_be_below_one_second() -> None:
    assert of(plain, timeout=0.001).timeout == 0.001


def test_a_method_is_built_by_the_names_of_its_fields() -> None:
    build: Any = Method
    with pytest.raises(TypeError, match="positional"):
        build("m")


def test_a_reserved_name_needs_reserved() -> None:
    method = of(plain, name="$/setTrace", reserved=True)
    assert method.renamed("$/other").name == "$/other"
    assert method.name == "$/setTrace"
    with pytest.raises(UsageError, match="reserved"):
        of(plain).renamed("$/other")


def test_interceptors_that_are_coroutine_functions_make_a_plain_method_await() -> None:
    method = of(plain)
    before, after = Interceptor(pass_on), Interceptor(look_at)
    assert not method.intercepted((), (after,)).awaits
    intercepted = method.intercepted((before,), (after,))
    assert (intercepted.awaits, intercepted.is_async) == (True, False)
    assert (intercepted.on_call, intercepted.on_outcome) == ((before,), (after,))
    assert of(later).intercepted((), ()).awaits


def test_a_method_and_its_interceptors_keep_the_lifespan_that_they_have() -> None:
    async def opens() -> AsyncIterator[None]:
        yield

    ours, theirs = Lifespan.of(opens, "ours"), Lifespan.of(opens, "theirs")
    method = of(plain).intercepted((Interceptor(pass_on),), (Interceptor(look_at),))
    assert method.lifespan is None
    within = method.within(theirs).within(ours)
    assert within.lifespan is within.on_call[0].lifespan is within.on_outcome[0].lifespan is theirs
    assert within.renamed("other").lifespan is theirs


def test_with_context_adds_the_context_at_its_position() -> None:
    context: Any = object()

    def by_keyword(a: int, *, context: Context, **more: int) -> None: ...
    def by_position(a: int, context: Context, *more: int) -> None: ...

    keyword = of(by_keyword)
    assert (keyword.context_parameter, keyword.context_position) == ("context", None)
    given = keyword.bind(b'{"a":1,"b":2}')
    assert keyword.with_context(given, context) == ((1,), {"b": 2, "context": context})
    assert given == ((1,), {"b": 2})
    position = of(by_position)
    assert (position.context_parameter, position.context_position) == ("context", 1)
    assert position.with_context(position.bind(b"[1,2]"), context) == ((1, context, 2), {})
    none = of(plain)
    assert none.with_context(none.bind(b"[1]"), context) == ((1, 2), {})


def test_a_method_is_a_value_that_cannot_change() -> None:
    with pytest.raises(AttributeError):
        of(plain).name = "other"  # type: ignore[misc]


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.service.method") == []


def test_a_record_is_equal_to_itself_alone() -> None:
    assert told_apart("posthouse.core.service.method") == ["Method"]
