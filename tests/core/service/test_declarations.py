"""What a declaration says is checked first: each mistake has an error that names the fix."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from posthouse.core.service.declarations import (
    FLAGS,
    MAX_NAME_BYTES,
    OPTIONS,
    check_event,
    check_function,
    check_name,
    check_on_disconnect,
    check_options,
    check_timeout,
    is_coroutine_function,
    name_of,
    sorted_scopes,
    subprotocols_of,
    wraps_coroutine_function,
)
from posthouse.core.service.method import Method
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import EVENTS, ConnectionClosed


def plain(a: int) -> int:
    return a


async def later(a: int) -> int:
    return a


def many() -> Iterator[int]:
    yield 1


async def many_later() -> AsyncIterator[int]:
    yield 1


class Greeter:
    def greet(self, name: str) -> str:
        return name

    @classmethod
    def named(cls, name: str) -> str:
        return name

    @staticmethod
    def greet_anyone(name: str) -> str:
        return name

    @property
    def greeting(self) -> str:
        return "hello"

    async def __call__(self, name: str) -> str:
        return name


def passes_on(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def refused(check: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(UsageError) as caught:
        check(*args, **kwargs)
    return str(caught.value)


# Names


@pytest.mark.parametrize("size", [1, MAX_NAME_BYTES - 1, MAX_NAME_BYTES])
def test_a_name_may_be_as_long_as_the_limit(size: int) -> None:
    check_name("x" * size, reserved=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "it must be a non-empty string"),
        (None, "it must be a non-empty string"),
        ("x" * (MAX_NAME_BYTES + 1), "has 129 bytes: at most 128 are allowed"),
        ("é" * 65, "has 130 bytes"),
        ("\ud800", "it contains a lone surrogate"),
        ("rpc.mine", "reserved, like all names that begin with 'rpc.' or '$/'"),
        ("$/mine", "reserved, like all names that begin with 'rpc.' or '$/'"),
    ],
)
def test_an_invalid_name_is_refused(name: Any, message: str) -> None:
    assert message in refused(check_name, name, reserved=False)


def test_a_reserved_name_is_valid_with_reserved() -> None:
    check_name("rpc.mine", reserved=True)
    check_name("$/setTrace", reserved=True)


# Options


def test_the_options_are_those_of_a_method() -> None:
    assert set(OPTIONS) | {"name"} == set(Method.of.__kwdefaults__ or {}) | {"name", "public"}
    check_options({"public": True, "scopes": (), "timeout": 1.0, "sequential": False, "on_disconnect": "cancel"})
    check_options({})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timout", "service.method has no option 'timout': did you mean 'timeout'?"),
        ("scope", "service.method has no option 'scope': did you mean 'scopes'?"),
        ("authenticated", f"service.method has no option 'authenticated': its options are {', '.join(OPTIONS)}"),
        ("name", 'service.method has no option name: write the name first, `service.method("x")`'),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest_one(name: str, message: str) -> None:
    assert refused(check_options, {name: "x"}) == message


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", ["yes", 1, None])
def test_a_flag_is_true_or_false(name: str, value: object) -> None:
    assert refused(check_options, {name: value}) == f"{name} is {value!r}, but must be True or False"


@pytest.mark.parametrize("timeout", [None, 1, 0.001, 2**53])
def test_a_timeout_is_a_time_in_seconds_or_the_default(timeout: float | None) -> None:
    check_timeout(timeout, "it")


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf"), "30", True, [1]])
def test_another_timeout_is_refused(timeout: Any) -> None:
    message = f"it: timeout is {timeout!r}, but must be a finite number of seconds above 0"
    assert refused(check_timeout, timeout, "it") == message


def test_on_disconnect_has_two_choices() -> None:
    check_on_disconnect("cancel", "it")
    check_on_disconnect("finish", "it")
    assert refused(check_on_disconnect, True, "it") == "it: on_disconnect is True, but must be 'cancel' or 'finish'"


# Events


def test_the_events_are_known_by_their_names() -> None:
    for name in EVENTS:
        check_event(name, EVENTS)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("connection.open", "unknown event 'connection.open': did you mean 'connection.opened'?"),
        ("", "unknown event '': did you mean "),
        (ConnectionClosed, 'service.on takes the name of an event: use `@service.on("connection.closed")`'),
        (plain, 'service.on takes the name of an event: use `@service.on("connection.opened")`'),
    ],
)
def test_another_event_is_refused_with_the_right_way(event: object, message: str) -> None:
    assert refused(check_event, event, EVENTS).startswith(message)


# Functions


@pytest.mark.parametrize(
    "function",
    [plain, later, Greeter(), Greeter().greet, Greeter.named, Greeter.greet_anyone, functools.partial(plain)],
)
def test_functions_bound_methods_and_objects_with_call_can_be_declared(function: Callable[..., Any]) -> None:
    check_function(function, "it")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (42, "it: 42 is not a function"),
        (Greeter, "it: 'Greeter' is a class: give a function, or an object with __call__"),
        (Greeter.greet, "it belongs to a class and is not bound to an instance: declare the bound method, as in "),
        (Greeter.greet, "`service.method(instance.greet)`"),
        (Greeter.__dict__["named"].__func__, "it belongs to a class and is not bound"),
        (Greeter.__dict__["named"], "it: a classmethod is not a function: declare a bound method"),
        (Greeter.__dict__["greeting"], "it: a property is not a function: declare a bound method"),
        (many, "it is a generator function, which yields many values: return one value, such as a list"),
        (many_later, "it is a generator function, which yields many values: return one value, such as a list"),
        (functools.partial(many), "it is a generator function"),
    ],
)
def test_what_is_not_a_function_of_one_result_is_refused(function: Any, message: str) -> None:
    assert message in refused(check_function, function, "it")


@pytest.mark.parametrize(
    ("function", "is_async", "wraps"),
    [
        (plain, False, False),
        (later, True, True),
        (functools.partial(later, 1), True, True),
        (Greeter(), True, True),
        (functools.partial(Greeter(), "ada"), True, True),
        (Greeter().greet, False, False),
        (passes_on(later), False, True),
        (functools.partial(passes_on(passes_on(later))), False, True),
        (passes_on(functools.partial(later)), False, True),
        (passes_on(Greeter()), False, True),
        (passes_on(plain), False, False),
        (lambda: later(1), False, False),
    ],
)
def test_coroutine_functions_are_known_through_partials_call_and_wrappers(
    function: Callable[..., Any], is_async: bool, wraps: bool
) -> None:
    assert is_coroutine_function(function) is is_async
    assert wraps_coroutine_function(function) is wraps


# Scopes


def test_scopes_are_sorted_without_duplicates() -> None:
    assert sorted_scopes(["b", "a", "b"], "it") == ("a", "b")


@pytest.mark.parametrize(
    ("scopes", "message"),
    [
        ("admin", "it: scopes is a single string: give a collection, such as {'admin'}"),
        (3, "it: scopes is 3: give a collection of strings"),
        ([""], "it: '' is not a scope: it must be a non-empty string"),
        ([1], "it: 1 is not a scope"),
    ],
)
def test_scopes_are_a_collection_of_strings(scopes: Any, message: str) -> None:
    assert refused(sorted_scopes, scopes, "it").startswith(message)


def test_subprotocols_keep_their_order() -> None:
    assert subprotocols_of(["wamp.2.json", "mcp"]) == ("wamp.2.json", "mcp")
    assert subprotocols_of(()) == ()
    assert subprotocols_of(["a" * 128]) == ("a" * 128,)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("mcp", "subprotocols is a single string: give a tuple, ('mcp',)"),
        (1, "subprotocols is 1: give a tuple of names, such as ('mcp',)"),
        ([""], "subprotocol '': it must be 1 to 128 letters, digits or"),
        (["a b"], "subprotocol 'a b': it must be 1 to 128 letters"),
        (["a\r\nX: y"], "it must be 1 to 128 letters"),
        (["a" * 129], "it must be 1 to 128 letters"),
        ([b"mcp"], "subprotocol b'mcp': it must be"),
        (["posthouse.bearer.eA"], "names that begin with 'posthouse.' are the gateway's"),
        (["mcp", "mcp"], "subprotocol 'mcp' is named twice"),
    ],
)
def test_a_subprotocol_that_cannot_be_selected_is_refused(names: Any, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        subprotocols_of(names)


def test_the_name_of_a_function_is_that_which_it_was_given() -> None:
    assert name_of(plain) == "plain"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: None, 'has no name: use `service.method("name")`'),
        (3, "service.method: 3 is not a function"),
        (functools.partial(plain, 1), 'has no name: use `service.method("name")`'),
    ],
)
def test_a_function_without_a_name_must_be_given_one(function: Any, message: str) -> None:
    assert message in refused(name_of, function)
