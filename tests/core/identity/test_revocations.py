"""Revocations: who is refused by what is in flight, who for good, and how many are kept."""

from __future__ import annotations

from posthouse.core.identity.revocations import Revocations, made_since
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import LimitBreached
from posthouse.core.values.peers import Address, Identity, UserKey

from tests.core.world import shared

ADA: UserKey = ("", "ada")


def refused(revocations: Revocations, user: str, generation: int = 0, issued_at: float | None = None) -> bool:
    return revocations.refuses(Identity(user, issued_at=issued_at), generation)


def test_a_user_that_is_revoked_outright_is_refused_by_what_began_before() -> None:
    revocations = Revocations(shared())
    assert refused(revocations, "ada") is False
    revocations.add(ADA, None, 0.0)
    assert revocations.generation == 1
    assert refused(revocations, "ada", 0, issued_at=1e12) is True
    assert refused(revocations, "ada", 1) is False
    assert refused(revocations, "bob", 0) is False
    assert revocations.refuses(Identity("ada", namespace="other"), 0) is False
    revocations.forget_recent()
    assert refused(revocations, "ada", 0) is False


def test_a_user_that_is_revoked_again_is_refused_by_what_began_before_the_last_time() -> None:
    revocations = Revocations(shared())
    revocations.add(ADA, None, 0.0)
    revocations.add(ADA, None, 0.0)
    assert (refused(revocations, "ada", 1), refused(revocations, "ada", 2)) == (True, False)


def test_with_a_time_credentials_that_were_made_before_are_refused_for_good() -> None:
    revocations = Revocations(shared())
    revocations.add(ADA, 100.0, 0.0)
    revocations.forget_recent()
    assert refused(revocations, "ada", 1, issued_at=99.9) is True
    assert refused(revocations, "ada", 1, issued_at=None) is True
    assert refused(revocations, "ada", 0, issued_at=100.0) is False
    assert refused(revocations, "bob", 1) is False


def test_the_latest_time_counts() -> None:
    revocations = Revocations(shared())
    revocations.add(ADA, 100.0, 0.0)
    revocations.add(ADA, 50.0, 0.0)
    assert revocations.records == {ADA: 100.0}
    revocations.add(ADA, 150.0, 0.0)
    assert revocations.records == {ADA: 150.0}


def test_max_revocations_may_be_met_and_one_more_forgets_the_oldest_and_tells_it() -> None:
    state = shared(max_revocations=2)
    revocations = Revocations(state)
    for user in ("ada", "bob", "ada"):
        revocations.add(("", user), 100.0, 0.0)
    assert list(revocations.records) == [("", "bob"), ("", "ada")]
    assert state.outbox == []
    revocations.add(("", "eve"), 100.0, 7.0)
    assert list(revocations.records) == [("", "ada"), ("", "eve")]
    assert state.outbox == [Emit(LimitBreached("max_revocations", None, Address(), True, 7.0))]
    assert state.stats.counters == {"limit.max_revocations": 1}
    assert refused(revocations, "bob") is False


def test_too_many_users_revoked_outright_refuse_all_that_is_in_flight() -> None:
    state = shared(max_revocations=2)
    revocations = Revocations(state)
    for user in ("ada", "bob", "ada"):
        revocations.add(("", user), None, 0.0)
    assert refused(revocations, "carl", 0) is False
    revocations.add(("", "eve"), None, 0.0)
    assert revocations.recent == {("", "eve"): 4}
    assert [refused(revocations, "carl", generation) for generation in (0, 3, 4)] == [True, True, False]
    revocations.forget_recent()
    assert refused(revocations, "carl", 4) is False
    assert state.outbox == []


def test_too_many_removed_tokens_refuse_all_that_is_in_flight() -> None:
    revocations = Revocations(shared(max_revocations=1))
    revocations.add_token("a")
    assert refused(revocations, "bob", 0) is False
    assert revocations.refuses(Identity("ada", token="a"), 0) is True
    revocations.add_token("b")
    assert refused(revocations, "bob", 1) is True
    assert refused(revocations, "bob", 2) is False
    assert (revocations.refuses(Identity("ada", token="b"), 1), revocations.tokens) == (True, {"b": 2})


def test_a_time_is_that_of_the_credentials_or_unknown() -> None:
    assert made_since(None, Identity("ada", issued_at=5.0)) is False
    assert made_since(5.0, Identity("ada")) is False
    assert [made_since(5.0, Identity("ada", issued_at=time)) for time in (4.9, 5.0, 5.1)] == [False, True, True]
