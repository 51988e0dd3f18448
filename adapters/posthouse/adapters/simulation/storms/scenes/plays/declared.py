"""Scenes about declarations and values that a service makes: which are taken, and what is said of the others."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec import Struct
from posthouse.adapters.simulation.storms.scenes.scene import scene
from posthouse.adapters.simulation.storms.scenes.stage import Stage
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.service.context import AuthContext, Context, HookContext
from posthouse.core.service.service import Service
from posthouse.core.values.peers import Identity


class Credentials(Struct):
    """Credentials of a log-in of one's own."""

    card: str


class WithMethod(Struct):
    """A member that `auth.login` takes."""

    method: str


class Thing:
    """A class with methods."""

    def bound(self, number: int) -> int:
        return number

    def __call__(self, number: int) -> int:
        return number

    @classmethod
    def of_class(cls, number: int) -> int:
        return number


def plain(number: int) -> int:
    return number


async def waits(number: int) -> int:
    return number


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that hides an `async def`."""

    @functools.wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return around


def with_default(context: Context, number: int = 3, *more: int, last: str = "x", **others: int) -> None:
    """Parameters of every kind."""


def positional(first: int, /, second: int = 1, *, third: int = 2) -> list[int]:
    return [first, second, third]


def unreadable(one: int, /, *, two: int) -> None:
    """No request can give both."""


def hook(event: object) -> None:
    """A hook."""


def hook_with_context(event: object, context: HookContext[Any]) -> None:
    """A hook that sees its connection."""


def three(one: object, two: object, three: object) -> None:
    """Too many."""


def none() -> None:
    """None."""


async def life() -> AsyncIterator[int]:
    yield 1


async def life_of(server: object) -> AsyncIterator[int]:
    yield 1


@asynccontextmanager
async def manager() -> AsyncIterator[int]:
    yield 1


def generator() -> Any:
    yield 1


def by_bearer(credentials: Bearer) -> Identity | None:
    return None


def by_other(credentials: Credentials, context: AuthContext[Any]) -> Identity | None:
    return None


async def by_bearer_later(credentials: Bearer, context: AuthContext[Any]) -> Identity | None:
    return None


def by_method(credentials: WithMethod) -> Identity | None:
    return None


def by_number(credentials: Bearer, number: int) -> Identity | None:
    return None


METHODS: Final[dict[str, Callable[..., Any]]] = {
    "plain": plain,
    "waits": waits,
    "decorated": decorated(waits),
    "partial": functools.partial(plain, 3),
    "partial of two": functools.partial(positional, 1, third=4),
    "bound": Thing().bound,
    "callable": Thing(),
    "class method": Thing.of_class,
    "with_default": with_default,
    "positional": positional,
    "unreadable": unreadable,
    "generator": generator,
    "life": life,
    "unbound": Thing.bound,
    "class": Thing,
}
OPTIONS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"blocking": True},
    {"sequential": True},
    {"sequential": True, "blocking": True},
)


@scene("functions that are declared as methods")
def _methods(stage: Stage) -> None:
    for name, function in METHODS.items():
        for options in OPTIONS:
            service: Any = Service("declared", public=True)
            stage.tell(f"{name} {options}", lambda s, f, o: s.method("name", **o)(f) is f, service, function, options)
            for method in service.methods.values():
                stage.note(
                    method.name, method.awaits, method.blocking, method.sequential, method.timeout, method.public
                )
    wrong: tuple[dict[str, Any], ...] = (
        *({"timeout": value} for value in (0, -1, 0.5, 5, True, "1", float("inf"), float("nan"), None)),
        *({"scopes": value} for value in ("a", ["a"], ["b", "a", "b"], [], [""], [7], 7, None, {"\ud800"})),
        *({"public": value} for value in (True, False, None, 1, "yes")),
        *({"on_disconnect": value} for value in ("cancel", "finish", "", None)),
        *({"reserved": value} for value in (True, False, 1)),
        {"blockin": True},
        {"name": "x"},
    )
    for each in wrong:
        service = Service("declared")
        stage.tell(f"{each}", lambda s, o: s.method("name", **o)(plain) is plain, service, each)
        for method in service.methods.values():
            stage.note(method.scopes, method.timeout, method.public, method.on_disconnect)
    names = (
        "a",
        "",
        "a b",
        "\u00e9",
        "m" * 128,
        "m" * 129,
        "rpc.x",
        "rpc",
        "$/x",
        "$/progress",
        "connection.x",
        "auth.login",
    )
    for name in names:
        for reserved in (False, True):
            service = Service("declared")
            stage.tell(
                f"{name!r} {reserved}",
                lambda s, n, r: s.method(n, reserved=r)(plain) is plain,
                service,
                name,
                reserved,
            )
    service = Service("declared")
    stage.tell("twice", lambda: [service.method(plain), service.method(plain)])
    stage.tell("two names", lambda: service.method("a", "b"))
    stage.tell("7", lambda: service.method(7)(plain))
    stage.tell("nameless", lambda: service.method(lambda: None))


@scene("services, and what they include")
def _services(stage: Stage) -> None:
    makes: tuple[tuple[Any, dict[str, Any]], ...] = (
        ("a", {}),
        (7, {}),
        ("a", {"public": 1}),
        *(
            ("a", {"builtin_scopes": {name: {"x"}}})
            for name in ("connection.info", "rpc.discover", "rpc.cancel", "nothing")
        ),
        ("a", {"builtin_scopes": {"rpc.discover": "x"}}),
    )
    for name, options in makes:
        stage.tell(f"{name!r} {options}", lambda n, o: Service(n, **o).builtin_scopes, name, options)
    outer: Any = Service("outer")
    inner, last = Service("inner", public=True), Service("last")
    inner.method("one", scopes={"x"})(plain)
    inner.on("connection.opened")(hook)
    last.method("two")(plain)
    stage.tell("include", lambda: outer.include(inner, prefix="in."))
    stage.tell("again", lambda: outer.include(inner, prefix="in."))
    stage.tell("elsewhere", lambda: outer.include(inner, prefix="other."))
    stage.tell("itself", lambda: outer.include(outer))
    stage.tell("a text", lambda: outer.include("inner"))
    stage.tell("a taken name", lambda: outer.include(last, prefix="rpc."))
    stage.tell("frozen", lambda: inner.method("three")(plain))
    stage.note([(method.name, method.public, method.scopes) for method in outer.methods.values()])
    stage.note({kind.__name__: len(hooks) for kind, hooks in outer.hooks.items() if hooks})


@scene("hooks, interceptors and lifespans that are declared")
def _others(stage: Stage) -> None:
    functions: tuple[Callable[..., Any], ...] = (hook, hook_with_context, three, none, plain, waits, generator, Thing)
    for function in functions:
        stage.tell(f"on {function.__name__}", lambda f: Service("s").on("call.failed")(f) is f, function)
    for event in ("connection.opened", "connection.open", "", 7, dict):
        stage.tell(f"on {event}", lambda e: Service("s").on(e)(hook) is hook, event)
    stage.tell("two events", lambda service: service.on("call.failed", "call.ended"), Service("s"))
    for function in (three, hook, none, plain, waits, generator, Thing):
        stage.tell(f"on_call {function.__name__}", lambda f: Service("s").on_call(f) is f, function)
        stage.tell(f"on_outcome {function.__name__}", lambda f: Service("s").on_outcome(f) is f, function)
    lifespans: tuple[Any, ...] = (life, life_of, manager, generator, waits, plain, three, Thing, 7)
    for function in lifespans:
        service: Any = Service("s")
        stage.tell(f"lifespan {function}", lambda s, f: s.lifespan(f) is f, service, function)
        if service.own_lifespan is not None:
            stage.note(service.own_lifespan.service, service.own_lifespan.takes_server)
            stage.tell("a second one", lambda s: s.lifespan(life), service)


@scene("authenticators that are declared")
def _authenticators(stage: Stage) -> None:
    declared: tuple[tuple[Any, Callable[..., Any], dict[str, Any]], ...] = (
        ("bearer", by_bearer, {}),
        ("bearer", by_bearer_later, {}),
        *(("bearer", by_bearer_later, {option: True}) for option in ("blocking", "hashing")),
        ("bearer", by_bearer, {"blocking": True}),
        ("bearer", by_bearer, {"hashing": True}),
        ("bearer", by_bearer, {"hashing": 1}),
        ("bearer", by_bearer, {"name": "", "namespace": "n"}),
        ("bearer", by_bearer, {"name": 7}),
        ("bearer", by_bearer, {"namespace": None}),
        ("bearer", by_other, {}),
        ("basic", by_bearer, {}),
        *(("card", function, {}) for function in (by_other, by_bearer, by_method, plain, none, three)),
        ("bearer", by_number, {}),
        *((scheme, by_other, {}) for scheme in ("password", "Card", "", 7, "card x", "c-ard", "bearer2")),
        (by_bearer, by_bearer, {}),
    )
    for scheme, function, options in declared:
        service: Any = Service("s")
        name = f"{scheme} {function.__name__} {options}"
        stage.tell(name, lambda s, c, f, o: s.authenticator(c, **o)(f) is f, service, scheme, function, options)
        for each in service.authenticators.values():
            stage.note(each.name, each.scheme, each.namespace, each.blocking, each.hashing, each.takes_context)
    for namespaces in (("a", "b"), ("a", ""), ("", ""), ("a", "a")):
        service = Service("s")
        for number, namespace in enumerate(namespaces):
            name = f"{namespaces} {number}"
            stage.tell(
                name,
                lambda s, n, p: s.authenticator("bearer", name=f"{n}", namespace=p)(by_bearer),
                service,
                number,
                namespace,
            )
    stage.tell("the same name", lambda: [service.authenticator("bearer", namespace="c")(by_bearer) for _ in range(2)])
    stage.note(repr(Basic("ada", "secret")), repr(Bearer("secret")))
