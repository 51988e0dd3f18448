"""Checks over several messages: a client finds a server that breaks the promises of subscriptions and of state."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.clients.pending import PendingCall
from posthouse.adapters.simulation.clients.protocols.protocol import Transport
from posthouse.adapters.simulation.storms.subscriptions import MAX_CALLS, Subscriptions, Visits, check_news
from posthouse.adapters.simulation.world import World
from posthouse.core.service.service import Service


def ended(status: Any = "result", value: Any = None) -> PendingCall:
    return PendingCall("1", "subscribe", (), 0.0, status=status, value=value)


def client(transport: Transport = "websocket") -> Any:
    made = World(service=Service("none")).client("alice", transport)
    made.connect()
    return made


def test_events_behind_their_reply_are_taken_in_order() -> None:
    subscriptions, alice = Subscriptions(), client()
    subscriptions.expect(ended(), "a")
    for number in range(3):
        subscriptions.event(alice, ["a", number])


@pytest.mark.parametrize("status", ["pending", "error", "lost"])
def test_an_event_without_its_reply_is_a_violation(status: str) -> None:
    subscriptions, alice = Subscriptions(), client()
    subscriptions.expect(ended(status), "a")
    with pytest.raises(Violation, match="came without the reply"):
        subscriptions.event(alice, ["a", 0])
    alice.broke_protocol = True
    subscriptions.event(alice, ["a", 0])


@pytest.mark.parametrize("numbers", [(0, 0), (1,), (0, 2)])
def test_an_event_that_comes_twice_or_is_missing_is_a_violation(numbers: tuple[int, ...]) -> None:
    subscriptions, alice = Subscriptions(), client()
    subscriptions.expect(ended(), "a")
    with pytest.raises(Violation, match="came twice, or is missing"):
        for number in numbers:
            subscriptions.event(alice, ["a", number])


def test_each_number_of_a_connection_is_given_once() -> None:
    visits, alice = Visits(), client()
    first = ended(value=["a", 1])
    assert [visits.checked(alice, first), visits.checked(alice, first)] == [1, 1]
    with pytest.raises(Violation, match="the state of a connection"):
        visits.checked(alice, ended(value=["b", 1]))


def test_an_http_exchange_has_no_more_than_the_calls_of_one_batch() -> None:
    visits, alice = Visits(), client("http")
    for _ in range(2):
        assert visits.checked(alice, ended(value=["a", MAX_CALLS])) == MAX_CALLS
    with pytest.raises(Violation, match="the state of a connection"):
        visits.checked(alice, ended(value=["a", MAX_CALLS + 1]))


@pytest.mark.parametrize(
    ("transport", "kinds", "users", "fault"),
    [
        ("websocket", None, None, None),
        ("websocket", ["websocket"], ["ada"], None),
        ("lines", ["cli"], ["bob", "ada"], None),
        ("lines", ["websocket"], None, "another kind"),
        ("websocket", ["cli"], ["ada"], "another kind"),
        ("websocket", None, ["bob"], "another user"),
    ],
)
def test_a_broadcast_is_only_for_its_kinds_and_users(
    transport: str, kinds: list[str] | None, users: list[str] | None, fault: str | None
) -> None:
    news = {"kinds": kinds, "users": users}
    with nullcontext() if fault is None else pytest.raises(Violation, match=fault):
        check_news(transport, ("ada", None), news)
    check_news(transport, ("ada",), ["no filter"])
