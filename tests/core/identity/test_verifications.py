"""Verifications: the cache decides at once, authenticators are asked in turn, and no failure tells why."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct
from posthouse.core.gateway import Gateway
from posthouse.core.identity.verifications import Refusal, Verification
from posthouse.core.operations.operations import Busy, Refused
from posthouse.core.service.authenticators import Basic, Bearer, UnreadableCredentials
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
    assert (results[-1] == Refusal("busy")) is refused


def test_the_next_authenticator_is_not_asked_if_too_many_operations_are_in_flight() -> None:
    world = Verifying(*CHAIN, max_external_operations=1)
    world.begun()
    world.table._operations._most = 0
    world.conclude(ONE, REFUSED)
    assert world.results == [(5, Refusal("busy"), 0.0)]


def test_an_authenticator_with_a_full_queue_is_the_last_one() -> None:
    world = Verifying(*CHAIN)
    world.begun()
    world.conclude(ONE, Busy())
    assert world.results == [(5, Refusal("queue_full"), 0.0)]
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
