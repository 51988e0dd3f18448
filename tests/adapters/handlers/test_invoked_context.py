"""What a call knows of itself, and how it speaks to its caller."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from posthouse.adapters.handlers.state.states import States
from posthouse.core.service.context import Context
from posthouse.core.service.lifespan import Lifespan
from posthouse.core.service.method import Method
from posthouse.core.service.results import ResultError
from posthouse.core.service.service import Service
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Address, Identity, Meta

from tests.adapters.handlers.seen_context import CALLER, SeenContext


def method(*, lifespan: bool = False) -> Method:
    service = Service("front", public=True)

    @service.method
    def look(context: Context) -> None: ...

    if lifespan:

        @service.lifespan
        async def pool() -> Any:
            yield "pool"

    return service.methods["look"]


def test_it_tells_the_facts_of_its_call() -> None:
    context = SeenContext(method())
    assert (context.connection, context.public_id, context.kind, context.path) == (5, "c5", "http", "/rpc")
    assert (context.address, context.headers) == (Address("10.1.2.3", 99), {"x-tag": "a"})
    assert (context.identity, context.meta) == (Identity("ada", ("read",)), Meta(request_id="r1"))
    assert (context.call_id, context.method) == (9, "look")
    context.connection_state["seen"] = True
    assert CALLER.connection_state.pop("seen")


def test_a_call_is_cancelled_when_it_has_ended_and_may_be_followed_if_it_has_a_result() -> None:
    context = SeenContext(method())
    assert (context.cancelled, context.may_follow) == (False, True)
    context.ended = True
    assert (context.cancelled, context.may_follow) == (True, False)
    context.replied = True
    assert (context.cancelled, context.may_follow) == (True, True)


def test_progress_is_a_fraction_and_perhaps_a_message() -> None:
    context = SeenContext(method())
    assert context.progress(0.25)
    assert context.progress(1.0, "done")
    context.tells = False
    assert not context.progress(0.5, "")
    assert context.sent == [
        {"fraction": 0.25},
        {"fraction": 1.0, "message": "done"},
        {"fraction": 0.5, "message": ""},
    ]


def test_a_request_to_the_caller_has_half_a_minute_and_its_result_is_checked() -> None:
    context = SeenContext(method())
    context.answer = b'{"a":[1]}'
    assert asyncio.run(context.call("where")) == {"a": [1]}
    assert asyncio.run(context.call("where", [1], timeout=2.5, result_type=dict[str, list[int]])) == {"a": [1]}
    with pytest.raises(ResultError, match="the caller's result of 'who'"):
        asyncio.run(context.call("who", {"b": 2}, result_type=int))
    assert context.sent == [("where", None, 30.0), ("where", [1], 2.5), ("who", {"b": 2}, 30.0)]


def test_its_state_is_that_of_the_lifespan_of_its_method() -> None:
    declared = method(lifespan=True)
    assert declared.lifespan is not None
    states = States()
    context = SeenContext(declared, states)
    with pytest.raises(UsageError, match="the lifespan of service 'front' is not open"):
        _ = context.state
    states[declared.lifespan] = "pool"
    assert context.state == "pool"
    with pytest.raises(UsageError, match="the service has no lifespan"):
        _ = SeenContext(method(), states).state


def test_an_interceptor_of_another_service_sees_it_with_the_state_of_its_own() -> None:
    declared = method(lifespan=True)
    states = States()
    context = SeenContext(declared, states)
    assert context.seen_with(declared.lifespan) is context
    another = Lifespan("another", lambda: None, False)  # type: ignore[arg-type,return-value]
    states[another] = "other"
    seen = context.seen_with(another)
    assert (seen.state, seen.method) == ("other", "look")
    assert seen.notify("news", [1], after_reply=True)
    assert context.sent == [("news", [1], True)]
    with pytest.raises(UsageError, match="the service has no lifespan"):
        _ = context.seen_with(None).state
