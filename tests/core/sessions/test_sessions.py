"""Attached sessions: which connections belong to them, and what happens when one ends."""

from __future__ import annotations

import pytest
from posthouse.core.sessions.sessions import MOST_REPLACED, MOST_TOLD
from posthouse.core.store.requests import EndSession, Sweep, Touch
from posthouse.core.values.close_reasons import REVOKED, SESSION_ENDED
from posthouse.core.values.effects import Disconnect
from posthouse.core.values.lifecycle import SessionCreated, SessionDetached, SessionEnded, SessionResumed
from posthouse.core.values.peers import ConnectionId, Identity

from tests.core.world import WALL

from .sessioned import ADA, BOB, SessionWorld, told


def resume(world: SessionWorld, two: ConnectionId, made: dict[str, object], **given: object) -> object:
    resumed: object = world.ask(two, "resume", session=made["id"], secret=made["secret"], **given)
    return resumed


def test_a_session_is_found_by_its_id_its_user_and_its_connections() -> None:
    world = SessionWorld()
    one, two = world.opened(), world.opened()
    made = world.create(one, a=1)
    resume(world, two, made)
    table, records = world.gateway._sessions, world.gateway._connections.records
    id = str(made["id"])
    assert list(table.records[id].connections) == [one, two]
    assert table.by_user == {("", "ada"): {id: None}}
    assert (records[one].session, records[two].session) == (id, id)
    assert (table.number_of(id), table.number_of("x")) == (2, 0)


def test_at_rest_the_tables_are_empty() -> None:
    world = SessionWorld()
    one = world.opened()
    world.create(one, a=1)
    world.gateway.disconnected(one, None, 1.0)
    world.at(61.0)
    table = world.gateway._sessions
    assert (table.records, table.by_user, table._numbers, table.unwritten) == ({}, {}, {}, {})
    assert world.gateway.next_timeout() is None
    assert list(world.store.sessions)  # it outlives its connections


def test_the_data_of_attached_sessions_counts_as_memory() -> None:
    world = SessionWorld(external=True)
    one, before = world.opened(), world.gateway.memory
    world.call(one, "session.create", {"data": {"a": "x" * 100}})
    world.perform()
    assert world.gateway.memory == before + 108
    world.call(one, "session.update", {"unset": ["a"]})
    world.perform()
    assert world.gateway.memory == before + 2
    world.gateway.disconnected(one, None, 1.0)
    assert world.gateway.memory == 0


def test_a_connection_belongs_to_one_session_at_a_time() -> None:
    world = SessionWorld()
    one = world.opened()
    first, second = world.create(one), world.create(one)
    assert list(world.gateway._sessions.records) == [second["id"]]
    assert list(world.store.sessions) == [first["id"], second["id"]]


def test_connections_that_attach_and_leave_are_told() -> None:
    world = SessionWorld()
    one, two, http = world.opened(), world.opened(), world.opened(kind="http")
    world.call(one, "session.create", {})
    (created,) = told(world, SessionCreated)
    assert isinstance(created, SessionCreated)
    assert (created.connection, created.user, created.kind) == (one, "ada", "websocket")
    made = world.create(two)
    world.gateway.outbox.clear()
    world.call(
        one, "session.resume", {"session": made["id"], "secret": made["secret"], "replaces": world.public_id(two)}
    )
    detached, resumed, replaced = told(world, SessionDetached, SessionResumed)
    assert isinstance(detached, SessionDetached)
    assert isinstance(resumed, SessionResumed)
    assert isinstance(replaced, SessionDetached)
    assert (detached.connection, detached.session) == (one, created.session)
    assert (replaced.connection, replaced.session) == (two, made["id"])
    assert (resumed.connection, resumed.session, resumed.replaced) == (one, made["id"], world.public_id(two))
    secret = list(world.store.sessions.values())[-1]
    world.call(http, "session.resume", {"session": made["id"], "secret": made["secret"]})
    assert told(world, SessionDetached, SessionResumed) == []  # an exchange comes and goes
    assert secret.id == made["id"]
    assert world.gateway.stats()["session.created"] == 2


