"""Verifications: the cache decides at once, authenticators are asked in turn, and no failure tells why."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct
from posthouse.core.gateway import Gateway
from posthouse.core.identity.refusal import Refusal
from posthouse.core.identity.verifications import Verification
from posthouse.core.operations.operations import Busy, Refused
from posthouse.core.service.authenticators import (
    Authenticator,
    Basic,
    Bearer,
    Cookie,
    CrossSiteCredentials,
    UnreadableCredentials,
)
from posthouse.core.values.close_reasons import (
    MAX_EXTERNAL_OPERATIONS,
    MAX_HASHES_PER_ADDRESS,
    MAX_HASHES_PER_USER,
    MAX_HASHING_QUEUE,
)
from posthouse.core.values.effects import Emit, Verify, Withdraw
from posthouse.core.values.lifecycle import AuthFailed, AuthSucceeded
from posthouse.core.values.peers import Caller, ConnectionId, Identity, OperationId, Peer

from tests.core.world import WALL

from .credentials import ADA, BOB, FAILED, HERE, LOGIN, OTHER, REFUSED, TOKEN, AuthWorld, authenticated

WHO = Caller(ConnectionId(7), "c7", Peer("http", HERE), Identity())
ONE, TWO = OperationId(1), OperationId(2)
CHAIN = (("bearer", "first", "a"), ("bearer", "second", "b"))
Results = list[tuple[int, Identity | Refusal, float]]


class Verifying(AuthWorld):
    """The table alone, with a purpose whose results are kept."""

    def __init__(self, *schemes: tuple[str, str, str], **limits: Any) -> None:
        super().__init__(*schemes, **limits)
        self.table = self.gateway._verifications
        self.results = Results()
        self.table.on("test", lambda subject, result, now: self.results.append((subject, result, now)))

    def verify(self, credentials: object = TOKEN) -> Identity | Refusal | Verification:
        return self.table.begin("test", 5, WHO, credentials, self.now)

    def begun(self, credentials: object = TOKEN) -> Verification:
        begun = self.verify(credentials)
        assert isinstance(begun, Verification)
        return begun

    def failed(self, name: str | None, reason: Any) -> list[Any]:
        return [AuthFailed(ConnectionId(7), "c7", "http", HERE, name, reason, self.now)]


def test_an_authenticator_is_asked_and_its_identity_is_the_result() -> None:
    world = Verifying(("bearer", "tokens", "idp"))
    world.begun()
    (authenticator,) = world.table._chains["bearer"]
    assert world.gateway.outbox == [Verify(ONE, authenticator, TOKEN, WHO)]
    world.gateway.outbox.clear()
    world.now = 3.0
    assert world.conclude(ONE, ADA) is True
    known = Identity("ada", ("read",), None, "idp")
    assert world.results == [(5, known, 3.0)]
    told = AuthSucceeded(ConnectionId(7), "c7", "http", HERE, "tokens", "ada", "idp", 3.0)
    assert world.gateway.outbox == [Emit(told)]
    assert not world.table.records


def test_known_credentials_are_not_verified_again() -> None:
    world = Verifying()
    world.begun()
    world.conclude(ONE, ADA)
    world.gateway.outbox.clear()
    assert world.verify() == ADA
    assert world.gateway.outbox == []
    assert world.gateway.stats()["auth.cached"] == 1
    assert isinstance(world.verify(OTHER), Verification)
    world.now = 60.0
    assert isinstance(world.verify(), Verification)


def test_authenticators_of_one_scheme_are_asked_in_turn_until_one_accepts() -> None:
    world = Verifying(*CHAIN)
    world.begun()
    assert world.asked().authenticator.name == "first"
    world.conclude(ONE, REFUSED)
    assert world.results == []
    assert world.asked().authenticator.name == "second"
    world.conclude(TWO, BOB)
    assert world.results == [(5, Identity("bob", namespace="b"), 0.0)]
    assert world.verify() == Identity("bob", namespace="b")


def test_a_failure_asks_the_next_one_too_and_the_last_one_decides() -> None:
    world = Verifying(*CHAIN)
    world.begun()
    world.conclude(ONE, FAILED)
    world.conclude(TWO, FAILED)
    assert world.results == [(5, Refusal("failed"), 0.0)]
    assert world.take_events() == world.failed("second", "failed")
    assert world.gateway.stats()["auth.failed"] == 1


def test_the_deadline_is_that_of_all_authenticators_together() -> None:
    world = Verifying(*CHAIN, authentication_timeout=10.0)
    world.begun()
    world.now = 6.0
    world.conclude(ONE, REFUSED)
    world.gateway.outbox.clear()
    world.at(9.999)
    assert world.results == []
    world.at(10.0)
    assert world.results == [(5, Refusal("timed_out"), 10.0)]
    assert Withdraw(TWO) in world.gateway.outbox
    assert world.take_events() == world.failed("second", "timed_out")
    assert world.conclude(TWO, ADA) is False
    assert not world.table.cache.records


def test_a_deadline_that_was_set_before_counts() -> None:
    world = Verifying(authentication_timeout=10.0)
    begun = world.table.begin("test", 5, WHO, TOKEN, 8.0, deadline=10.0)
    assert isinstance(begun, Verification)
    assert begun.deadline == 10.0
    world.at(10.0)
    assert world.results == [(5, Refusal("timed_out"), 10.0)]


def test_an_authenticator_that_times_out_is_the_last_one() -> None:
    world = Verifying(*CHAIN)
    world.begun()
    world.at(10.0)
    assert world.results == [(5, Refusal("timed_out"), 10.0)]
    assert [effect for effect in world.gateway.outbox if isinstance(effect, Verify)][1:] == []


@pytest.mark.parametrize(
    "identity", [Identity(scopes=("*",)), Identity("ada", namespace="other"), Identity("ada", namespace="idp2")]
)
def test_an_identity_without_a_user_or_of_another_namespace_is_a_failure(identity: Identity) -> None:
    world = Verifying(("bearer", "tokens", "idp"))
    world.begun()
    world.conclude(ONE, identity)
    assert world.results == [(5, Refusal("failed"), 0.0)]


def test_an_identity_may_name_the_namespace_of_its_authenticator() -> None:
    world = Verifying(("bearer", "tokens", "idp"))
    world.begun()
    world.conclude(ONE, Identity("ada", namespace="idp"))
    assert world.results == [(5, Identity("ada", namespace="idp"), 0.0)]


@pytest.mark.parametrize(("expires_at", "accepted"), [(WALL + 2.0, False), (WALL + 2.001, True)])
def test_an_identity_that_has_expired_is_not_accepted(expires_at: float, accepted: bool) -> None:
    world = Verifying()
    world.begun()
    world.now = 2.0
    world.conclude(ONE, Identity("ada", expires_at=expires_at))
    ((_, result, _),) = world.results
    assert (result != Refusal("expired")) is accepted
    assert bool(world.table.cache.records) is accepted


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        (UnreadableCredentials(), "unreadable"),
        (CrossSiteCredentials(), "cross_site"),
        (LOGIN, "unreadable"),
        ("a string", "unreadable"),
        (Bearer("x" * 11), "too_long"),
        (Bearer("é" * 6), "too_long"),
    ],
)
def test_credentials_that_nothing_reads_or_that_are_too_long_are_refused_at_once(
    credentials: object, reason: Any
) -> None:
    world = Verifying(max_token_bytes=10)
    assert world.verify(credentials) == Refusal(reason)
    assert world.take_events() == world.failed(None, reason)
    assert isinstance(world.verify(Bearer("x" * 10)), Verification)


@pytest.mark.parametrize(("size", "asked"), [(9, True), (10, True), (11, False)])
def test_a_password_is_not_hashed_above_its_limit(size: int, asked: bool) -> None:
    world = Verifying(("basic", "basic", ""), max_password_bytes=10)
    assert isinstance(world.verify(Basic("ada" * 9, "x" * size)), Verification) is asked


@pytest.mark.parametrize(("begun", "refused"), [(1, False), (2, False), (3, True)])
def test_no_more_operations_are_in_flight_than_the_limit(begun: int, refused: bool) -> None:
    world = Verifying(max_external_operations=2)
    results = [world.verify(Bearer(f"t{number}")) for number in range(begun)]
    assert (results[-1] == Refusal("busy", MAX_EXTERNAL_OPERATIONS)) is refused


def test_the_next_authenticator_is_not_asked_if_too_many_operations_are_in_flight() -> None:
    world = Verifying(*CHAIN, max_external_operations=1)
    world.begun()
    world.table._operations._most = 0
    world.conclude(ONE, REFUSED)
    assert world.results == [(5, Refusal("busy", MAX_EXTERNAL_OPERATIONS), 0.0)]


@pytest.mark.parametrize(("refused", "charged"), [(False, 0), (True, 1)])
def test_a_full_queue_is_no_failed_authentication_unless_another_authenticator_has_refused(
    refused: bool, charged: int
) -> None:
    world = Verifying(*CHAIN)
    world.begun()
    if refused:
        world.conclude(ONE, REFUSED)
    world.conclude(TWO if refused else ONE, Busy())
    assert len(world.table.budgets.addresses.records) == charged


def test_an_authenticator_with_a_full_queue_is_the_last_one() -> None:
    world = Verifying(*CHAIN)
    world.begun()
    world.conclude(ONE, Busy())
    assert world.results == [(5, Refusal("queue_full", MAX_HASHING_QUEUE), 0.0)]
    assert world.take_events() == world.failed("first", "queue_full")


def test_the_log_and_hooks_are_told_why_each_authenticator_has_refused() -> None:
    world = Verifying(*CHAIN, ("bearer", "third", "c"))
    world.begun()
    world.conclude(ONE, Refused("it has expired"))
    world.conclude(TWO, REFUSED)
    world.conclude(OperationId(3), Refused("unknown"))
    assert world.results == [(5, Refusal("refused"), 0.0)]
    (told,) = world.take_events()
    assert isinstance(told, AuthFailed)
    assert told.why == "first: it has expired; third: unknown"


def test_a_verification_that_nobody_waits_for_is_withdrawn() -> None:
    world = Verifying()
    begun = world.begun()
    world.gateway.outbox.clear()
    world.table.withdraw(begun)
    assert world.gateway.outbox == [Withdraw(ONE)]
    assert world.conclude(ONE, ADA) is False
    assert (world.results, world.table.records, world.table.cache.records) == ([], {}, {})


class Ticket(Struct):
    number: int


def test_credentials_of_a_scheme_of_ones_own_are_verified_each_time() -> None:
    offered = authenticated()

    def ticket(credentials: Ticket) -> Identity | None:
        raise NotImplementedError

    ticket.__annotations__["credentials"] = Ticket
    offered.authenticator("ticket", namespace="t")(ticket)
    table = Gateway(offered, wall=WALL, entropy=bytes)._verifications
    results: list[Identity | Refusal] = []
    table.on("test", lambda subject, result, now: results.append(result))
    for operation in (1, 2):
        begun = table.begin("test", 5, WHO, Ticket(7), 0.0, scheme="ticket")
        assert isinstance(begun, Verification)
        assert table._operations.conclude(OperationId(operation), ADA, 0.0)
    assert results == [Identity("ada", ("read",), None, "t")] * 2
    assert table.known(Ticket(7), 0.0) is None
    assert not table.cache.records


# Budgets

BASIC = (("basic", "passwords", "local"),)


def password(number: int, user: str = "ada") -> Basic:
    return Basic(user, f"guess {number}")


def guess(world: Verifying, number: int, user: str = "ada") -> Identity | Refusal | Verification:
    """One wrong guess of this user's password: an authenticator refuses it, or is not asked."""
    begun = world.verify(password(number, user))
    if isinstance(begun, Verification):
        world.conclude(begun.operation, REFUSED)
    return begun


