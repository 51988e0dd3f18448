"""The contexts of hooks and of interceptors."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest
from posthouse.adapters.handlers.state.states import States
from posthouse.adapters.handlers.state.views import EventContexts, OtherState, takes_contexts
from posthouse.core.service.context import HookContext
from posthouse.core.service.hooks import DeclaredHook
from posthouse.core.service.lifespan import Lifespan
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Emit
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import CallFailed, ConnectionClosed, ConnectionOpened, DrainStarted, Event
from posthouse.core.values.peers import Address, Caller, CallId, ConnectionId, Identity, Peer

from tests.adapters.handlers.seen_context import SeenContext


@asynccontextmanager
async def nothing():  # type: ignore[no-untyped-def]
    yield


LIFESPAN = Lifespan("mine", nothing, False)


def caller(number: int) -> Caller:
    return Caller(ConnectionId(number), f"c{number}", Peer("websocket"), Identity())


def opened(number: int) -> Emit:
    event = ConnectionOpened(ConnectionId(number), f"c{number}", "websocket", Address(), None, 0.0)
    return Emit(event, caller(number))


def closed(number: int) -> Emit:
    event = ConnectionClosed(
        connection=ConnectionId(number),
        public_id=f"c{number}",
        kind="websocket",
        address=Address(),
        user=None,
        code=None,
        reason=None,
        duration=0.0,
        calls=0,
        now=0.0,
    )
    return Emit(event)


class Bench:
    """The contexts of a service. `told` holds notifications."""

    def __init__(self, *, takes: bool = True) -> None:
        self.service = Service("hooks", public=True)

        @self.service.on("connection.opened")
        def plain(event: Event) -> None: ...

        if takes:

            @self.service.on("connection.closed")
            def behind(event: Event, context: HookContext[Any]) -> None: ...

        self.states = States()
        self.told: list[tuple[int, str, Any]] = []
        self.contexts = EventContexts(self.service, self.states, self.notify)
        self.hook = DeclaredHook(lambda event, context: None, True, LIFESPAN)

    def notify(self, to: ConnectionId, method: str, params: Any) -> bool:
        self.told.append((to, method, params))
        return to == 1

    def see(self, action: Emit) -> HookContext[Any]:
        self.contexts.see(action)
        (context,) = self.contexts.rest(self.hook, action.event)
        return context


def failed(number: int) -> Emit:
    return Emit(CallFailed(CallId(1), ConnectionId(number), "look", "1f", "it raised", 0.0))


def test_contexts_are_made_only_for_hooks_that_take_them() -> None:
    assert (Bench(takes=True).contexts.needed, Bench(takes=False).contexts.needed) == (True, False)
    assert (takes_contexts(Bench().service), takes_contexts(Bench(takes=False).service)) == (True, False)
    bench = Bench()
    bench.contexts.see(opened(1))
    assert bench.contexts.rest(DeclaredHook(print, False), opened(1).event) == []


def test_a_hook_sees_the_state_of_its_own_lifespan() -> None:
    bench = Bench()
    context = bench.see(opened(1))
    with pytest.raises(UsageError, match="the lifespan of service 'mine' is not open"):
        _ = context.state
    bench.states[LIFESPAN] = "state"
    assert context.state == "state"


def test_the_hooks_of_one_connection_share_its_state_until_it_has_closed() -> None:
    bench = Bench()
    first = bench.see(opened(1))
    first.connection_state["seen"] = 1
    assert bench.see(opened(2)).connection_state == {}
    assert bench.see(failed(1)).connection_state == {"seen": 1}
    assert bench.see(closed(1)).connection_state == {"seen": 1}
    assert first.connection_state == {"seen": 1}
    assert bench.see(failed(1)).connection_state == {}
    assert bench.see(closed(1)).connection_state == {}, "it has closed already"


def test_an_event_of_no_connection_has_no_state_of_one_and_notifies_none() -> None:
    bench = Bench()
    bench.see(opened(1))
    context = bench.see(Emit(DrainStarted(0.0)))
    assert context.connection_state == {}
    assert not context.notify("news", [1])
    assert bench.told == []


def test_a_hook_notifies_the_connection_of_its_event() -> None:
    bench = Bench()
    assert bench.see(opened(1)).notify("news", [1])
    assert not bench.see(opened(2)).notify("news")
    assert bench.told == [(1, "news", [1]), (2, "news", None)]


def test_an_interceptor_sees_all_of_a_call_but_its_state() -> None:
    service = Service("front", public=True)

    @service.method
    def look() -> None: ...

    whole = SeenContext(service.methods["look"])
    context = OtherState(whole, LIFESPAN, States({LIFESPAN: "mine"}))
    assert context.state == "mine"
    assert (context.connection, context.public_id, context.kind, context.path) == (5, "c5", "http", "/rpc")
    assert (context.address, context.headers) == (whole.address, {"x-tag": "a"})
    assert (context.identity, context.meta, context.call_id, context.method) == (
        whole.identity,
        whole.meta,
        9,
        "look",
    )
    assert context.connection_state is whole.connection_state
    assert not context.cancelled
    whole.ended = True
    assert context.cancelled


def test_an_interceptor_speaks_to_the_caller_as_the_call_does() -> None:
    service = Service("front", public=True)

    @service.method
    def look() -> None: ...

    whole = SeenContext(service.methods["look"])
    context = OtherState(whole, LIFESPAN, States())
    assert context.notify("news")
    assert context.notify("news", [1], after_reply=True)
    assert context.progress(0.5)
    assert context.progress(0.75, "soon")
    whole.answer = b"7"
    assert asyncio.run(context.call("where")) == 7
    assert asyncio.run(context.call("where", [1], timeout=2.5, result_type=int)) == 7
    whole.tells = False
    assert (context.notify("news"), context.progress(1.0)) == (False, False)
    assert whole.sent == [
        ("news", None, False),
        ("news", [1], True),
        {"fraction": 0.5},
        {"fraction": 0.75, "message": "soon"},
        ("where", None, 30.0),
        ("where", [1], 2.5),
        ("news", None, False),
        {"fraction": 1.0},
    ]
