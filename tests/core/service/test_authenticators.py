"""Authenticators: every mistake of a declaration is found when it is made, with its fix."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Struct, defstruct
from posthouse.core.service.authenticators import Authenticator, Basic, Bearer, check_label, check_scheme
from posthouse.core.service.context import AuthContext
from posthouse.core.service.lifespan import Lifespan
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity


def declare(
    function: Callable[..., Any], scheme: str = "bearer", *, blocking: bool = False, hashing: bool = False
) -> Authenticator:
    return Authenticator.of(function, name="mine", scheme=scheme, namespace="", blocking=blocking, hashing=hashing)


def plain(credentials: Bearer) -> Identity | None:
    return None


async def waits(credentials: Bearer, context: AuthContext[dict[str, str]]) -> Identity | None:
    return None


def test_an_authenticator_takes_the_credentials_of_its_scheme_and_a_context_if_it_wants_one() -> None:
    assert [(found.takes, found.takes_context) for found in (declare(plain), declare(waits))] == [
        (Bearer, False),
        (Bearer, True),
    ]
    assert declare(lambda credentials: None, "basic").takes is Basic
    assert declare(lambda credentials, context: None).takes_context
    assert declare(functools.partial(lambda prefix, credentials: None, "x")).takes_context is False
    assert declare(lambda credentials, *, verbose=False, **more: None).takes_context is False
    assert declare(plain, blocking=True).blocking


def test_one_that_hashes_blocks_too() -> None:
    found = [declare(plain), declare(plain, blocking=True), declare(plain, hashing=True)]
    assert [(each.blocking, each.hashing) for each in found] == [(False, False), (True, False), (True, True)]


def test_those_that_may_hash_run_in_turns() -> None:
    found = [declare(plain), declare(waits), declare(plain, blocking=True), declare(plain, hashing=True)]
    assert [each.in_turns for each in found] == [False, False, True, True]
    assert declare(lambda credentials: None, "basic").in_turns


@pytest.mark.parametrize(
    ("function", "scheme", "fault"),
    [
        (lambda: None, "bearer", r"takes \(\): write `\(credentials: Bearer\)` or"),
        (lambda a, b, c: None, "bearer", r"takes \(a, b, c\): write"),
        (lambda a, *, needed: None, "basic", r"takes \(a, needed\): write `\(credentials: Basic\)` or"),
        (plain, "basic", r"takes credentials: <class '.*Bearer'>: write `\(credentials: Basic\)`"),
        (3, "bearer", r"^authenticator 'mine': 3 is not a function$"),
        (min, "bearer", r"the signature of <built-in function min> cannot be read"),
    ],
)
def test_another_function_is_refused(function: Any, scheme: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        declare(function, scheme)


def test_annotations_are_checked() -> None:
    def wrong(credentials: Bearer, context: dict[str, str]) -> None: ...

    def unknown(credentials: Bearer) -> None: ...

    unknown.__annotations__["credentials"] = "Missing"
    with pytest.raises(UsageError, match=r"takes context: dict\[str, str\]: write"):
        declare(wrong)
    with pytest.raises(UsageError, match=r"the annotation 'Missing' is not known in the module of its function"):
        declare(unknown)


def test_an_async_function_does_not_block() -> None:
    with pytest.raises(UsageError, match=r"^authenticator 'mine' is an `async def`: `blocking=True` is for plain"):
        declare(waits, blocking=True)


def test_it_sees_the_state_of_a_lifespan() -> None:
    async def opens() -> Any:
        yield None

    lifespan = Lifespan.of(opens, "x")
    within = declare(waits).within(lifespan)
    assert (within.lifespan, within.function, within.takes_context) == (lifespan, waits, True)


def test_a_scheme_is_one_of_two_or_a_name_of_ones_own() -> None:
    assert [check_scheme(scheme) for scheme in ("bearer", "basic", "ticket-1")] == ["bearer", "basic", "ticket-1"]
    for scheme in ("Digest", "", 3):
        with pytest.raises(UsageError, match=r"it must be 'bearer' or 'basic', or a name of your own in lower case"):
            check_scheme(scheme)
    with pytest.raises(UsageError, match=r"^scheme 'password': write 'basic', which also reads the method password"):
        check_scheme("password")
    with pytest.raises(UsageError, match=r'needs a scheme: write `@service.authenticator\("bearer"\)`'):
        check_scheme(plain)


class Ticket(Struct):
    number: int


def redeem(credentials: Ticket) -> Identity | None:
    return None


def test_a_scheme_of_ones_own_takes_a_struct() -> None:
    assert declare(redeem, "ticket").takes is Ticket

    def unknown(credentials: Ticket) -> None: ...

    unknown.__annotations__["credentials"] = "Missing"
    for function in (lambda credentials: None, lambda: None, unknown):
        with pytest.raises(UsageError, match=r"annotate it with a Struct of the members|annotations cannot be read"):
            declare(function, "ticket")


@pytest.mark.parametrize("name", ["method", "cookie"])
def test_a_struct_has_no_member_that_a_log_in_takes_itself(name: str) -> None:
    taken = defstruct("Taken", [(name, str)])

    def read(credentials: Any) -> None: ...

    read.__annotations__["credentials"] = taken
    with pytest.raises(UsageError, match=f"takes a Struct with the member '{name}', which auth.login takes: rename it"):
        declare(read, "ticket")


@pytest.mark.parametrize(("value", "what"), [("", "name"), (3, "name"), (None, "namespace")])
def test_names_are_strings(value: object, what: str) -> None:
    with pytest.raises(UsageError, match=rf"^the {what} of an authenticator is {value!r}, but must be a string$"):
        check_label(value, what)


def test_a_name_and_an_empty_namespace_are_kept() -> None:
    assert (check_label("x", "name"), check_label("", "namespace")) == ("x", "")


def test_credentials_do_not_show_their_secrets() -> None:
    assert repr(Bearer("canary")) == "Bearer(token=<hidden>)"
    assert repr(Basic("ada", "canary")) == "Basic(user=<hidden>, password=<hidden>)"