def test_row_38_a_user_whose_budget_is_spent_is_refused_before_an_authenticator_is_asked() -> None:
    world = Verifying(*BASIC)
    for number in range(5):
        assert isinstance(guess(world, number), Verification)
    world.gateway.outbox.clear()
    assert guess(world, 5) == Refusal("too_many", retry_after_ms=1000)
    assert world.take_events()[1:] == world.failed(None, "too_many")
    assert world.gateway.stats()["limit.max_auth_failures"] == 1
    world.now = 1.0
    assert isinstance(guess(world, 6), Verification)
    assert guess(world, 7) == Refusal("too_many", retry_after_ms=2000)


def test_row_38_unknown_and_known_users_have_the_same_budget() -> None:
    answers: list[list[type]] = []
    for user in ("ada", "nobody"):
        world = Verifying(*BASIC)
        answers.append([type(guess(world, number, user)) for number in range(7)])
        answers.append([type(effect) for effect in world.gateway.outbox])
    assert answers[:2] == answers[2:]


def test_row_38_known_credentials_are_never_refused() -> None:
    world = Verifying(*BASIC, max_auth_failures_per_address=6)
    begun = world.begun(LOGIN)
    world.conclude(begun.operation, ADA)
    for number in range(9):
        guess(world, number), guess(world, number, "bob")
    assert guess(world, 9) == Refusal("too_many", retry_after_ms=1000)
    assert world.verify(LOGIN) == Identity("ada", ("read",), None, "local")


