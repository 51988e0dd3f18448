"""Episodes of users: each seed leads to the same one, on every kind of store, and none finds a fault."""

from __future__ import annotations

import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.chance import Seeded
from posthouse.adapters.simulation.storms.episodes.users import STEPS, Users
from posthouse.core.identity.stored import LookUp, Stored
from posthouse.core.operations.operations import Refused
from posthouse.core.store.outcomes import Done


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
