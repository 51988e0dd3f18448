"""What the store is told although nobody waits for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from posthouse.core.operations.operations import Busy, Failed, Operations
from posthouse.core.sessions.chores import Chores
from posthouse.core.store.outcomes import Done, MaybeApplied
from posthouse.core.store.requests import EndSession, EndSessions, Request, Sweep
from posthouse.core.store.storage import Storage
from posthouse.core.values.effects import AskStore
from posthouse.core.values.peers import OperationId, UserKey

from tests.core.world import shared

ADA, BOB = ("", "ada"), ("", "bob")


class Told:
    """Chores, with a store outside; `ended` are the sessions of which they have told."""

    def __init__(self, **limits: Any) -> None:
        self.shared = shared(**limits)
        self.operations = Operations(self.shared)
        storage = Storage(self.shared, self.operations)
        storage.memory = None
        self.chores = Chores(self.shared, storage)
        self.ended: list[tuple[str, ...]] = []
        for kind in (Sweep, EndSessions):
            self.chores.on(kind, self._ended)

    def _ended(self, ids: Iterable[str], now: float) -> None:
        self.ended.append(tuple(ids))

    def end_all(self, user: UserKey, now: float = 0.0) -> None:
        self.chores.tell(EndSessions("w", user), now, of=user)

    def asked(self) -> list[tuple[OperationId, Request]]:
        asked = [(each.operation, each.request) for each in self.shared.outbox if isinstance(each, AskStore)]
        self.shared.outbox.clear()
        return asked

    def conclude(self, operation: int, outcome: object, now: float = 0.0) -> None:
        self.operations.conclude(OperationId(operation), outcome, now)

    def at(self, now: float) -> None:
        self.shared.timers.run(now)


def test_the_store_is_told_once_of_a_session_that_ends() -> None:
    told = Told()
    told.chores.tell(EndSession("w", "one"), 0.0)
    assert told.asked() == [(1, EndSession("w", "one"))]
    told.conclude(1, Failed())
    told.at(100.0)
    assert (told.asked(), told.chores.records, told.ended) == ([], {}, [])


def test_sessions_that_the_store_has_ended_are_told() -> None:
    told = Told()
    told.chores.tell(Sweep("w", 5.0, 1.0), 0.0)
    told.conclude(1, Done(("one", "two")))
    assert told.ended == [("one", "two")]


@pytest.mark.parametrize("outcome", [Failed(), Busy(), MaybeApplied()])
def test_the_store_is_told_again_of_a_user_whose_sessions_end_until_it_has_done_it(outcome: object) -> None:
    told = Told()
    told.end_all(ADA)
    assert list(told.chores.ending) == [ADA]
    told.conclude(1, outcome, 2.0)
    assert told.asked() == [(1, EndSessions("w", ADA))]
    told.at(2.999)
    assert told.asked() == []
    told.at(3.0)
    assert told.asked() == [(2, EndSessions("w", ADA))]
    told.conclude(2, Done(("one",)))
    assert (told.chores.ending, told.chores.records, told.ended) == ({}, {}, [("one",)])


def test_sessions_that_are_known_to_have_ended_are_not_told() -> None:
    told = Told()
    told.chores.tell(EndSessions("w", ADA), 0.0, of=ADA, known=("one",))
    told.conclude(1, Done(("one", "two")))
    assert told.ended == [("two",)]


def test_a_second_time_takes_the_place_of_the_first() -> None:
    told = Told()
    told.end_all(ADA)
    told.end_all(ADA)
    told.conclude(1, Done(()))  # sessions may have begun since
    assert list(told.chores.ending) == [ADA]
    told.conclude(2, Done(()))
    assert (told.chores.ending, told.chores.records) == ({}, {})


def test_one_that_waits_to_be_told_again_is_not_told_if_another_takes_its_place() -> None:
    told = Told()
    told.end_all(ADA)
    told.conclude(1, Failed())
    told.end_all(ADA)
    told.asked()
    told.at(2.0)
    assert told.asked() == []
    told.conclude(2, Done(()))
    assert (told.chores.ending, told.chores.records) == ({}, {})


def test_there_are_no_more_users_than_revocations() -> None:
    told = Told(max_revocations=1)
    told.end_all(ADA)
    told.end_all(BOB)
    assert list(told.chores.ending) == [BOB]
    told.conclude(1, Done(()))
    told.conclude(2, Done(()))
    assert (told.chores.ending, told.chores.records) == ({}, {})


def test_sessions_that_log_ins_have_replaced_push_out_no_user() -> None:
    told = Told(max_revocations=1)
    told.end_all(ADA)
    for session in ("one", "two"):
        told.chores.tell(EndSession("w", session), 0.0, of=session)
    assert (list(told.chores.ending), list(told.chores.replaced)) == ([ADA], ["two"])
    for operation in (1, 2, 3):
        told.conclude(operation, Done(()))
    assert (told.chores.ending, told.chores.replaced, told.chores.records) == ({}, {}, {})


def test_a_store_in_memory_has_done_it_at_once() -> None:
    state = shared()
    storage = Storage(state, Operations(state))
    chores = Chores(state, storage)
    chores.tell(EndSessions(chores.write_id(), ADA), 0.0, of=ADA)
    assert (chores.records, chores.ending) == ({}, {})