def test_a_user_counts_in_each_namespace_that_is_asked() -> None:
    world = Verifying(("basic", "one", "a"), ("basic", "two", "b"), ("basic", "three", "b"))
    begun = world.begun(LOGIN)
    assert len(world.table.budgets.pairs.records) == 2
    for operation in (1, 2):
        world.conclude(OperationId(operation), REFUSED)
    world.conclude(OperationId(3), ADA)
    assert world.results == [(5, Identity("ada", ("read",), None, "b"), 0.0)]
    assert not world.table.budgets.pairs.records
    ((user, host),) = world.table.budgets.known
    assert (user, host) == (begun.users[2], "192.0.2.1")


def test_expired_credentials_are_no_failed_authentication() -> None:
    world = Verifying(*BASIC)
    for number in range(9):
        begun = world.begun(password(number))
        world.conclude(begun.operation, Identity("ada", expires_at=WALL))
    assert world.results == [(5, Refusal("expired"), 0.0)] * 9


@pytest.mark.parametrize("ends", ["refused", "failed", "timed out", "withdrawn"])
def test_every_other_end_of_an_authenticator_is_one(ends: str) -> None:
    world = Verifying(*BASIC, authentication_timeout=1.0, max_auth_failures=1)
    begun = world.begun(password(0))
    if ends == "withdrawn":
        world.table.withdraw(begun)
    elif ends == "timed out":
        world.at(1.0)
    world.conclude(begun.operation, FAILED if ends == "failed" else REFUSED)
    assert isinstance(world.verify(password(1)), Refusal) is (ends != "timed out")
    if ends == "timed out":
        assert world.table.budgets.pairs.records[begun.users[0], "192.0.2.1"].strikes == 1


