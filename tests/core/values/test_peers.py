"""Who is at the other end."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import asdict
from posthouse.core.values.peers import (
    ALL_SCOPES,
    ANONYMOUS,
    BEATING,
    KINDS,
    NO_META,
    PUSHABLE,
    Address,
    Caller,
    ConnectionId,
    Identity,
    Meta,
    Peer,
)

from tests.values import changeable


def test_nobody_in_particular_is_not_authenticated() -> None:
    assert not ANONYMOUS.authenticated
    assert not Identity(scopes=("reports",)).authenticated


def test_somebody_is_and_so_is_who_was_given_every_scope() -> None:
    assert Identity("ada").authenticated
    assert Identity(scopes=(ALL_SCOPES,)).authenticated


def test_missing_scopes_are_told_in_the_order_in_which_they_are_asked_for() -> None:
    identity = Identity("ada", ("b",))
    assert identity.missing(("c", "b", "a")) == ("c", "a")
    assert identity.missing(("b",)) == ()
    assert identity.missing(()) == ()


def test_nothing_is_missing_to_who_has_every_scope() -> None:
    assert Identity(scopes=(ALL_SCOPES,)).missing(("a", "b")) == ()


def test_a_peer_is_anonymous_and_owns_no_socket_unless_it_says_so() -> None:
    peer = Peer("websocket")
    assert (peer.identity, peer.socket, peer.meta, peer.address) == (ANONYMOUS, None, NO_META, Address())
    assert Meta() == NO_META


def test_what_is_not_said_of_a_peer_is_nothing() -> None:
    assert asdict(Address()) == {"host": "", "port": 0, "transport": "stream", "secure": False}
    assert asdict(ANONYMOUS) == {"user": None, "scopes": (), "expires_at": None}
    assert asdict(NO_META) == dict.fromkeys(("idempotency_key", "timeout_ms", "traceparent", "progress_token"))
    assert ALL_SCOPES == "*"


@pytest.mark.parametrize(
    "value", [ANONYMOUS, NO_META, Address(), Peer("cli"), Caller(ConnectionId(1), "x", "cli", ANONYMOUS)]
)
def test_these_values_cannot_change(value: Any) -> None:
    for name in value.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(value, name, None)


def test_every_kind_says_whether_it_can_be_pushed_to_and_asked_for_a_sign_of_life() -> None:
    assert tuple(PUSHABLE) == tuple(BEATING) == KINDS
    assert PUSHABLE == {"websocket": True, "http": False, "cli": True}
    assert BEATING == {"websocket": True, "http": False, "cli": False}
    assert all(PUSHABLE[kind] for kind in KINDS if BEATING[kind])


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.values.peers") == []


def test_metadata_of_its_own_counts_before_what_was_given() -> None:
    own, given = Meta(traceparent="own"), Meta(timeout_ms=500, traceparent="given")
    assert own.or_else(given) == Meta(timeout_ms=500, traceparent="own")
    assert own.or_else(NO_META) is own
