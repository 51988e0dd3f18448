"""Keys of sessions: who has the secret, and whether its user still counts."""

from __future__ import annotations

import pytest
from posthouse.core.identity.session_keys import is_unavailable
from posthouse.core.operations.operations import Busy, Failed, Refused
from posthouse.core.sessions.keys import SessionKey
from posthouse.core.store.outcomes import Done, Full, MaybeApplied
from posthouse.core.values.lifecycle import SessionEnded
from posthouse.core.values.peers import ConnectionId, Identity, OperationId

from tests.core.sessions.sessioned import ADA, BOB, SessionWorld, told


def resuming(identity: Identity = ADA) -> tuple[SessionWorld, ConnectionId]:
    """A connection that resumes a session, for which the store outside was asked."""
    world = SessionWorld(external=True)
    one, two = world.opened(identity), world.connect()
    world.call(one, "session.create", {}, 1)
    world.perform()
    (made,) = world.said()
    world.call(two, "session.resume", {"session": made["result"]["id"], "secret": made["result"]["secret"]}, 1)
    world.hear()
    return world, two


def test_a_key_that_fits_counts() -> None:
    world, two = resuming()
    world.perform()
    assert world.codes(two) == [None]
    assert world.gateway._session_keys.asked == {}


def test_an_anonymous_session_cannot_be_revoked() -> None:
    world, two = resuming(Identity())
    world.gateway.revoke("ada", 0.0)
    world.perform()
    assert world.codes(two) == [None]


def test_a_user_who_was_revoked_meanwhile_does_not_count() -> None:
    world, two = resuming()
    world.gateway.revoke("ada", 0.0)
    world.hear()
    world.perform(1)  # the end of its sessions overtakes
    world.settle(OperationId(2), Done(next(iter(world.store.sessions.values()), row_of(world))))
    assert world.codes(two) == [-32040]
    assert world.gateway._verifications.revocations.recent == {}


def test_a_user_whose_sessions_the_store_has_not_ended_yet_does_not_count() -> None:
    world, two = resuming()
    world.gateway.revoke("ada", 0.0)
    world.hear()
    world.settle(OperationId(3), Failed())
    world.perform()
    assert world.codes(two) == [-32040]


def test_a_session_whose_secret_was_stolen_has_ended() -> None:
    world, _two = resuming()
    world.settle(OperationId(2), Refused("stolen"))
    assert [event.reason for event in told(world, SessionEnded) if isinstance(event, SessionEnded)] == ["stolen"]


def test_a_question_for_which_nobody_waits_is_forgotten() -> None:
    world, two = resuming()
    world.gateway.revoke("bob", 0.0)
    assert world.gateway._verifications.revocations.recent == {("", "bob"): 1}
    world.gateway.disconnected(two, None, 0.0)
    assert world.gateway._verifications.revocations.recent == {("", "bob"): 1}
    world.perform()
    assert (world.gateway._session_keys.asked, world.gateway._verifications.revocations.recent) == ({}, {})
    world.gateway._session_keys.withdraw(1)


@pytest.mark.parametrize(
    ("outcome", "unavailable"),
    [
        (Done(), False),
        (Refused("unknown"), False),
        (Failed(), True),
        (Busy(), True),
        (MaybeApplied(), True),
        (Full(), True),
    ],
)
def test_a_store_that_says_nothing_is_unavailable(outcome: Done, unavailable: bool) -> None:
    assert is_unavailable(outcome) is unavailable


def row_of(world: SessionWorld) -> object:
    """The row of a session as the store had it before."""
    return world.gateway._session_requests.mint(ADA, b"{}", 0.0).row


def test_a_user_who_was_verified_before_still_counts_unless_revoked_meanwhile() -> None:
    world = SessionWorld()
    keys = world.gateway._session_keys
    first, second, third = keys.begin(), keys.begin(), keys.begin()
    assert keys.counts(first, ADA) is True
    world.gateway.revoke("ada", 0.0)
    assert keys.counts(second, ADA) is False
    keys.withdraw(third)
    assert keys.counts(third, BOB) is False
    assert keys.asked == {}


def test_a_key_is_used_without_another_secret() -> None:
    world = SessionWorld(external=True)
    keys, heard = world.gateway._session_keys, list[object]()
    keys.on("mine", lambda subject, outcome, now: heard.append((subject, outcome)))
    operation = keys.ask("mine", 7, SessionKey("one", "secret"), 0.0)
    assert isinstance(operation, int)
    world.hear()
    world.settle(OperationId(operation), Refused("unknown"))
    assert heard == [(7, Refused("unknown"))]
    again = keys.ask("mine", 8, SessionKey("one", "secret"), 0.0)
    assert isinstance(again, int)
    number = keys.begin()
    keys.leave(number, "one", OperationId(again))
    assert (keys.asked, keys.left) == ({}, {number: "one"})
    world.settle(OperationId(again), Refused("unknown"))
    assert heard == [(7, Refused("unknown"))]
    assert (keys.left, world.gateway._storage.records) == ({}, {})