@pytest.mark.parametrize("credentials", [Bearer("x" * 11), Basic("ada", "x" * 11), UnreadableCredentials()])
def test_credentials_that_no_authenticator_would_see_are_not_counted(credentials: object) -> None:
    world = Verifying(*BASIC, ("bearer", "tokens", "idp"), max_token_bytes=10, max_password_bytes=10)
    for _ in range(99):
        assert isinstance(world.verify(credentials), Refusal)
    assert not world.table.budgets.addresses.records


def test_an_authenticator_that_is_not_asked_for_another_limit_is_no_failure() -> None:
    world = Verifying(*BASIC, max_external_operations=1)
    world.begun(Basic("bob", "x"))
    for number in range(9):
        assert guess(world, number) == Refusal("busy", MAX_EXTERNAL_OPERATIONS)
    assert len(world.table.budgets.pairs.records) == 1


def test_tokens_count_by_their_address_alone() -> None:
    world = Verifying(max_auth_failures_per_address=2)
    for number in range(2):
        world.conclude(world.begun(Bearer(f"guess {number}")).operation, REFUSED)
    assert world.verify(Bearer("guess 2")) == Refusal("too_many", retry_after_ms=1000)
    assert not world.table.budgets.pairs.records


def test_a_token_that_has_left_the_cache_is_not_refused_beside_a_guesser() -> None:
    world = Verifying(max_auth_failures_per_address=2, credential_cache=0.0)
    world.conclude(world.begun().operation, ADA)
    for number in range(2):
        world.conclude(world.begun(Bearer(f"guess {number}")).operation, REFUSED)
    assert isinstance(world.verify(OTHER), Refusal)
    assert isinstance(world.verify(TOKEN), Verification)


