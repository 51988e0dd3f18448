"""Budgets for failed authentications: charged before an authenticator is asked, refunded when it succeeds."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct
from posthouse.core.identity.budgets import Budgets, Charge, Failures, user_digest, user_of
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import LimitBreached
from posthouse.core.values.peers import Address, Caller, ConnectionId, Identity, Peer

from tests.core.world import shared

ADA, BOB, TOKEN = b"ada", b"bob", b"token"
HERE = "192.0.2.1"


class Guesses:
    """The budgets alone, and the time."""

    def __init__(self, **limits: Any) -> None:
        self.shared = shared(**limits)
        self.budgets = Budgets(self.shared)
        self.now = 0.0

    def attempt(self, *users: bytes, host: str = HERE, credential: bytes | None = None) -> Charge | int:
        return self.budgets.charge(self.caller(host), users, credential, self.now)

    def charged(self, *users: bytes, host: str = HERE, credential: bytes | None = None) -> Charge:
        charge = self.attempt(*users, host=host, credential=credential)
        assert isinstance(charge, Charge)
        return charge

    def caller(self, host: str = HERE) -> Caller:
        return Caller(ConnectionId(7), "c7", Peer("http", Address(host, 5000)), Identity())

    def fails(self, number: int, *users: bytes, host: str = HERE) -> list[int]:
        """So many attempts at this time: 0 for one that is allowed, else the milliseconds to wait."""
        results = [self.attempt(*users, host=host) for _ in range(number)]
        return [result if isinstance(result, int) else 0 for result in results]

    def breached(self) -> list[tuple[str, bool]]:
        effects, self.shared.outbox = self.shared.outbox, []
        events = [effect.event for effect in effects if isinstance(effect, Emit)]
        return [(event.limit, event.enforced) for event in events if isinstance(event, LimitBreached)]


def waits(world: Guesses, *users: bytes) -> list[int]:
    """Seconds between the failures of a caller who tries again as soon as it may."""
    seconds = []
    for _ in range(10):
        (milliseconds,) = world.fails(1, *users)
        seconds.append(milliseconds // 1000)
        assert milliseconds % 1000 == 0
        world.now += milliseconds / 1000
        assert world.fails(1, *users) == [0]
    return seconds


@pytest.mark.parametrize(("failures", "wait"), [(4, 0), (5, 0), (6, 1000)])
def test_row_38_five_failures_of_a_user_from_an_address_are_allowed(failures: int, wait: int) -> None:
    world = Guesses()
    assert world.fails(failures, ADA)[-1] == wait
    assert world.fails(1, BOB) == [0]
    assert world.fails(1, ADA, host="192.0.2.2") == [0]


@pytest.mark.parametrize(("failures", "wait"), [(49, 0), (50, 0), (51, 1000)])
def test_row_38_fifty_failures_from_an_address_are_allowed(failures: int, wait: int) -> None:
    world = Guesses()
    results = [world.fails(1, b"%d" % number) for number in range(failures)]
    assert results[-1] == [wait]
    assert world.fails(1, ADA, host="192.0.2.2") == [0]


def test_row_38_waits_double_up_to_a_minute() -> None:
    world = Guesses()
    world.fails(5, ADA)
    assert waits(world, ADA) == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_row_38_the_addresses_of_one_ipv6_subnet_count_as_one() -> None:
    world = Guesses(max_auth_failures=2, max_auth_failures_per_address=3)
    assert world.fails(2, ADA, host="2001:db8::1") == [0, 0]
    assert world.fails(1, ADA, host="2001:db8::2") == [1000]
    assert world.fails(2, BOB, host="2001:db8::3") == [0, 1000]
    assert world.fails(1, ADA, host="2001:db8:0:1::1") == [0]


def test_an_attempt_that_is_refused_is_not_counted() -> None:
    world = Guesses()
    world.fails(5, ADA)
    assert world.fails(3, ADA) == [1000, 1000, 1000]
    world.now = 0.9995
    assert world.fails(1, ADA) == [1]
    world.now = 1.0
    assert world.fails(2, ADA) == [0, 2000]


def test_a_new_minute_begins_with_new_failures() -> None:
    world = Guesses()
    world.fails(5, ADA)
    world.now = 59.999
    assert world.fails(1, ADA) == [0], "more than a second after the last failure"
    world = Guesses()
    world.fails(5, ADA)
    world.now = 60.0
    assert world.fails(6, ADA) == [0, 0, 0, 0, 0, 1000]


def test_above_the_limit_a_minute_of_patience_begins_anew() -> None:
    for now, expected in ((1.0 + 2.0 + 59.999, [0, 4000]), (1.0 + 2.0 + 60.0, [0, 0, 0, 0, 0, 1000])):
        world = Guesses()
        world.fails(5, ADA)
        world.now = 1.0
        world.fails(1, ADA)
        world.now = now
        assert world.fails(len(expected), ADA) == expected


def test_an_attempt_that_succeeds_is_refunded() -> None:
    world = Guesses()
    world.fails(4, ADA)
    for _ in range(3):
        world.budgets.refund(world.charged(ADA))
    assert world.fails(2, ADA) == [0, 1000]


def test_an_attempt_that_succeeds_above_the_limit_makes_nobody_wait_longer() -> None:
    world = Guesses()
    world.fails(5, ADA)
    world.now = 1.0
    world.budgets.refund(world.charged(ADA))
    assert world.fails(2, ADA) == [0, 2000]


def test_a_refund_after_another_failure_keeps_the_time_of_that() -> None:
    world = Guesses()
    world.fails(4, ADA)
    first = world.charged(ADA)
    world.now = 1.0
    world.fails(1, ADA)
    world.budgets.refund(first)
    assert world.fails(1, ADA) == [1000]


def test_a_refund_of_the_only_attempt_leaves_nothing() -> None:
    world = Guesses()
    world.budgets.refund(world.charged(ADA))
    budgets = world.budgets
    assert (budgets.pairs.records, budgets.addresses.records, budgets.users.records) == ({}, {}, {})


def test_a_refund_in_a_later_minute_takes_nothing_from_it() -> None:
    world = Guesses()
    late = world.charged(ADA)
    world.now = 61.0
    assert world.fails(1, ADA) == [0]
    world.budgets.refund(late)
    world.budgets.refund(late)
    assert world.fails(6, ADA)[-1] == 1000


def test_a_refund_of_what_is_forgotten_changes_nothing() -> None:
    world = Guesses(max_remembered_callers=1)
    first = world.charged(ADA)
    world.fails(1, BOB, host="192.0.2.2")
    world.fails(1, ADA)
    world.budgets.refund(first)
    assert list(world.budgets.pairs.records) == [(ADA, HERE)]


def test_no_more_users_and_addresses_are_remembered_than_the_limit() -> None:
    world = Guesses(max_remembered_callers=2, max_auth_failures=1)
    for last, users in enumerate((ADA, BOB, b"eve")):
        world.fails(1, users, host=f"192.0.2.{last}")
    budgets = world.budgets
    assert list(budgets.pairs.records) == [(BOB, "192.0.2.1"), (b"eve", "192.0.2.2")]
    assert (list(budgets.addresses.records), list(budgets.users.records)) == (
        ["192.0.2.1", "192.0.2.2"],
        [BOB, b"eve"],
    )
    for user in (ADA, BOB, ADA, b"eve"):
        budgets.got_in(world.caller(), user)
    assert list(budgets.known) == [(ADA, HERE), (b"eve", HERE)]


def test_a_known_user_is_not_refused_for_others_at_its_address_but_for_its_own_failures() -> None:
    world = Guesses(max_auth_failures=2, max_auth_failures_per_address=3)
    world.budgets.got_in(world.caller(), ADA)
    for number in range(3):
        world.fails(1, b"%d" % number)
    assert world.fails(1, BOB) == [1000]
    assert world.fails(3, ADA) == [0, 0, 1000]
    assert world.fails(1, ADA, host="192.0.2.2") == [0]


def test_a_token_that_was_accepted_at_this_address_is_not_refused_for_others() -> None:
    world = Guesses(max_auth_failures_per_address=1)
    world.budgets.got_in(world.caller(), TOKEN)
    world.fails(1)
    assert world.attempt(credential=b"other") == 1000
    assert world.charged(credential=TOKEN).known


def test_callers_without_an_address_are_not_remembered_and_not_refused() -> None:
    world = Guesses(max_auth_failures=1, max_auth_failures_per_address=1)
    assert world.fails(9, ADA, host="") == [0] * 9
    world.budgets.got_in(world.caller(""), ADA)
    assert (world.budgets.known, world.budgets.pairs.records) == ({}, {})


@pytest.mark.parametrize(("failures", "slow"), [(19, False), (20, False), (21, True)])
def test_a_user_for_whom_twenty_have_failed_everywhere_is_slowed_down_and_not_locked(failures: int, slow: bool) -> None:
    world = Guesses()
    charges = [world.charged(ADA, host=f"192.0.2.{number}") for number in range(failures)]
    assert charges[-1].slow is slow
    assert world.charged(BOB).slow is False
    assert world.breached() == [("max_auth_failures_per_user", True)] * slow


def test_a_user_is_not_slowed_down_where_it_has_got_in_before() -> None:
    world = Guesses(max_auth_failures_per_user=1)
    world.budgets.got_in(world.caller(), ADA)
    world.fails(1, ADA, host="192.0.2.2")
    assert (world.charged(ADA).slow, world.charged(ADA, host="192.0.2.3").slow) == (False, True)


def test_limits_that_are_off_refuse_nobody_and_remember_nothing() -> None:
    world = Guesses(max_auth_failures=None, max_auth_failures_per_address=None, max_auth_failures_per_user=None)
    assert world.fails(99, ADA) == [0] * 99
    assert world.charged(ADA).slow is False
    assert world.budgets.pairs.records == {}


@pytest.mark.parametrize("name", ["max_auth_failures", "max_auth_failures_per_address", "max_auth_failures_per_user"])
def test_a_limit_that_is_observed_is_counted_and_not_enforced(name: str) -> None:
    limits = dict.fromkeys(("max_auth_failures", "max_auth_failures_per_address")) | {name: 1}
    world = Guesses(**limits, observe=[name])
    assert world.fails(3, ADA) == [0, 0, 0]
    assert world.charged(ADA).slow is False
    assert world.breached() == [(name, False)] * 3
    assert world.shared.stats.counters == {f"limit.{name}.would_refuse": 3}


def test_the_longest_wait_of_all_spent_budgets_is_told() -> None:
    world = Guesses(max_auth_failures=1, max_auth_failures_per_address=2)
    world.fails(1, ADA)
    world.now = 0.5
    world.fails(1, BOB)
    assert world.fails(1, ADA) == [1000]
    assert world.breached() == [("max_auth_failures", True), ("max_auth_failures_per_address", True)]


def test_years_of_guessing_count_no_further_than_the_longest_wait() -> None:
    world = Guesses(max_auth_failures=1)
    world.fails(1, ADA)
    for _ in range(2000):
        world.now += 40.0
        world.fails(1, ADA)
    assert world.fails(1, ADA) == [60_000]


class Ticket(Struct):
    user: int


class Named(Struct):
    user: str


@pytest.mark.parametrize(
    ("credentials", "user"),
    [(Basic("ada", "x"), "ada"), (Bearer("t"), None), (Named("bob"), "bob"), (Ticket(7), None)],
)
def test_the_user_of_credentials_is_their_member_of_that_name(credentials: object, user: str | None) -> None:
    assert user_of(credentials) == user


def test_a_user_counts_with_its_namespace() -> None:
    names = [("", "ada"), ("a", "da"), ("ad", "a"), ("", "bob"), ("1:", "x"), ("1", ":x"), ("", "\ud800")]
    digests = [user_digest(*name) for name in names]
    assert len(dict.fromkeys(digests)) == len(names)
    assert all(len(digest) == 32 for digest in digests)


def test_many_successes_at_once_take_back_no_failure_of_others() -> None:
    world = Guesses(max_auth_failures=None, max_auth_failures_per_user=None, max_auth_failures_per_address=50)
    assert world.fails(51, ADA) == [0] * 50 + [1000]
    world.budgets.got_in(world.caller(), BOB)
    charges = [world.charged(BOB) for _ in range(60)]
    for charge in charges:
        world.budgets.refund(charge)
    assert world.fails(1, ADA) == [1000]


def test_registrations_are_counted_apart_and_wait_like_failures() -> None:
    world = Guesses(max_registrations_per_address=2, max_auth_failures_per_address=1)
    waits = [world.budgets.charge_registration(world.caller(), world.now) for _ in range(4)]
    assert waits == [0, 0, 1000, 1000]
    assert world.breached() == [("max_registrations_per_address", True)] * 2
    assert world.attempt(ADA) != 0
    world.now = 1.0
    assert world.budgets.charge_registration(world.caller(), world.now) == 0
    assert world.budgets.charge_registration(world.caller(), world.now) == 2000
    assert world.budgets.charge_registration(world.caller("192.0.2.9"), world.now) == 0
    assert world.budgets.charge_registration(world.caller(""), world.now) == 0


def test_a_refund_does_not_reach_into_a_minute_that_began_since() -> None:
    guesses = Guesses(max_auth_failures_per_address=None)
    late = guesses.charged(ADA)
    guesses.now = 60.0
    assert guesses.fails(5, ADA) == [0] * 5
    guesses.budgets.refund(late)
    assert guesses.fails(1, ADA) == [1_000]


def test_a_refund_of_what_was_forgotten_leaves_nothing() -> None:
    failures = Failures(began=0.0, at=5.0)
    assert failures.refund(1.0, 4.0)
    assert (failures.at, failures.count, failures.strikes) == (5.0, 0, 0)
