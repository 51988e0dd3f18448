"""A lifespan is an async generator function, or a function that returns an async context manager."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from posthouse.core.service.lifespan import Lifespan
from posthouse.core.values.errors import UsageError

from tests.values import changeable, told_apart

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager as Manager


class Pool:
    """An async context manager."""

    def __init__(self, server: Any = None) -> None:
        self.server = server

    async def __aenter__(self) -> Pool:
        return self

    async def __aexit__(self, *raised: object) -> None: ...


async def nothing() -> AsyncIterator[Any]:
    yield None


async def the_server(server: Any) -> AsyncIterator[Any]:
    yield server


@asynccontextmanager
async def wrapped(server: Any) -> AsyncIterator[Any]:
    yield server


def returns_abstract(server: Any) -> AbstractAsyncContextManager[Any]:
    return Pool(server)


def returns_pool(server: Any, /, **unused: Any) -> Pool:
    return Pool(server)


def returns_unknown(server: Any) -> Manager[Any]:
    return Pool(server)


async def with_options(server: Any, *, url: str = "") -> AsyncIterator[Any]:
    yield server


class Opener:
    async def __call__(self, server: Any) -> AsyncIterator[Any]:
        yield server

    async def bound(self, server: Any) -> AsyncIterator[Any]:
        yield server


LIFESPANS: list[tuple[Any, bool]] = [
    (nothing, False),
    (the_server, True),
    (wrapped, True),
    (returns_abstract, True),
    (returns_pool, True),
    (returns_unknown, True),
    (with_options, True),
    (Opener(), True),
    (Opener().bound, True),
    (Pool, True),
    (functools.partial(the_server, "given"), False),
]


@pytest.mark.parametrize(("function", "takes_server"), LIFESPANS)
def test_each_way_to_write_a_lifespan_opens_an_async_context_manager(function: Any, takes_server: bool) -> None:
    lifespan = Lifespan.of(function, "s")
    assert (lifespan.service, lifespan.takes_server) == ("s", takes_server)
    manager = lifespan.open("server")
    assert hasattr(manager, "__aenter__")
    entered = manager.__aenter__()
    with pytest.raises(StopIteration) as end:
        entered.send(None)
    state = end.value.value
    given = {nothing: None, LIFESPANS[-1][0]: "given"}.get(function, "server")
    assert getattr(state, "server", state) == given


def plain() -> None: ...
def plain_with_result() -> int:
    return 1


async def coroutine() -> None: ...
def generator() -> Iterator[None]:
    yield


async def two(server: Any, more: Any) -> AsyncIterator[None]:
    yield


async def required(*, url: str) -> AsyncIterator[None]:
    yield


async def rest(*servers: Any) -> AsyncIterator[None]:
    yield


async def unbound(self: Any) -> AsyncIterator[None]:
    yield


FORM = "write an `async def` with one `yield`, which opens before it and closes after it"
ANNOTATE = "; or annotate its result as an async context manager, if it returns one"
MISTAKES: list[tuple[Any, str]] = [
    (plain, f" is a plain function: {FORM}{ANNOTATE}"),
    (plain_with_result, f" is a plain function: {FORM}{ANNOTATE}"),
    (lambda: None, f" is a plain function: {FORM}{ANNOTATE}"),
    (Opener, f" is a plain function: {FORM}{ANNOTATE}"),
    (coroutine, f" is a coroutine function without `yield`: {FORM}"),
    (generator, f" is a generator function without `async`: {FORM}"),
    ("pool", f" is 'pool', which is no function: {FORM}"),
    (two, " takes (server, more): it may take the server, or nothing"),
    (required, " takes (url): it may take the server, or nothing"),
    (rest, " takes (servers): it may take the server, or nothing"),
    (
        unbound,
        " belongs to a class and is not bound to an instance: declare the bound method, as in "
        "`service.lifespan(instance.name)`",
    ),
]


@pytest.mark.parametrize(("function", "mistake"), MISTAKES)
def test_an_error_names_the_mistake_and_the_fix(function: Any, mistake: str) -> None:
    with pytest.raises(UsageError) as caught:
        Lifespan.of(function, "s")
    assert str(caught.value) == f"the lifespan of service 's'{mistake}"


def test_a_function_whose_signature_cannot_be_read_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^the lifespan of service 's': the signature of <built-in function max> "):
        Lifespan.of(max, "s")


def test_a_lifespan_is_a_value_that_is_equal_to_itself_alone() -> None:
    assert changeable("posthouse.core.service.lifespan") == []
    assert told_apart("posthouse.core.service.lifespan") == ["Lifespan"]