# Turns


def test_row_38_one_hash_runs_for_a_user_and_the_next_waits_for_it() -> None:
    world = Verifying(*BASIC)
    first, second, third = (world.begun(password(number)) for number in range(3))
    assert [first.operation, second.operation, third.operation] == [1, 0, 0]
    assert len(world.table.waiting) == 2
    world.conclude(ONE, REFUSED)
    assert (second.operation, third.operation) == (2, 0)
    world.conclude(TWO, REFUSED)
    assert (third.operation, world.table.waiting) == (3, {})
    world.conclude(OperationId(3), ADA)
    assert [result for _, result, _ in world.results[:2]] == [Refusal("refused")] * 2
    assert not world.table.hashing


def test_tokens_do_not_wait_for_turns() -> None:
    world = Verifying()
    assert [world.begun(Bearer(f"t{number}")).operation for number in range(5)] == [1, 2, 3, 4, 5]


def test_a_hash_holds_its_turn_until_the_outside_has_ended_it() -> None:
    world = Verifying(*BASIC)
    first, second = world.begun(password(0)), world.begun(password(1))
    world.table.withdraw(first)
    assert second.operation == 0
    world.conclude(ONE, REFUSED)
    assert second.operation == 2
    world.at(10.0)
    assert world.results == [(5, Refusal("timed_out"), 10.0)]
    assert isinstance(world.verify(password(2)), Verification)
    assert len(world.table.waiting) == 1
    world.conclude(TWO, REFUSED)
    assert not world.table.waiting


def test_a_verification_that_waits_is_withdrawn_without_a_word_to_the_outside() -> None:
    world = Verifying(*BASIC)
    world.begun(password(0))
    second = world.begun(password(1))
    world.gateway.outbox.clear()
    world.table.withdraw(second)
    assert (world.gateway.outbox, world.table.waiting, world.table.turns.waiting) == ([], {}, {})
    assert len(world.gateway._shared.timers) == 1


def test_a_turn_that_does_not_come_in_time_is_refused_as_busy_and_costs_nothing() -> None:
    world = Verifying(*BASIC, max_auth_failures=2)
    world.begun(password(0))
    world.now = 4.0
    world.begun(password(1))
    world.at(10.0)
    assert world.results == [(5, Refusal("timed_out"), 10.0)]
    world.results.clear()
    world.at(13.999)
    assert world.results == []
    world.at(14.0)
    assert world.results == [(5, Refusal("waited", MAX_HASHES_PER_USER), 14.0)]
    assert world.take_events()[-1:] == world.failed(None, "waited")
    world.conclude(ONE, REFUSED)
    assert isinstance(guess(world, 2), Verification)
    assert isinstance(guess(world, 3), Refusal)


def test_the_limit_of_an_address_is_named_to_those_that_waited_for_it() -> None:
    world = Verifying(*BASIC, max_hashes_per_address=1)
    world.begun(password(0))
    world.now = 1.0
    world.begun(password(0, "bob"))
    world.at(11.0)
    assert world.results[1:] == [(5, Refusal("waited", MAX_HASHES_PER_ADDRESS), 11.0)]


def test_those_whose_turns_come_while_too_many_operations_run_are_refused() -> None:
    world = Verifying(*BASIC)
    world.begun(password(0))
    for number in range(1, 4):
        world.begun(password(number))
    world.table._operations._most = 0
    world.conclude(ONE, REFUSED)
    assert world.results[1:] == [(5, Refusal("busy", MAX_EXTERNAL_OPERATIONS), 0.0)] * 3
    assert (world.table.waiting, world.table.hashing, world.table.turns.by_user) == ({}, {}, {})


