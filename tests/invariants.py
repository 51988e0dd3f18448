"""What must always be true of a gateway and a switchboard, and what must be true when nothing is left to do.

Each function looks at one kind of fact and raises AssertionError; they change nothing. State machines and recorded
runs call `check` after every step and `check_at_rest` at the end. They look inside, because joint facts have no
other witness: a count here and a table there.
"""

from __future__ import annotations

from posthouse.core import Gateway
from posthouse.core.calls import Phase
from posthouse.core.connections import LIVING, State
from posthouse.core.peers import KINDS, PUSHABLE
from posthouse.transports import Switchboard


def check(board: Switchboard) -> None:
    """Everything that must hold between two inputs."""
    gateway = board.gateway
    slots(gateway)
    outcomes(gateway)
    indexes(gateway)
    flow(gateway)
    requests(gateway)
    lines(board)
    settled(board)


def slots(gateway: Gateway) -> None:
    """Handlers that run never exceed their caps, and are counted the same wherever they are counted."""
    config, calls = gateway.config, gateway._calls
    handed_out = [call for call in calls.records.values() if call.phase is not Phase.WAITING]
    assert calls.handlers == len(handed_out) <= config.max_calls
    assert calls.waiting == len(calls.records) - len(handed_out)
    for record in gateway._connections.records.values():
        assert record.running == sum(call.connection == record.id for call in handed_out)
        assert record.running <= config.max_calls_per_connection
        assert len(record.waiting) <= config.max_waiting_calls
        assert record.waiting_bytes == sum(len(call.params or b"") for call in record.waiting.values())
        assert record.waiting_bytes <= config.max_waiting_bytes
        assert not record.waiting or record.running == config.max_calls_per_connection
    waiting_bytes = sum(record.waiting_bytes for record in gateway._connections.records.values())
    assert calls.waiting_bytes == waiting_bytes


def outcomes(gateway: Gateway) -> None:
    """A connection's calls are those without an outcome, and an ended call is no connection's any more."""
    calls = gateway._calls.records
    for record in gateway._connections.records.values():
        for key, call in record.calls.items():
            assert calls[call.call] is call
            assert (call.key, call.connection) == (key, record.id)
            assert call.phase is not Phase.ENDED
        assert all(record.calls[call.key] is call for call in record.waiting.values())
        assert record.state is not State.CLOSING or not record.calls
    for call in calls.values():
        owner = gateway._connections.records.get(call.connection)
        owned = owner is not None and owner.calls.get(call.key) is call
        assert owned == (call.phase is not Phase.ENDED and not call.detached)


def indexes(gateway: Gateway) -> None:
    """A connection is found by kind, user and public id while it lives here, and by none of them afterwards."""
    table = gateway._connections
    living = {id: record for id, record in table.records.items() if record.admitted and record.state in LIVING}
    assert {record.public_id: record for record in living.values()} == table.by_public_id
    assert [id for kind in KINDS for id in sorted(table.by_kind[kind])] == [
        id for kind in KINDS for id in sorted(living) if living[id].peer.kind == kind
    ]
    by_user = sorted((user, id) for user, of_user in table.by_user.items() for id in of_user)
    assert by_user == sorted((r.identity.user, id) for id, r in living.items() if r.identity.user is not None)
    assert all(table.by_user.values())
    assert table.in_head == sum(socket.in_head for socket in table.sockets.values())
    hosts = [socket.address.host for socket in table.sockets.values() if socket.address.host]
    assert table.by_address == {host: hosts.count(host) for host in hosts}


def flow(gateway: Gateway) -> None:
    """What is held and queued adds up, and nothing is queued where nothing is held."""
    config, table = gateway.config, gateway._flow
    total = 0
    for id, backlog in table.backlogs.items():
        replies = sum(len(queued.data) for queued in backlog.queue if queued.at is None)
        pushes = [queued for queued in backlog.queue if queued.at is not None]
        assert backlog.held > 0
        assert gateway._connections.records[id].state in LIVING
        assert backlog.reply_bytes == replies <= config.max_queued_replies_bytes
        assert backlog.push_bytes == sum(len(queued.data) for queued in pushes) <= config.max_queued_pushes_bytes
        assert len(backlog.push_times) == len(pushes) <= config.max_queued_pushes
        assert backlog.timer is not None
        assert backlog.timer.live
        total += backlog.held + backlog.reply_bytes + backlog.push_bytes
    assert table.total == total


def requests(gateway: Gateway) -> None:
    """A request in flight has a living peer that knows of it."""
    table = gateway._connections.records
    asked = sorted(request for record in table.values() for request in record.requests)
    assert len(gateway._requests) == len(asked)
    assert all(PUSHABLE[record.peer.kind] for record in table.values() if record.requests)


def lines(board: Switchboard) -> None:
    """Every connection lives on the one socket that says so, and what is held for it is counted alike on both sides."""
    table, gateway = board._sockets, board.gateway
    assert sorted(table.lines) == sorted(gateway._connections.sockets)
    assert sorted(table.by_connection) == sorted(gateway._connections.records)
    for connection, line in table.by_connection.items():
        assert line.connection == connection
        assert table.lines[line.socket] is line
        record = gateway._connections.records[connection]
        assert record.peer.socket == line.socket
        if record.state in LIVING:
            assert line.counted == gateway._flow.held(connection) <= line.wire.outstanding
    for line in table.lines.values():
        assert line.connection is None or table.by_connection[line.connection] is line
        counted = line.wire.clear or line.counted or (line.stalled is not None and line.stalled.live)
        assert counted or _asked_to_cut(line.over), "bytes are held and nobody has a deadline for them"
        bound = board.config.max_body_bytes + board.config.max_message_bytes * 2 + board.config.max_head_bytes
        assert line.codec.buffered <= bound + 2 * board.config.read_bytes
    assert table.buffered == sum(line.buffered for line in table.lines.values())


def _asked_to_cut(over: bool) -> bool:
    # A socket that was asked to be cut off is only waited for until the adapter says `closed`.
    return over


def settled(board: Switchboard) -> None:
    """An input leaves no work behind: effects are performed, and what codecs said was done, but for texts that wait for
    a peer that does not read."""
    assert board.gateway.outbox == []
    for line in board._sockets.lines.values():
        assert not line.codec.output or line.stopped or line.over


def check_at_rest(board: Switchboard) -> None:
    """When every socket is closed and every handler has ended: empty tables, nothing held, nothing to wait for."""
    gateway = board.gateway
    connections = gateway._connections
    assert gateway._calls.records == {}
    assert (gateway._calls.handlers, gateway._calls.waiting, gateway._calls.waiting_bytes) == (0, 0, 0)
    assert len(gateway._requests) == 0
    assert connections.records == {}
    assert connections.sockets == {}
    assert connections.by_public_id == {}
    assert connections.by_user == {}
    assert connections.by_address == {}
    assert connections.in_head == 0
    assert gateway._flow.backlogs == {}
    assert gateway._flow.total == 0
    assert board._sockets.lines == {}
    assert board._sockets.by_connection == {}
    assert board._sockets.buffered == 0
    assert board.next_timeout() is None