def test_a_session_that_ends_closes_its_other_connections() -> None:
    world = SessionWorld()
    one, two = world.opened(), world.opened()
    made = world.create(one)
    resume(world, two, made)
    world.call(two, "session.end", {})
    closed = [effect for effect in world.gateway.outbox if isinstance(effect, Disconnect)]
    (ended,) = told(world, SessionEnded)
    assert [(effect.connection, effect.code) for effect in closed] == [(one, 4410)]
    assert ended == SessionEnded(str(made["id"]), "ended", 1, 0.0)
    assert world.gateway._connections.records[two].session is None
    assert world.gateway._connections.records[two].identity == ADA


def test_the_least_recently_used_session_of_a_user_ends_for_one_too_many() -> None:
    world = SessionWorld(max_sessions_per_user=2)
    ones = [world.opened() for _ in range(3)]
    world.create(ones[0])
    world.now = 1.0
    world.create(ones[1])
    world.gateway.outbox.clear()
    world.call(ones[2], "session.create", {})
    closed = [effect for effect in world.gateway.outbox if isinstance(effect, Disconnect)]
    (ended,) = told(world, SessionEnded)
    assert [(effect.connection, effect.code) for effect in closed] == [(ones[0], 4410)]
    assert isinstance(ended, SessionEnded)
    assert (ended.reason, ended.connections) == ("crowded_out", 1)


def test_a_session_ends_when_it_was_not_used_for_too_long() -> None:
    world = SessionWorld(session_idle=100.0)
    one = world.opened()
    made = world.create(one)
    world.at(50.0)
    world.call(one, "echo", [], None)
    world.take()
    world.at(149.9)
    assert world.closes() == []
    world.at(150.0)
    assert world.closes() == [(one, 4410, True)]
    assert list(world.store.sessions) == []
    assert made["expires_in"] == 100


def test_a_session_ends_after_its_lifetime() -> None:
    world = SessionWorld(session_lifetime=100.0)
    one = world.opened()
    world.create(one)
    for now in (40.0, 80.0):
        world.at(now)
        world.call(one, "connection.ping")
    world.take()
    world.at(99.9)
    assert world.closes() == []
    world.at(100.0)
    assert world.closes() == [(one, 4410, True)]


def test_the_connections_of_an_identity_that_expires_have_their_grace() -> None:
    world = SessionWorld(auth_notice=0.0, auth_grace=5.0)
    one = world.opened(Identity("ada", expires_at=WALL + 20.0))
    world.create(one)
    world.at(20.0)
    assert world.closes() == []
    assert world.gateway._connections.records[one].session is None
    world.at(25.0)
    assert world.closes() == [(one, 4401, True)]


@pytest.mark.parametrize(("wall", "ends_at"), [(WALL + 60.0, 40.0), (WALL - 60.0, 160.0), (WALL + 500.0, 0.0)])
def test_a_clock_that_is_set_moves_the_end(wall: float, ends_at: float) -> None:
    world = SessionWorld(session_lifetime=100.0)
    one = world.opened()
    world.create(one)
    world.gateway.set_wall(wall, 0.0)
    world.take()
    world.at(max(0.0, ends_at - 0.1))
    assert world.closes() == ([(one, 4410, True)] if not ends_at else [])
    world.at(ends_at)
    assert world.closes() == ([(one, 4410, True)] if ends_at else [])


def test_the_uses_of_sessions_are_told_to_the_store_once_a_minute() -> None:
    world = SessionWorld(external=True)
    one, two = world.opened(), world.opened()
    for connection in (one, two):
        world.call(connection, "session.create", {})
        world.perform()
    ids = list(world.store.sessions)
    world.hear()
    world.at(10.0)
    world.call(one, "connection.ping")
    world.call(two, "connection.ping")
    world.gateway.disconnected(two, None, 20.0)
    assert world.hear() == []
    world.at(60.0)
    touch, sweep = world.hear()
    assert isinstance(touch, Touch)
    assert touch.sessions == ((ids[1], WALL + 10.0), (ids[0], WALL + 10.0))
    assert isinstance(sweep, Sweep)
    assert sweep.now == WALL + 60.0
    world.at(120.0)
    (sweep,) = world.hear()  # nothing was used
    assert isinstance(sweep, Sweep)


