"""Sockets and connections: the state table, admission by number, address, rate and user, and how they are found."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.connections.connections import Connections
from posthouse.core.connections.state import State, Trigger
from posthouse.core.values.close_reasons import MAX_CONNECTIONS, MAX_CONNECTIONS_PER_USER
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import ANONYMOUS, Address, ConnectionId, Identity, Kind, Peer, SocketId
from posthouse.core.values.transitions import IllegalEvent

from tests.core.world import World
from tests.values import told_apart

HERE = Address("192.0.2.1", 5000)
THERE = Address("192.0.2.2", 5000)
UNIX = Address()


def connections(**limits: Any) -> Connections:
    tables = Connections(World(**limits).gateway._shared)
    tables.identified.append(lambda record, now: told.append((record.id, now)))
    told.clear()
    return tables


told: list[tuple[ConnectionId, float]] = []
"""The connections of which was told that they have another identity, and when."""


def limits(tables: Connections, address: Address = HERE, now: float = 0.0) -> tuple[str, ...]:
    """The limits that one more socket would breach; if none, it is there."""
    breached = tuple(limit.name for limit in tables.socket_limits(address, now))
    if not breached:
        tables.add_socket(address)
    return breached


def test_a_connection_changes_its_state_only_by_the_table() -> None:
    record = connections().add(Peer("http"), 0.0)
    record.move(Trigger.ASK)
    record.move(Trigger.ANSWER)
    assert record.state is State.ANSWERED
    with pytest.raises(IllegalEvent, match="State ANSWERED: ANSWER is not allowed"):
        record.move(Trigger.ANSWER)


def test_a_new_connection_has_no_calls_no_counts_and_no_timers() -> None:
    tables = connections()
    record = tables.add(Peer("websocket"), 0.0)
    assert (record.state, record.admitted, record.flush, record.farewell_due) == (State.OPEN, False, False, False)
    assert (record.calls, record.waiting, record.requests) == ({}, {}, {})
    assert (record.running, record.waiting_bytes, record.batch_reply_bytes, record.made, record.interval) == (
        0,
        0,
        0,
        0,
        0.0,
    )
    assert (record.heartbeat, record.idle, record.farewell) == (None, None, None)
    assert (record.code, record.asked_at, record.call_bucket, record.invalid_window) == (None, None, None, None)
    tables.index(record)
    assert record.admitted


def test_sockets_may_fill_their_limit_and_one_more_is_refused() -> None:
    tables = connections(max_connections=2)
    assert [limits(tables) for _ in range(3)] == [(), (), ("max_connections",)]
    tables.remove_socket(next(iter(tables.sockets)))
    assert limits(tables) == ()


def test_sockets_with_an_unread_head_may_fill_their_limit_and_one_more_is_refused() -> None:
    tables = connections(max_in_head=2)
    assert [limits(tables) for _ in range(3)] == [(), (), ("max_in_head",)]
    first = next(iter(tables.sockets))
    tables.head_read(first)
    tables.head_read(first)
    assert tables.in_head == 1
    tables.remove_socket(first)
    assert tables.in_head == 1
    assert [limits(tables) for _ in range(2)] == [(), ("max_in_head",)]
    for socket in list(tables.sockets):
        tables.remove_socket(socket)
    assert tables.in_head == 0


def test_row_40_the_limit_on_an_addresss_sockets_does_not_affect_others() -> None:
    tables = connections(max_connections_per_address=2)
    assert [limits(tables) for _ in range(3)] == [(), (), ("max_connections_per_address",)]
    assert [limits(connections(max_connections_per_address=1)), limits(tables, THERE)] == [(), ()]
    for socket in list(tables.sockets):
        tables.remove_socket(socket)
    assert tables.by_address == {}
    assert limits(tables) == ()


def test_an_address_may_open_sockets_at_its_rate_and_others_are_unaffected() -> None:
    tables = connections(accept_rate_per_address=2.0)
    assert [limits(tables) for _ in range(3)] == [(), (), ("accept_rate_per_address",)]
    assert limits(tables, THERE) == ()
    assert limits(tables, now=0.499) == ("accept_rate_per_address",)
    assert limits(tables, now=1.0) == ()


def test_all_addresses_of_one_ipv6_network_of_64_bits_share_their_limits() -> None:
    tables = connections(max_connections_per_address=2, accept_rate_per_address=3.0)
    one, other, next_door = (Address(f"2001:db8:0:{host}") for host in ("1::1", "1:9:9:9:9", "2::1"))
    assert [limits(tables, address) for address in (one, other)] == [(), ()]
    assert tables.by_address == {"2001:db8:0:1::/64": 2}
    assert limits(tables, one) == ("max_connections_per_address",)
    assert limits(tables, other) == ("max_connections_per_address", "accept_rate_per_address")
    assert limits(tables, next_door) == ()
    for socket in list(tables.sockets):
        tables.remove_socket(socket)
    assert tables.by_address == {}


def test_limits_per_address_do_not_apply_without_an_address() -> None:
    tables = connections(max_connections_per_address=1, accept_rate_per_address=1.0)
    assert [limits(tables, UNIX) for _ in range(5)] == [()] * 5
    tables.remove_socket(next(iter(tables.sockets)))
    assert tables.by_address == {}


def test_ids_count_up_and_are_never_reused() -> None:
    tables = connections()
    first = tables.add(Peer("http"), 0.0)
    tables.remove(first)
    second = tables.add(Peer("http"), 0.0)
    assert (first.id, second.id) == (1, 2)
    assert [tables.find(second.id), tables.find(first.id)] == [second, None]
    for never in (0, 3):
        with pytest.raises(UsageError, match=f"connection {never} never existed"):
            tables.find(ConnectionId(never))
    socket = tables.add_socket(HERE)
    assert (socket, tables.has_socket(socket)) == (1, True)
    tables.remove_socket(socket)
    assert not tables.has_socket(socket)
    for never in (0, 2):
        with pytest.raises(UsageError, match=f"socket {never} never existed"):
            tables.has_socket(SocketId(never))


def test_public_ids_come_from_the_entropy() -> None:
    assert connections().add(Peer("websocket"), 0.0).public_id == "000000000000000000000001"


@pytest.mark.parametrize(("kind", "pushable"), [("websocket", True), ("http", False), ("cli", True)])
def test_the_kind_decides_whether_the_server_may_send_first(kind: Kind, pushable: bool) -> None:
    assert connections().add(Peer(kind), 0.0).pushable is pushable


def test_an_admitted_connection_is_found_by_kind_user_and_public_id_until_it_closes() -> None:
    tables = connections()
    ada = Identity("ada")
    one, two = (tables.add(Peer("cli", identity=ada), 0.0) for _ in range(2))
    nobody = tables.add(Peer("websocket"), 0.0)
    for record in (one, two, nobody):
        tables.index(record)
    assert [list(table) for table in tables.by_kind.values()] == [[3], [], [1, 2], []]
    assert {user: list(table) for user, table in tables.by_user.items()} == {("", "ada"): [1, 2]}
    assert tables.by_public_id[two.public_id] is two
    tables.drop(one, 0.0)
    assert list(tables.by_user["", "ada"]) == [2]
    tables.drop(two, 0.0)
    tables.drop(two, 0.0)
    tables.drop(nobody, 0.0)
    assert not tables.by_user
    assert not tables.by_public_id
    assert tables.by_kind == {"websocket": {}, "http": {}, "cli": {}, "local": {}}
    tables.remove(two)
    assert list(tables.records) == [1, 3]


def test_without_sockets_connections_are_counted_instead() -> None:
    tables = connections(max_connections=2)
    hosted = Peer("websocket")
    for _ in range(2):
        assert tables.connection_limits(hosted) == []
        tables.add(hosted, 0.0)
    assert tables.connection_limits(hosted) == [MAX_CONNECTIONS]
    assert tables.connection_limits(Peer("websocket", socket=tables.add_socket(HERE))) == []


def test_the_limit_on_a_users_connections_does_not_affect_other_users() -> None:
    tables = connections(max_connections_per_user=2)
    ada = Peer("websocket", identity=Identity("ada"))
    for _ in range(2):
        assert tables.connection_limits(ada) == []
        tables.index(tables.add(ada, 0.0))
    assert tables.connection_limits(ada) == [MAX_CONNECTIONS_PER_USER]
    assert tables.connection_limits(Peer("websocket", identity=Identity("bob"))) == []
    assert tables.connection_limits(Peer("websocket", identity=ANONYMOUS)) == []


def test_the_idlest_connection_was_heard_from_least_recently() -> None:
    tables = connections()
    assert tables.idlest() is None
    records = [tables.add(Peer("websocket"), now) for now in (3.0, 1.0, 1.0, 2.0)]
    for record in records:
        tables.index(record)
    assert tables.idlest() is records[1]
    records[1].heard_at = 9.0
    assert tables.idlest() is records[2]


def test_a_record_is_equal_to_itself_alone() -> None:
    assert told_apart("posthouse.core.connections.connections") == ["Socket"]


def test_a_connection_that_is_not_indexed_gets_an_identity_and_a_new_state_for_its_handlers() -> None:
    tables = connections()
    record = tables.add(Peer("cli"), 0.0)
    record.caller.connection_state["visits"] = 1
    tables.identify(record, Identity("ada"), 0.0)
    assert (record.identity, record.caller.identity, record.caller.connection_state) == (*[Identity("ada")] * 2, {})
    assert (record.caller.connection, record.caller.public_id) == (record.id, record.public_id)
    assert not tables.by_user


def test_a_connection_that_is_indexed_is_found_by_its_new_user() -> None:
    tables = connections()
    record, other = (tables.add(Peer("cli", identity=Identity("ada")), 0.0) for _ in range(2))
    tables.index(record)
    tables.index(other)
    record.caller.connection_state["visits"] = 1
    tables.identify(record, Identity("ada", ("read",)), 0.0, keep_state=True)
    assert record.caller.connection_state == {"visits": 1}
    tables.identify(record, Identity("bob"), 0.0, keep_state=False)
    assert {user: list(found) for user, found in tables.by_user.items()} == {("", "ada"): [2], ("", "bob"): [1]}
    assert record.caller.connection_state == {}
    tables.identify(record, Identity(), 7.0, keep_state=True)
    assert {user: list(found) for user, found in tables.by_user.items()} == {("", "ada"): [2]}
    assert told == [(1, 0.0), (1, 0.0), (1, 7.0)]


def test_an_exchange_that_gets_another_identity_has_no_deadline_for_it() -> None:
    tables = connections()
    record = tables.add(Peer("http"), 0.0)
    tables.index(record)
    tables.identify(record, Identity("ada", expires_at=1.0), 0.0)
    assert tables.by_user[("", "ada")] and told == []


def test_a_connection_may_have_another_identity_than_its_peer() -> None:
    tables = connections()
    record = tables.add(Peer("cli"), 0.0, Identity("ada"))
    assert (record.identity, record.caller.identity, record.peer.identity) == (*[Identity("ada")] * 2, Identity())


def test_a_trusted_proxy_counts_for_no_address_and_has_no_limit_of_its_own() -> None:
    tables = connections(max_connections_per_address=1, accept_rate_per_address=1.0)
    for _ in range(3):
        assert tables.socket_limits(HERE, 0.0, trusted=True) == []
        tables.add_socket(HERE, trusted=True)
    assert tables.by_address == {}
    assert limits(tables) == ()


def test_a_trusted_proxy_is_refused_where_the_server_is_full() -> None:
    tables = connections(max_connections=1, max_in_head=1)
    tables.add_socket(HERE, trusted=True)
    names = [limit.name for limit in tables.socket_limits(HERE, 0.0, trusted=True)]
    assert names == ["max_connections", "max_in_head"]


def test_a_socket_is_counted_under_one_key_at_a_time() -> None:
    tables = connections()
    socket, other = tables.add_socket(HERE, trusted=True), tables.add_socket(THERE)
    for key, counted in (
        ("192.0.2.9", {"192.0.2.2": 1, "192.0.2.9": 1}),
        ("192.0.2.2", {"192.0.2.2": 2}),
        ("", {"192.0.2.2": 1}),
        ("", {"192.0.2.2": 1}),
    ):
        tables.count(socket, key)
        assert tables.by_address == counted
    tables.remove_socket(other)
    tables.remove_socket(socket)
    assert tables.by_address == {}


def test_the_end_of_a_connection_behind_a_proxy_ends_the_count_of_its_client() -> None:
    tables = connections()
    socket = tables.add_socket(HERE, trusted=True)
    for client, left in ((Address("192.0.2.9", proxy="192.0.2.1"), {}), (HERE, {"192.0.2.9": 1})):
        tables.count(socket, "192.0.2.9")
        tables.remove(tables.add(Peer("http", client, socket), 0.0))
        assert tables.by_address == left
    late = tables.add(Peer("http", Address("192.0.2.9", proxy="192.0.2.1"), socket), 0.0)
    tables.remove_socket(socket)
    tables.remove(late)
    assert tables.by_address == {}


@pytest.mark.parametrize(("field", "value"), [("max_connections_per_address", 1), ("accept_rate_per_address", 1.0)])
def test_the_table_knows_whether_a_limit_per_address_is_set(field: str, value: float) -> None:
    assert connections(**{field: value}).limits_addresses
    assert not connections().limits_addresses
