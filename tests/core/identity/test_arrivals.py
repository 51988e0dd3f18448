"""Arrivals: a connection with credentials gets nothing before they were verified."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.connections.state import State
from posthouse.core.operations.operations import Busy
from posthouse.core.service.authenticators import (
    Basic,
    Cookie,
    CrossSiteCredentials,
    SessionToken,
    UnreadableCredentials,
)
from posthouse.core.sessions.keys import digest_of as digest_of_secret
from posthouse.core.sessions.keys import read_key
from posthouse.core.store.outcomes import Done, MaybeApplied
from posthouse.core.store.requests import UseSession
from posthouse.core.values.close_reasons import (
    AUTHENTICATION_FAILED,
    CREDENTIALS_EXPIRED,
    CREDENTIALS_UNKNOWN,
    CROSS_SITE,
    DIFFERENT_SESSIONS,
    DIFFERENT_USERS,
    DRAIN_TIMEOUT,
    DRAINING,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_USER,
    MAX_EXTERNAL_OPERATIONS,
    MAX_HASHES_PER_USER,
    MAX_HASHING_QUEUE,
    STALE_COOKIE,
    STALE_SESSION,
    TOO_MANY_FAILED_AUTHENTICATIONS,
    CloseReason,
)
from posthouse.core.values.effects import Accept, Answer, AskStore, Disconnect, Drained, Invoke, Verify, Withdraw
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import AuthFailed, AuthSucceeded, ConnectionOpened, LimitBreached
from posthouse.core.values.peers import Identity, Kind, OperationId, Peer

from tests.core.sessions.sessioned import SessionWorld
from tests.core.world import WALL, World, request, service

from .credentials import ADA, BOB, FAILED, HERE, LOGIN, OTHER, REFUSED, TOKEN, AuthWorld

CALL = request("private", (), 1)
ONE = OperationId(1)


def test_a_websocket_is_accepted_when_its_credentials_were_verified() -> None:
    world = AuthWorld()
    one = world.arrive()
    operation = world.asked().operation
    assert world.gateway.health(0.0).connections == 0
    world.now = 4.0
    assert world.conclude(operation, ADA) is True
    assert [type(event) for event in world.take_events()] == [AuthSucceeded, ConnectionOpened]
    record = world.gateway._connections.records[one]
    assert (record.identity, record.caller.identity, record.peer.identity) == (ADA, ADA, Identity())
    assert (record.opened_at, record.heard_at, record.active_at) == (0.0, 4.0, 4.0)
    assert world.gateway._connections.by_user == {("", "ada"): {one: record}}
    world.call(one, "private")
    assert [invoke.caller.identity for invoke in world.invoked()] == [ADA]


def test_a_websocket_with_known_credentials_is_accepted_at_once() -> None:
    world = AuthWorld()
    world.arrive()
    world.conclude(world.asked().operation, ADA)
    world.take()
    two = world.arrive()
    assert world.take() == [Accept(two)]


@pytest.mark.parametrize("outcome", [REFUSED, FAILED])
def test_every_failure_refuses_alike(outcome: object) -> None:
    world = AuthWorld()
    one = world.arrive()
    world.conclude(world.asked().operation, outcome)
    assert world.take() == [Disconnect(one, AUTHENTICATION_FAILED)]
    world.gateway.disconnected(one, None, 0.0)
    assert world.take_events() == []
    assert not world.gateway._connections.records


def test_the_text_of_an_exchange_waits_and_is_counted() -> None:
    world = AuthWorld()
    one = world.arrive(kind="http")
    operation = world.asked().operation
    world.receive(one, CALL)
    size = world.gateway.memory
    assert (size, world.take()) == (len(world_text(world)), [])
    world.now = 2.0
    world.conclude(operation, ADA)
    assert world.gateway.memory == 0
    (invoke,) = world.invoked()
    world.complete(invoke.call, None)
    assert [type(effect) for effect in world.take()] == [Answer]


def world_text(world: AuthWorld) -> bytes:
    (arrival,) = world.gateway._arrivals.records.values()
    assert arrival.text is not None
    return arrival.text


def test_an_exchange_may_be_verified_before_its_text_comes() -> None:
    world = AuthWorld()
    one = world.arrive(kind="http")
    world.conclude(world.asked().operation, BOB)
    assert world.take() == []
    world.receive(one, CALL)
    assert [invoke.caller.identity for invoke in world.invoked()] == [BOB]


def test_an_exchange_whose_credentials_are_refused_runs_nothing() -> None:
    world = AuthWorld()
    one = world.arrive(kind="http")
    operation = world.asked().operation
    world.receive(one, CALL)
    world.conclude(operation, REFUSED)
    assert world.take() == [Disconnect(one, AUTHENTICATION_FAILED)]
    assert world.gateway.memory == 0


def test_only_the_one_text_of_an_exchange_may_come_before() -> None:
    world = AuthWorld()
    websocket, http = world.arrive(), world.arrive(kind="http")
    with pytest.raises(UsageError, match=r"^connection 1 is not admitted yet: it has no text, or its one text was"):
        world.receive(websocket, CALL)
    world.receive(http, CALL)
    with pytest.raises(UsageError, match=r"^connection 2 is not admitted yet"):
        world.receive(http, CALL)


def test_credentials_are_ignored_by_a_service_without_authenticators() -> None:
    world = AuthWorld()
    world.gateway.authenticates = False
    one = world.arrive()
    assert world.take() == [Accept(one)]


def test_no_answer_in_time_is_a_refusal() -> None:
    world = AuthWorld(authentication_timeout=10.0)
    one = world.arrive()
    operation = world.asked().operation
    world.at(9.999)
    assert world.take() == []
    world.at(10.0)
    assert world.take() == [Withdraw(operation), Disconnect(one, AUTHENTICATION_FAILED)]
    assert world.conclude(operation, ADA) is False
    assert world.take() == []


@pytest.mark.parametrize("kind", ["websocket", "http"])
def test_a_peer_that_leaves_meanwhile_is_forgotten(kind: Kind) -> None:
    world = AuthWorld()
    one = world.arrive(kind=kind)
    operation = world.asked().operation
    if kind == "http":
        world.receive(one, CALL)
    world.gateway.disconnected(one, None, 1.0)
    assert world.take() == [Withdraw(operation)]
    assert (world.gateway.memory, world.gateway._arrivals.records) == (0, {})
    assert world.conclude(operation, ADA) is False
    assert world.take() == []


def test_limits_refuse_before_credentials_are_looked_at() -> None:
    world = AuthWorld(max_connections=1)
    world.arrive()
    world.take()
    two = world.arrive(OTHER)
    assert world.take() == [Disconnect(two, MAX_CONNECTIONS)]


@pytest.mark.parametrize(("allowed", "refused"), [(1, True), (2, False)])
def test_the_limit_per_user_is_checked_when_the_user_is_known(allowed: int, refused: bool) -> None:
    world = AuthWorld(max_connections_per_user=allowed)
    world.arrive()
    world.conclude(world.asked().operation, ADA)
    world.take()
    two = world.arrive(OTHER)
    world.conclude(world.asked().operation, ADA)
    assert world.take() == [Disconnect(two, MAX_CONNECTIONS_PER_USER) if refused else Accept(two)]


def test_an_observed_limit_per_user_admits() -> None:
    world = AuthWorld(max_connections_per_user=1, observe=["max_connections_per_user"])
    world.arrive()
    world.conclude(world.asked().operation, ADA)
    world.take()
    two = world.arrive(OTHER)
    world.conclude(world.asked().operation, ADA)
    assert world.take() == [Accept(two)]


def test_expired_credentials_and_a_server_that_is_busy_have_their_own_reasons() -> None:
    world = AuthWorld(max_external_operations=1)
    one = world.arrive()
    two = world.arrive(OTHER)
    events = [effect for effect in world.gateway.outbox if not isinstance(effect, Disconnect)]
    told = [effect.event for effect in events if hasattr(effect, "event")]
    assert told[-1] == LimitBreached("max_external_operations", None, HERE, True, 0.0)
    assert isinstance(told[0], AuthFailed)
    assert world.take()[-1] == Disconnect(two, MAX_EXTERNAL_OPERATIONS)
    world.conclude(OperationId(1), Identity("ada", expires_at=WALL))
    assert world.take() == [Disconnect(one, CREDENTIALS_EXPIRED)]


def test_a_full_queue_of_hashes_has_a_reason_of_its_own() -> None:
    world = AuthWorld(("basic", "basic", ""))
    one = world.arrive(LOGIN)
    world.conclude(world.asked().operation, Busy())
    assert world.take()[-1] == Disconnect(one, MAX_HASHING_QUEUE)


def test_a_websocket_that_is_verified_during_a_shut_down_is_refused_and_an_exchange_is_answered() -> None:
    world = AuthWorld()
    one, two = world.arrive(), world.arrive(OTHER, kind="http")
    world.receive(two, CALL)
    world.gateway.shut_down(0.0)
    world.take()
    world.conclude(OperationId(1), ADA)
    assert world.take() == [Disconnect(one, DRAINING)]
    world.conclude(OperationId(2), ADA)
    (answer,) = world.take()
    assert isinstance(answer, Answer)
    assert answer.code == -32050


def test_a_shut_down_waits_for_operations_but_not_longer_than_its_time() -> None:
    world = AuthWorld(drain_timeout=30.0)
    one = world.arrive()
    world.gateway.disconnected(one, None, 0.0)
    world.gateway.shut_down(0.0)
    world.at(29.0)
    assert Drained() not in world.take()
    world.conclude(OperationId(1), REFUSED)
    assert world.take() == [Drained()]


def test_the_end_of_a_shut_down_closes_what_is_not_admitted() -> None:
    world = AuthWorld(drain_timeout=5.0, authentication_timeout=10.0)
    one = world.arrive()
    world.gateway.shut_down(0.0)
    world.take()
    world.at(5.0)
    effects = world.take()
    assert Disconnect(one, DRAIN_TIMEOUT, False) in effects
    assert Withdraw(OperationId(1)) in effects


def test_invoke_is_told_the_identity_of_the_namespace() -> None:
    world = AuthWorld(("bearer", "tokens", "idp"))
    one = world.arrive()
    world.conclude(world.asked().operation, ADA)
    world.take()
    world.call(one, "private")
    (invoke,) = world.invoked()
    assert isinstance(invoke, Invoke)
    assert invoke.caller.identity == Identity("ada", ("read",), None, "idp")


def test_an_invalid_peer_is_misuse_whatever_its_credentials() -> None:
    world = AuthWorld()
    pigeon: Any = "carrier pigeon"
    with pytest.raises(UsageError, match=r"unknown kind"):
        world.gateway.connect(Peer(pigeon), 0.0, credentials=TOKEN)


def test_an_admitted_connection_leaves_as_every_other() -> None:
    world = AuthWorld()
    one = world.arrive()
    world.conclude(world.asked().operation, ADA)
    world.take()
    world.gateway.disconnected(one, None, 1.0)
    assert world.take() == []
    assert not world.gateway._connections.by_user


def test_a_user_who_is_known_is_refused_above_the_limit_of_connections() -> None:
    world = AuthWorld(max_connections_per_user=1)
    world.arrive()
    world.conclude(world.asked().operation, ADA)
    world.take()
    two = world.arrive()
    assert world.take() == [Disconnect(two, MAX_CONNECTIONS_PER_USER)]


@pytest.mark.parametrize("kind", ["websocket", "http"])
def test_row_38_a_caller_whose_budget_is_spent_is_refused_with_the_time_to_wait(kind: Kind) -> None:
    world = AuthWorld(("basic", "passwords", "local"), max_auth_failures=1)
    one = world.arrive(LOGIN)
    world.conclude(world.asked().operation, REFUSED)
    world.now = 0.25
    two = world.arrive(Basic("ada", "another"), kind)
    assert world.take()[1:] == [Disconnect(two, TOO_MANY_FAILED_AUTHENTICATIONS, retry_after_ms=750)]
    assert one != two


def test_a_caller_whose_turn_does_not_come_is_refused_for_the_limit() -> None:
    world = AuthWorld(("basic", "passwords", "local"))
    world.arrive(LOGIN)
    world.now = 1.0
    two = world.arrive(Basic("ada", "another"), "http")
    world.take()
    world.at(11.0)
    assert world.take()[-1:] == [Disconnect(two, MAX_HASHES_PER_USER)]
    assert world.gateway.stats()["limit.max_hashes_per_user"] == 1


def test_a_caller_that_leaves_the_line_is_forgotten() -> None:
    world = AuthWorld(("basic", "passwords", "local"))
    world.arrive(LOGIN)
    two = world.arrive(Basic("ada", "another"))
    world.gateway.disconnected(two, None, 0.0)
    assert not world.gateway._verifications.waiting


# Several credentials


def several() -> AuthWorld:
    return AuthWorld(("bearer", "tokens", "home"), ("basic", "passwords", "home"), authentication_timeout=10.0)


def test_several_credentials_of_one_user_are_verified_in_order_and_the_first_ones_count() -> None:
    world = several()
    one = world.arrive((TOKEN, LOGIN), kind="http")
    world.receive(one, CALL)
    first = world.asked()
    assert first.credentials == TOKEN
    world.conclude(first.operation, ADA)
    second = world.asked()
    assert second.credentials == LOGIN
    world.conclude(second.operation, Identity("ada", ("write",)))
    (invoke,) = world.invoked()
    assert invoke.caller.identity == Identity("ada", ("read",), None, "home")


def test_credentials_that_name_different_users_are_refused() -> None:
    world = several()
    one = world.arrive((TOKEN, LOGIN))
    world.conclude(world.asked().operation, ADA)
    world.conclude(world.asked().operation, BOB)
    (event,) = (event for event in world.take_events() if isinstance(event, AuthFailed))
    assert (event.reason, event.authenticator) == ("different_users", None)
    assert world.gateway._connections.records[one].state == "closing"


def test_credentials_of_different_users_that_are_known_are_refused_at_once() -> None:
    world = several()
    for credentials, user in ((TOKEN, ADA), (LOGIN, BOB)):
        world.arrive(credentials)
        world.conclude(world.asked().operation, user)
    world.take()
    two = world.arrive((TOKEN, LOGIN))
    assert world.take() == [Disconnect(two, DIFFERENT_USERS)]
    three = world.arrive((TOKEN, TOKEN))
    assert world.take() == [Accept(three)]


def test_the_same_name_in_another_namespace_is_another_user() -> None:
    world = AuthWorld(("bearer", "tokens", "one"), ("basic", "passwords", "two"))
    one = world.arrive((TOKEN, LOGIN))
    world.conclude(world.asked().operation, ADA)
    world.conclude(world.asked().operation, ADA)
    assert world.take() == [Disconnect(one, DIFFERENT_USERS)]


@pytest.mark.parametrize("place", [0, 1])
def test_credentials_that_are_refused_beside_accepted_ones_are_refused(place: int) -> None:
    world = several()
    one = world.arrive((TOKEN, LOGIN))
    for credentials in (TOKEN, LOGIN)[: place + 1]:
        verify = world.asked()
        assert verify.credentials == credentials
        world.conclude(verify.operation, REFUSED if credentials == (TOKEN, LOGIN)[place] else ADA)
    assert world.take() == [Disconnect(one, AUTHENTICATION_FAILED)]
    two = world.arrive((UnreadableCredentials(), TOKEN))
    assert world.take() == [Disconnect(two, AUTHENTICATION_FAILED)]


def test_all_credentials_of_a_request_have_one_deadline() -> None:
    world = several()
    one = world.arrive((TOKEN, LOGIN))
    world.now = 9.0
    world.conclude(world.asked().operation, ADA)
    operation = world.asked().operation
    world.at(9.999)
    assert world.take() == []
    world.at(10.0)
    assert world.take() == [Withdraw(operation), Disconnect(one, AUTHENTICATION_FAILED)]


def test_credentials_that_a_page_of_another_site_sends_are_forbidden() -> None:
    world = AuthWorld()
    one = world.arrive(CrossSiteCredentials())
    (event,) = (event for event in world.take_events() if isinstance(event, AuthFailed))
    assert event.reason == "cross_site"
    two = world.arrive(CrossSiteCredentials())
    assert world.take() == [Disconnect(two, CROSS_SITE)]
    assert one != two


def test_a_user_that_is_revoked_between_two_credentials_of_one_request_is_refused() -> None:
    world = AuthWorld(("bearer", "bearer", "a"), ("basic", "basic", "a"))
    one = world.arrive((TOKEN, LOGIN))
    world.conclude(world.asked().operation, Identity("ada", issued_at=5.0))
    operation = world.asked().operation
    world.gateway.revoke("ada", 1.0, namespace="a", not_before=10.0)
    world.conclude(operation, Identity("ada", issued_at=10.0))
    failed = [event for event in world.take_events() if isinstance(event, AuthFailed)]
    assert [event.reason for event in failed] == ["revoked"]
    assert world.gateway._connections.records[one].state is State.CLOSING
    assert not world.gateway._arrivals.records


# A cookie that does not count (any more)

STALE = Cookie("never minted")
LOG_IN = request("auth.login", {"method": "bearer", "token": "canary-token"}, 1)


def test_a_stale_cookie_refuses_a_websocket_at_once() -> None:
    world = AuthWorld()
    one = world.arrive(STALE)
    (event,) = (event for event in world.take_events() if isinstance(event, AuthFailed))
    assert event.reason == "stale_cookie"
    two = world.arrive(STALE)
    assert world.take() == [Disconnect(two, STALE_COOKIE)]
    assert STALE_COOKIE.clears_cookie
    assert one != two


@pytest.mark.parametrize(
    "text", [CALL, [LOG_IN], request("auth.refresh", {"method": "bearer", "token": "x"}, 1), {"jsonrpc": "2.0"}]
)
def test_a_stale_cookie_refuses_every_request_but_a_log_in(text: Any) -> None:
    world = AuthWorld()
    one = world.arrive(STALE, "http")
    assert world.take() == []
    world.receive(one, text)
    assert world.take() == [Disconnect(one, STALE_COOKIE)]
    assert world.gateway.memory == 0


def test_a_log_in_with_a_stale_cookie_goes_on_as_an_anonymous_one() -> None:
    world = AuthWorld()
    one = world.arrive(STALE, "http")
    world.receive(one, LOG_IN)
    assert world.gateway._connections.records[one].identity == Identity()
    world.conclude(world.asked().operation, ADA)
    (answer,) = world.take()
    assert isinstance(answer, Answer)
    assert answer.code is None
    assert world.gateway.stats()["auth.succeeded"] == 1
    assert "auth.failed" not in world.gateway.stats()


def test_a_stale_cookie_refuses_a_request_whose_other_credentials_are_right_unless_it_logs_in() -> None:
    world = AuthWorld()
    for text, refused in ((CALL, True), (LOG_IN, False)):
        one = world.arrive((STALE, TOKEN), "http")
        world.receive(one, text)
        asked = [effect for effect in world.gateway.outbox if isinstance(effect, Verify)]
        for verify in asked:
            world.conclude(verify.operation, ADA)
        assert (Disconnect(one, STALE_COOKIE) in world.take()) is refused


def test_a_peer_that_leaves_before_its_text_is_forgotten() -> None:
    world = AuthWorld()
    one = world.arrive(STALE, "http")
    world.gateway.disconnected(one, None, 1.0)
    assert world.take() == []
    assert not world.gateway._arrivals.records


def test_a_cookie_of_another_user_than_the_token_is_refused() -> None:
    world = AuthWorld()
    minted = world.gateway._cookies.mint(BOB, 0.0)
    assert minted is not None
    one = world.arrive((TOKEN, Cookie(minted[1].secret)))
    world.conclude(world.asked().operation, ADA)
    assert world.take() == [Disconnect(one, DIFFERENT_USERS)]


def test_an_exchange_ahead_of_its_text_is_accepted_when_its_credentials_were_verified() -> None:
    world = AuthWorld()
    one = world.gateway.connect(Peer("http", HERE), 0.0, credentials=TOKEN, ahead=True)
    operation = world.asked().operation
    world.conclude(operation, ADA)
    assert world.take() == [Accept(one)]
    assert world.gateway.identity(one) == ADA
    world.call(one, "private")
    assert [invoke.caller.identity for invoke in world.invoked()] == [ADA]


def test_an_exchange_ahead_of_its_text_is_accepted_at_once_if_its_credentials_are_known() -> None:
    world = AuthWorld()
    world.arrive()
    world.conclude(world.asked().operation, ADA)
    world.take()
    two = world.gateway.connect(Peer("http", HERE), 0.0, credentials=TOKEN, ahead=True)
    assert world.take() == [Accept(two)]


def test_an_exchange_ahead_of_its_text_is_refused_if_its_credentials_are() -> None:
    world = AuthWorld()
    one = world.gateway.connect(Peer("http", HERE), 0.0, credentials=TOKEN, ahead=True)
    world.conclude(world.asked().operation, REFUSED)
    assert world.take() == [Disconnect(one, AUTHENTICATION_FAILED)]


def test_an_exchange_with_an_old_cookie_that_comes_ahead_of_its_text_cannot_be_a_log_in() -> None:
    world = AuthWorld()
    one = world.gateway.connect(Peer("http", HERE), 0.0, credentials=Cookie("old"), ahead=True)
    assert world.take() == [Disconnect(one, STALE_COOKIE)]


def test_a_text_that_overtakes_the_admission_waits_for_it() -> None:
    world = AuthWorld()
    one = world.gateway.connect(Peer("http", HERE), 0.0, credentials=TOKEN, ahead=True)
    operation = world.asked().operation
    world.call(one, "private")
    world.conclude(operation, ADA)
    kinds = [type(effect) for effect in world.gateway.outbox]
    assert kinds.index(Accept) < kinds.index(Invoke)


def test_a_client_that_leaves_between_its_admission_and_its_text_is_forgotten() -> None:
    world = AuthWorld()
    one = world.gateway.connect(Peer("http", HERE), 0.0, credentials=TOKEN, ahead=True)
    world.conclude(world.asked().operation, ADA)
    world.gateway.disconnected(one, None, 1.0)
    assert world.gateway._connections.records == {}
    assert world.gateway._connections.by_user == {}


# Sessions


def with_session(identity: Identity = ADA, **options: Any) -> tuple[SessionWorld, SessionToken]:
    """A gateway that has a session of this user, and the header of a client that knows its secret."""
    world = SessionWorld(**options)
    minted = world.gateway._session_requests.mint(identity, b"{}", 0.0)
    world.store.perform(world.gateway._session_requests.add(minted, 0.0))
    return world, SessionToken(minted.key.text)


@pytest.mark.parametrize("kind", ["websocket", "http"])
def test_a_header_attaches_without_another_secret(kind: Kind) -> None:
    world, header = with_session()
    (row,) = world.store.sessions.values()
    for _ in range(3):  # requests may be parallel
        one = world.arrive(header, kind)
        record = world.gateway._connections.records[one]
        if kind == "http":
            world.receive(one, CALL)
        assert (record.identity, record.session) == (ADA, row.id)
    assert list(world.store.sessions.values()) == [row]
    for one in list(world.gateway._connections.records):
        world.gateway.disconnected(one, None, 0.0)
    assert world.gateway._sessions.records == {}


def test_an_exchange_leaves_its_session_with_its_answer() -> None:
    world, header = with_session()
    one = world.arrive(header, "http")
    world.receive(one, request("connection.ping", {}))
    world.gateway.disconnected(one, None, 0.0)
    assert world.gateway._sessions.records == {}


@pytest.mark.parametrize("header", ["", "x.y", f"{'A' * 22}.{'A' * 43}"])
@pytest.mark.parametrize("kind", ["websocket", "http"])
def test_a_header_of_an_unknown_session_is_refused(header: str, kind: Kind) -> None:
    world = SessionWorld()
    one = world.arrive(SessionToken(header), kind)
    assert world.take() == [Disconnect(one, STALE_SESSION)]


def test_a_header_beside_other_credentials_must_be_that_of_their_user() -> None:
    for given, refused in ((ADA, False), (BOB, True)):
        world, header = with_session()
        one = world.arrive((TOKEN, header))
        world.conclude(world.asked().operation, given)
        assert (Disconnect(one, DIFFERENT_USERS) in world.gateway.outbox) is refused
        assert bool(world.gateway._sessions.records) is not refused


@pytest.mark.parametrize(("user", "refused"), [(ADA, False), (BOB, True), (Identity(), True)])
def test_a_header_must_be_that_of_the_user_whom_the_host_gives(user: Identity, refused: bool) -> None:
    world, header = with_session(user)
    one = world.arrive(header, identity=ADA)
    record = world.gateway._connections.records[one]
    assert (Disconnect(one, DIFFERENT_USERS) in world.gateway.outbox) is refused
    assert (record.identity, record.session is None) == (ADA, refused)


def test_a_header_is_enough_if_the_host_gives_no_user() -> None:
    world, header = with_session()
    one = world.arrive(header, identity=Identity(None, ("read",)))
    assert world.gateway._connections.records[one].identity == ADA


@pytest.mark.parametrize(("known", "refused"), [(ADA, False), (BOB, True)])
def test_a_token_must_be_that_of_the_user_whom_the_host_gives(known: Identity, refused: bool) -> None:
    world = AuthWorld()
    one = world.arrive(identity=ADA)
    world.conclude(world.asked().operation, known)
    assert (Disconnect(one, DIFFERENT_USERS) in world.take()) is refused
    two = world.arrive(identity=ADA)  # the token is in the cache now
    assert (Disconnect(two, DIFFERENT_USERS) in world.take()) is refused


def test_a_store_outside_is_waited_for() -> None:
    world, header = with_session(external=True)
    one = world.arrive(header, "http")
    world.receive(one, CALL)
    assert world.take()[0] == AskStore(ONE, UseSession(*askings(world, header)))
    world.hear()
    (row,) = world.store.sessions.values()
    world.conclude(ONE, Done(row))
    (invoke,) = world.invoked()
    assert (invoke.caller.identity, world.gateway._connections.records[one].session) == (ADA, row.id)


def askings(world: SessionWorld, header: SessionToken) -> tuple[Any, ...]:
    key = read_key(header.key)
    assert key is not None
    drawn = world.drawn.to_bytes(16, "big").hex()
    return drawn, key.session, digest_of_secret(key.secret), WALL, world.config.session_idle


@pytest.mark.parametrize(
    ("outcome", "reason", "retry"),
    [
        (REFUSED, STALE_SESSION, None),
        (FAILED, CREDENTIALS_UNKNOWN, 1000),
        (MaybeApplied(), CREDENTIALS_UNKNOWN, 1000),
    ],
)
def test_a_store_outside_refuses_or_does_not_answer(outcome: object, reason: CloseReason, retry: int | None) -> None:
    world, header = with_session(external=True)
    one = world.arrive(header)
    world.hear()
    world.conclude(ONE, outcome)
    assert world.take() == [Disconnect(one, reason, retry_after_ms=retry)]
    assert world.gateway._session_keys.asked == {}


def test_a_store_outside_that_has_no_place_is_not_asked() -> None:
    world, header = with_session(external=True, max_external_operations=1)
    world.arrive(header)
    world.hear()
    two = world.arrive(header)
    assert Disconnect(two, MAX_EXTERNAL_OPERATIONS) in world.take()


@pytest.mark.parametrize("outcome", [REFUSED, FAILED, MaybeApplied(), None])
def test_a_peer_that_leaves_while_the_store_is_asked_is_forgotten(outcome: object) -> None:
    world, header = with_session(external=True)
    one = world.arrive(header)
    (asked,) = world.hear()
    world.gateway.disconnected(one, None, 0.0)
    assert world.take() == []
    assert (world.gateway._session_keys.asked, world.gateway._arrivals.records) == ({}, {})
    world.settle(ONE, world.store.perform(asked) if outcome is None else outcome)
    assert (world.gateway._session_keys.left, world.gateway._sessions.records) == ({}, {})
    assert world.take_events() == []


def test_theft_ends_a_session_also_if_the_thief_leaves_before_the_store_has_answered() -> None:
    world, header = with_session(external=True)
    (row,) = world.store.sessions.values()
    owner = world.connect()
    secret = header.key.partition(".")[2]
    for _ in range(2):
        world.call(owner, "session.resume", {"session": row.id, "secret": secret})
        world.perform()
        (reply,) = world.said(owner)
        secret = reply["result"]["secret"]
    thief = world.arrive(header)
    world.hear()
    world.gateway.disconnected(thief, None, 0.0)
    world.perform()
    assert dict(world.store.sessions) == {}
    assert world.closes() == [(owner, 4410, True)]
    assert world.gateway._sessions.records == {}


def test_a_session_that_ends_while_its_connection_is_not_admitted_refuses_it() -> None:
    world, header = with_session()
    one = world.arrive((header, TOKEN))
    world.take()
    world.gateway.revoke("ada", 0.0)
    assert world.closes() == [(one, 4403, False)]


def test_without_authenticators_only_the_header_of_a_session_counts() -> None:
    world = World(service(sessions="on"))
    one = world.gateway.connect(Peer("websocket", HERE), 0.0, credentials=TOKEN)
    two = world.gateway.connect(Peer("websocket", HERE), 0.0, credentials=(TOKEN, SessionToken("x")))
    effects = world.take()
    assert Accept(one) in effects
    assert Disconnect(two, STALE_SESSION) in effects


def test_a_peer_that_is_refused_after_its_session_was_found_leaves_it() -> None:
    world, header = with_session()
    one = world.arrive((header, TOKEN))
    world.conclude(world.asked().operation, BOB)
    assert Disconnect(one, DIFFERENT_USERS) in world.gateway.outbox
    assert (world.gateway._sessions.records, world.gateway._connections.records[one].session) == ({}, None)


def test_a_peer_whose_user_has_too_many_connections_leaves_the_session() -> None:
    world, header = with_session(max_connections_per_user=1)
    world.opened()
    one = world.arrive(header)
    assert Disconnect(one, MAX_CONNECTIONS_PER_USER) in world.gateway.outbox
    assert (world.gateway._sessions.records, world.gateway._connections.records[one].session) == ({}, None)


def cookie_of(header: SessionToken) -> Cookie:
    return Cookie(header.key)


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("kind", ["websocket", "http"])
def test_where_a_service_has_sessions_a_cookie_attaches_without_another_secret(kind: Kind, external: bool) -> None:
    world, header = with_session(external=external)
    (row,) = world.store.sessions.values()
    for _ in range(2):
        one = world.arrive(cookie_of(header), kind)
        record = world.gateway._connections.records[one]
        if kind == "http":
            world.receive(one, CALL)
        if external:
            world.perform()
        assert (record.identity, record.session, record.cookie) == (ADA, row.id, digest_of_secret(header.key))
    assert list(world.store.sessions.values()) == [row]


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("text", ["x", "A" * 21 + "Q." + "A" * 43])
def test_a_cookie_whose_session_does_not_count_is_only_good_for_a_log_in(text: str, external: bool) -> None:
    world = SessionWorld(external=external)
    for message, refused in ((CALL, True), (LOG_IN, False)):
        one = world.arrive(Cookie(text), "http")
        world.receive(one, message)
        if world.hear():
            world.perform()
        assert world.gateway._arrivals.records == {}
        assert [each for each in world.take() if isinstance(each, Disconnect)] == (
            [Disconnect(one, STALE_COOKIE)] if refused else []
        )
    two = world.arrive(Cookie(text))
    if world.hear():
        world.perform()
    assert world.take() == [Disconnect(two, STALE_COOKIE)]


def test_a_cookie_is_not_cleared_while_the_store_cannot_say_whether_it_counts() -> None:
    world, header = with_session(external=True)
    one = world.arrive(cookie_of(header), "http")
    world.hear()
    world.settle(ONE, FAILED)
    assert world.take() == [Disconnect(one, CREDENTIALS_UNKNOWN, retry_after_ms=1000)]
    assert not CREDENTIALS_UNKNOWN.clears_cookie


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("kind", ["websocket", "http"])
@pytest.mark.parametrize("cookie_first", [False, True])
def test_a_header_and_a_cookie_of_two_sessions_are_refused(cookie_first: bool, kind: Kind, external: bool) -> None:
    world, header = with_session(external=external)
    minted = world.gateway._session_requests.mint(ADA, b"{}", 0.0)
    world.store.perform(world.gateway._session_requests.add(minted, 0.0))
    cookie = Cookie(minted.key.text)
    one = world.arrive((cookie, header) if cookie_first else (header, cookie), kind)
    while world.hear():
        world.perform()
    assert [each for each in world.take() if isinstance(each, Disconnect)] == [Disconnect(one, DIFFERENT_SESSIONS)]
    assert (world.gateway._sessions.records, world.gateway._connections.records[one].session) == ({}, None)


@pytest.mark.parametrize("cookie_first", [False, True])
def test_a_header_and_a_cookie_of_one_session_attach_to_it(cookie_first: bool) -> None:
    world, header = with_session()
    cookie, session = cookie_of(header), next(iter(world.store.sessions))
    one = world.arrive((cookie, header) if cookie_first else (header, cookie))
    record = world.gateway._connections.records[one]
    assert (record.session, record.cookie) == (session, digest_of_secret(header.key) if cookie_first else None)