def test_the_uses_of_many_sessions_are_told_in_parts() -> None:
    world = SessionWorld(external=True, max_sessions_per_user=9_999)
    for _ in range(2 * MOST_TOLD + 1):
        one = world.opened()
        world.call(one, "session.create", {})
        world.perform()
    world.at(10.0)
    for connection in list(world.gateway._connections.records):
        world.call(connection, "connection.ping")
    world.gateway.disconnected(one, None, 20.0)
    world.take()
    told_at: list[tuple[float, int]] = []
    for now in (60.0, 60.1, 60.2):
        world.at(now - 0.01)
        assert world.hear() == []
        world.at(now)
        touch, *sweeps = world.hear()
        assert isinstance(touch, Touch)
        told_at.append((now, len(touch.sessions)))
        assert [type(each) for each in sweeps] == ([Sweep] if now == 60.2 else [])
    assert told_at == [(60.0, 1_000), (60.1, 1_000), (60.2, 1)]
    world.at(120.19)
    assert world.hear() == []
    world.at(120.2)
    assert [type(each) for each in world.hear()] == []


def test_a_sweep_ends_the_sessions_that_have_expired() -> None:
    world = SessionWorld(session_idle=100.0)
    one, two = world.opened(), world.opened()
    gone = world.create(one)
    world.create(two)
    world.gateway.disconnected(one, None, 1.0)
    world.at(70.0)
    world.call(two, "connection.ping")
    world.take()
    world.at(119.0)
    assert told(world, SessionEnded) == []
    world.at(120.0)
    assert told(world, SessionEnded) == [SessionEnded(str(gone["id"]), "expired", 0, 120.0)]


def test_a_revoked_user_loses_its_sessions_and_its_connections() -> None:
    world = SessionWorld()
    one, two = world.opened(), world.opened(BOB)
    mine, other = world.create(one), world.create(two)
    world.gateway.outbox.clear()
    assert world.gateway.revoke("ada", 1.0) == 1
    closed = [(effect.connection, effect.code) for effect in world.gateway.outbox if isinstance(effect, Disconnect)]
    assert closed == [(one, 4403)]
    assert told(world, SessionEnded) == [SessionEnded(str(mine["id"]), "revoked", 1, 1.0)]
    assert list(world.store.sessions) == [other["id"]]


def test_a_revocation_with_a_time_spares_the_sessions_of_later_credentials() -> None:
    world = SessionWorld()
    one, two = (world.opened(Identity("ada", issued_at=WALL + made)) for made in (1.0, 5.0))
    mine, other = world.create(one), world.create(two)
    world.gateway.revoke("ada", 1.0, not_before=WALL + 3.0)
    world.take()
    three = world.connect()
    assert resume(world, three, mine) == -32040
    resume(world, three, other)
    assert world.gateway._connections.records[three].session == other["id"]


def test_a_session_whose_place_another_takes_ends_here_at_once_and_in_the_store_until_it_has_done_it() -> None:
    world = SessionWorld(external=True)
    one, two = world.opened(), world.opened()
    table = world.gateway._sessions
    row = world.gateway._session_requests.mint(ADA, b"{}", 0.0).row
    for each in (one, two):
        table.attach(world.gateway._connections.records[each], row, 0.0)
    table.renewed(row.id, 1.0, by=world.gateway._connections.records[one])
    assert world.gateway._shared.breaches == [(two, SESSION_ENDED)]
    (asked,) = world.hear()
    assert isinstance(asked, EndSession)
    assert (asked.session, list(world.gateway._chores.replaced), table.records) == (row.id, [row.id], {})
    world.perform()
    assert world.gateway._chores.replaced == {}


