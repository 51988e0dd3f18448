"""The facts that every table shares: what is held, which limits are breached, and whether that must be looked at."""

from __future__ import annotations

from posthouse.core.values.close_reasons import MAX_BAD_MESSAGES, WRITE_TIMEOUT
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import LimitBreached
from posthouse.core.values.peers import Address, ConnectionId, Identity

from tests.core.world import WALL, shared

ONE = ConnectionId(1)
HERE = Address("192.0.2.1", 5000)


def test_a_new_gateway_is_settled() -> None:
    around = shared()
    assert (around.outbox, around.breaches, around.held, around.unsettled) == ([], [], 0, False)


def test_a_breach_is_kept_with_its_reason_and_leaves_the_gateway_unsettled() -> None:
    around = shared()
    around.breach(ONE, WRITE_TIMEOUT)
    assert (around.breaches, around.unsettled) == ([(ONE, WRITE_TIMEOUT)], True)


def test_held_bytes_unsettle_the_gateway_only_above_the_budget() -> None:
    around = shared(memory_budget=100)
    around.hold(60)
    around.hold(40)
    assert (around.held, around.unsettled) == (100, False)
    around.hold(1)
    assert (around.held, around.unsettled) == (101, True)
    around.hold(-101)
    assert around.held == 0


def test_a_limit_is_counted_and_reported_whether_enforced_or_observed() -> None:
    enforced, observed = shared(), shared(observe=("max_bad_messages",))
    assert enforced.enforces(MAX_BAD_MESSAGES, ONE, HERE, 2.0)
    assert enforced.outbox == [Emit(LimitBreached("max_bad_messages", ONE, HERE, True, 2.0))]
    assert enforced.stats.counters == {"limit.max_bad_messages": 1}
    assert not observed.enforces(MAX_BAD_MESSAGES, None, HERE, 2.0)
    assert observed.outbox == [Emit(LimitBreached("max_bad_messages", None, HERE, False, 2.0))]
    assert observed.stats.counters == {"limit.max_bad_messages.would_refuse": 1}


def test_timestamps_are_unix_seconds_with_milliseconds() -> None:
    around = shared()
    around.wall = 1_700_000_000.0
    assert around.timestamp(1.23456) == 1_700_000_001.235


def test_an_identity_has_expired_from_its_time_on_and_one_without_never() -> None:
    around = shared()
    identity = Identity("ada", expires_at=WALL + 5.0)
    assert around.monotonic(WALL + 5.0) == 5.0
    assert [around.expired(identity, now) for now in (4.999, 5.0)] == [False, True]
    around.wall -= 10.0
    assert [around.expired(identity, now) for now in (14.999, 15.0)] == [False, True]
    assert around.expired(Identity("ada"), 1e12) is False