def test_the_second_authenticator_is_asked_in_turn() -> None:
    world = Verifying(("basic", "one", "a"), ("basic", "two", "b"), max_hashes_per_address=1)
    first, second = world.begun(password(0)), world.begun(password(0, "bob"))
    world.conclude(ONE, REFUSED)
    assert (first.operation, second.operation) == (1, 2)
    world.conclude(TWO, REFUSED)
    assert (first.operation, second.operation) == (3, 2)
    world.at(10.0)
    assert world.results == [
        (5, Refusal("waited", MAX_HASHES_PER_ADDRESS), 10.0),
        (5, Refusal("timed_out"), 10.0),
    ]
    assert world.take_events()[-2:] == [*world.failed("one", "waited"), *world.failed("two", "timed_out")]
    assert all(failures.count for failures in world.table.budgets.pairs.records.values())


def test_a_user_for_whom_too_many_have_failed_is_verified_once_a_second() -> None:
    world = Verifying(*BASIC, max_auth_failures_per_user=1)
    guess(world, 0), guess(world, 1)
    begun = world.begun(password(2))
    assert begun.operation == 0
    world.at(0.999)
    assert begun.operation == 0
    world.at(1.0)
    assert begun.operation == 3


def test_what_is_in_flight_when_its_user_is_revoked_is_refused_and_not_cached() -> None:
    world = Verifying()
    world.verify(TOKEN)
    world.verify(OTHER)
    world.table.revoke(("", "ada"), None, 1.0)
    world.take_events()
    world.conclude(ONE, ADA)
    assert [event.reason for event in world.take_events() if isinstance(event, AuthFailed)] == ["revoked"]
    assert world.table.revocations.recent
    world.conclude(TWO, BOB)
    assert world.table.revocations.recent == {}
    assert [result for _, result, _ in world.results] == [Refusal("revoked"), BOB]
    assert list(world.table.cache.by_user) == [("", "bob")]


def test_a_revocation_is_forgotten_with_the_last_verification_that_began_before() -> None:
    world = Verifying()
    verification = world.verify(TOKEN)
    assert isinstance(verification, Verification)
    world.table.revoke(("", "ada"), None, 1.0)
    assert world.table.revocations.recent
    world.table.withdraw(verification)
    assert world.table.revocations.recent == {}
    world.table.revoke(("", "ada"), None, 1.0)
    assert world.table.revocations.recent == {}


def test_revoked_credentials_are_verified_again() -> None:
    world = Verifying()
    world.verify(TOKEN)
    world.conclude(ONE, ADA)
    assert world.verify(TOKEN) == ADA
    world.table.revoke(("", "ada"), 2000.0, 1.0)
    assert isinstance(world.verify(TOKEN), Verification)
    world.conclude(TWO, Identity("ada", issued_at=1999.0))
    assert [result for _, result, _ in world.results] == [ADA, Refusal("revoked")]


class Code(Struct):
    user: str
    digits: str


def test_codes_of_a_user_for_whom_too_many_have_failed_are_verified_once_a_second_though_they_are_not_hashed() -> None:
    world = Verifying(max_auth_failures_per_user=1)
    scheme = Authenticator.of(code, name="code", scheme="code", namespace="", blocking=False, hashing=False)
    world.table._chains["code"] = (scheme,)

    def attempt(digits: str, user: str = "ada") -> Verification:
        begun = world.table.begin("test", 5, WHO, Code(user, digits), world.now, scheme="code")
        assert isinstance(begun, Verification)
        return begun

    assert [attempt(digits).operation for digits in ("1", "2", "3")] == [1, 2, 0]
    assert attempt("1", "bob").operation == 3
    world.conclude(TWO, REFUSED)
    assert len(world.table.waiting) == 1
    world.at(1.0)
    assert not world.table.waiting


def code(credentials: Code) -> Identity | None:
    raise NotImplementedError


def test_a_cookie_is_looked_up_and_no_authenticator_is_asked() -> None:
    world = Verifying()
    minted = world.table.cookies.mint(ADA, 0.0)
    assert minted is not None
    assert world.verify(Cookie(minted[1].secret)) == ADA
    assert world.verify(Cookie("unknown")) == Refusal("stale_cookie")
    assert world.gateway.outbox == []