def test_the_sessions_that_were_made_with_a_token_end_with_it() -> None:
    world = SessionWorld()
    one, two, three = world.opened(Identity("ada", token="t")), world.opened(Identity("ada", token="t")), world.opened()
    ids = [str(world.create(each)["id"]) for each in (one, two, three)]
    world.take()
    stays = world.gateway._connections.records[one]
    world.gateway._sessions.end_with_token("t", ("", "ada"), ("elsewhere", ids[1]), 1.0, stays=stays)
    assert list(world.gateway._sessions.records) == [ids[2]]
    assert world.gateway._shared.breaches == [(two, REVOKED)]


def test_so_many_connections_that_were_replaced_are_remembered() -> None:
    world = SessionWorld()
    one = world.opened()
    made = world.create(one)
    table, record = world.gateway._sessions, world.gateway._connections.records[one]
    id = str(made["id"])
    for place in range(MOST_REPLACED + 1):
        assert table.replace(id, f"{place}", 0.0, by=record) is False
    assert [table.was_replaced(*about) for about in ((id, "0"), (id, "1"), ("x", "1"))] == [False, True, False]
    assert table.replace(id, record.public_id, 0.0, by=record) is False


def test_a_session_that_a_log_in_has_given_and_nobody_has_used_ends_with_another_one() -> None:
    world = SessionWorld()
    one, two = world.opened(), world.opened()
    table = world.gateway._sessions
    record = world.gateway._connections.records[one]
    given, kept = (world.gateway._session_requests.mint(ADA, b"{}", 0.0).row for _ in range(2))
    table.attach(record, given, 0.0, given=True)
    table.attach(record, kept, 0.0)
    assert told(world, SessionEnded) == [SessionEnded(given.id, "untouched", 0, 0.0)]
    table.attach(record, given, 0.0, given=True)
    table.updated(given)
    table.attach(record, kept, 0.0)
    assert told(world, SessionEnded) == []
    table.attach(record, given, 0.0, given=True)
    table.attach(world.gateway._connections.records[two], given, 0.0)  # somebody else has used it
    table.attach(world.gateway._connections.records[two], kept, 0.0)
    table.attach(record, kept, 0.0)
    assert told(world, SessionEnded) == []


def test_a_session_that_a_log_in_has_given_outlives_its_connection() -> None:
    world = SessionWorld(external=True)
    one = world.opened()
    given = world.gateway._session_requests.mint(ADA, b"{}", 0.0).row
    world.gateway._sessions.attach(world.gateway._connections.records[one], given, 0.0, given=True)
    world.gateway.disconnected(one, None, 1.0)
    assert world.hear() == []


def test_what_is_not_attached_may_change_and_end() -> None:
    world = SessionWorld()
    table, row = world.gateway._sessions, world.gateway._session_requests.mint(ADA, b"{}", 0.0).row
    table.refresh(row)
    table.updated(row)
    table.tell_store(EndSession("w", "x"), 0.0)
    table.end("x", "expired", 0.0)
    assert (table.records, told(world, SessionEnded)) == ({}, [SessionEnded("x", "expired", 0, 0.0)])


def test_an_anonymous_session_over_http_is_found_by_its_id_alone_and_its_end_is_not_told() -> None:
    world = SessionWorld()
    one = world.connect("http")
    world.call(one, "session.create", {})
    table = world.gateway._sessions
    (id,) = table.records
    assert (table.by_user, [each.id for each in table.connections_of(id)]) == ({}, [one])
    world.gateway.outbox.clear()
    world.gateway.disconnected(one, None, 0.0)
    assert (table.records, told(world, SessionDetached)) == ({}, [])


def test_the_connections_of_sessions_are_found_by_kind_and_user() -> None:
    world = SessionWorld()
    one, two, three = world.opened(), world.connect("cli"), world.opened(BOB)
    made, other = world.create(one), world.create(three)
    resume(world, two, made)
    table, ids = world.gateway._sessions, [str(made["id"]), str(other["id"]), "x"]

    def among(kinds: list[str] | None, users: list[str] | None, namespace: str = "") -> list[ConnectionId]:
        return [each.id for each in table.among(ids, kinds, users, namespace)]

    assert among(None, None) == [one, two, three]
    assert among(["cli"], None) == [two]
    assert among(None, ["bob"]) == [three]
    assert among(None, ["bob"], "idp") == []
