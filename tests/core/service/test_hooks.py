"""A hook takes the event, or the event and its context."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from posthouse.core.service.hooks import DeclaredHook, wanted_events
from posthouse.core.service.lifespan import Lifespan
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import CallEnded, CallFailed, ConnectionOpened


def one(event: Any) -> None: ...
async def two(event: Any, context: Any) -> None: ...
def one_with_default(event: Any, log: Any = print) -> None: ...
def any_number(*events: Any) -> None: ...
def named_context(event: Any, *, context: Any) -> None: ...
def three(a: Any, b: Any, c: Any) -> None: ...


class Listener:
    def hear(self, event: Any, context: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "takes_context"),
    [
        (one, False),
        (two, True),
        (one_with_default, False),
        (any_number, False),
        (Listener().hear, True),
        (functools.partial(two, None), False),
        (functools.partial(three, None), True),
    ],
)
def test_a_hook_gets_the_context_if_it_needs_a_second_argument(function: Any, takes_context: bool) -> None:
    hook = DeclaredHook.of(function, "connection.opened", None)
    assert (hook.function, hook.takes_context, hook.lifespan) == (function, takes_context, None)


@pytest.mark.parametrize("function", [three, named_context, lambda: None, max])
def test_an_error_names_both_forms(function: Any) -> None:
    with pytest.raises(UsageError) as caught:
        DeclaredHook.of(function, "connection.opened", None)
    called = "hook of 'connection.opened' is called with (event) or with (event, context): "
    assert str(caught.value) == f"{called}{function!r} does not accept them"


def test_a_hook_keeps_the_lifespan_that_it_has() -> None:
    async def opens() -> AsyncIterator[None]:
        yield

    ours, theirs = Lifespan.of(opens, "ours"), Lifespan.of(opens, "theirs")
    hook = DeclaredHook.of(two, "connection.opened", None).within(theirs)
    assert (hook.lifespan, hook.takes_context) == (theirs, True)
    assert hook.within(ours) is hook


def test_the_wanted_events_are_those_with_hooks_and_those_that_are_named() -> None:
    assert wanted_events({}, ()) == ()
    assert wanted_events({CallFailed: (print,), CallEnded: ()}, ()) == (CallFailed,)
    assert wanted_events({CallFailed: (print,)}, ["call.ended", "call.ended"]) == (CallEnded, CallFailed)
    assert wanted_events({ConnectionOpened: (print,)}, ("connection.opened",)) == (ConnectionOpened,)


@pytest.mark.parametrize("names", ["call.endet", ["call.endet"]])
def test_a_name_of_no_event_is_refused_with_the_nearest_one(names: Any) -> None:
    with pytest.raises(UsageError) as caught:
        wanted_events({}, names)
    assert str(caught.value) == "unknown event 'call.endet': did you mean 'call.ended'?"
