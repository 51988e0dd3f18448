"""Episodes: each seed leads to the same one, on every kind of store, and none finds a fault."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.chance import Seeded
from posthouse.adapters.simulation.storms.episodes.publishing.episode import STEPS as PUBLISHING_STEPS
from posthouse.adapters.simulation.storms.episodes.publishing.episode import Publishing
from posthouse.adapters.simulation.storms.episodes.rows import Requests
from posthouse.adapters.simulation.storms.episodes.sessions.sessions import STEPS as SESSION_STEPS
from posthouse.adapters.simulation.storms.episodes.sessions.sessions import Sessions
from posthouse.adapters.simulation.storms.episodes.users import STEPS, Users
from posthouse.core.dispatch.session_calls import SessionCalls
from posthouse.core.dispatch.session_results import opened
from posthouse.core.identity.stored import LookUp, Stored
from posthouse.core.operations.operations import Refused
from posthouse.core.sessions.sessions import Sessions as Attached
from posthouse.core.store.memory import MemoryStore
from posthouse.core.store.outcomes import Done
from posthouse.core.store.requests import Sweep
from posthouse.core.topics.history import History
from posthouse.core.topics.topics import Topics


@pytest.mark.parametrize("seed", range(12))
def test_nobody_gets_in_who_may_not(seed: int) -> None:
    assert Users(Seeded(seed).stream("users")).run() == STEPS


def test_an_unknown_user_that_costs_no_hash_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Stored._judge

    def without_a_hash(self: Stored, look_up: LookUp, outcome: object, now: float) -> object:
        return Refused("the store has no such user") if outcome == Done(None) else judge(self, look_up, outcome, now)

    monkeypatch.setattr(Stored, "_judge", without_a_hash)
    with pytest.raises(Violation, match="a password was refused before it was compared"):
        for seed in range(20):
            Users(Seeded(seed).stream("users")).run()


@pytest.mark.parametrize("seed", range(40))
def test_callers_are_told_of_their_own_sessions_alone(seed: int) -> None:
    assert Sessions(Seeded(seed).stream("sessions")).run() == SESSION_STEPS


@pytest.mark.parametrize("seed", range(40))
def test_a_store_in_memory_is_as_the_rules_say(seed: int) -> None:
    assert Requests(Seeded(seed).stream("rows")).run() > 0


def find(episode: type[Sessions] | type[Requests], sentence: str) -> None:
    with pytest.raises(Violation, match=sentence):
        for seed in range(300):
            episode(Seeded(seed).stream("found")).run()


def test_a_connection_that_is_not_replaced_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Attached, "replace", lambda *_, **__: True)
    find(Sessions, "a connection was not replaced")


def test_an_orphan_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionCalls, "take_back", lambda *_: None)
    find(Sessions, "a session is left of which nobody was told")


def test_a_session_that_others_are_told_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "posthouse.core.dispatch.session_calls.opened"
    monkeypatch.setattr(place, lambda row, secret, *about: opened(row, "x" * 43, *about))
    find(Sessions, "the secret is not the one that the store has")


def test_a_store_that_forgets_what_has_expired_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    perform = MemoryStore.perform

    def without_sweep(self: MemoryStore, request: Any) -> object:
        return Done(()) if isinstance(request, Sweep) else perform(self, request)

    monkeypatch.setattr(MemoryStore, "perform", without_sweep)
    find(Requests, "a request has another outcome")


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_lost_silently(seed: int) -> None:
    assert Publishing(Seeded(seed).stream("publishing")).run() == PUBLISHING_STEPS


def test_a_recovery_with_a_hole_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    after = History.after
    monkeypatch.setattr(History, "after", lambda self, offset: list(after(self, offset))[1:])
    with pytest.raises(Violation, match="delivery: what is held is recovered"):
        for seed in range(5, 25):
            Publishing(Seeded(seed).stream("publishing")).run()


def test_an_index_that_is_left_behind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Topics, "drop", lambda self, connection, now: None)
    with pytest.raises(Violation, match="topics: a subscriber is open"):
        Publishing(Seeded(0).stream("publishing")).run()
