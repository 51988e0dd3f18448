"""What must always be true of a gateway and a switchboard, and what must be true when nothing is left to do.

Each function looks at one kind of fact and raises AssertionError; they change nothing. State machines and recorded
runs call `check` after every step and `check_at_rest` at the end. They look inside, because joint facts have no
other witness: a count here and a table there. `Witness` stands outside: it sees the actions alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from posthouse.core import (
    CallCancelled,
    CallTimedOut,
    Cancel,
    ConnectionClosed,
    ConnectionOpened,
    Drained,
    Emit,
    Event,
    Gateway,
    Invoke,
    Resolve,
)
from posthouse.core.calls import Phase
from posthouse.core.connections import LIVING, State
from posthouse.core.peers import KINDS, PUSHABLE, CallId, ConnectionId, RequestId, SocketId
from posthouse.transports import Action, CloseSocket, EndWriting, Switchboard, Write


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


class Witness:
    """What the actions promise, one after the other, to somebody who cannot look inside: each thing happens once, and
    nothing behind its end."""

    def __init__(self) -> None:
        self.open: set[ConnectionId] = set()
        self.closed: set[ConnectionId] = set()
        self.invoked: set[CallId] = set()
        self.cancelled: set[CallId] = set()
        self.ended_early: set[CallId] = set()
        self.resolved: set[RequestId] = set()
        self.silent: set[SocketId] = set()
        self.drained = False

    def see(self, action: Action) -> None:
        """The next action, before it is performed."""
        if isinstance(action, Write):
            assert action.socket not in self.silent, "bytes are written behind the end"
            assert action.data, "nothing is written"
        elif isinstance(action, EndWriting):
            assert action.socket not in self.silent, "the end comes twice"
            self.silent.add(action.socket)
        elif isinstance(action, CloseSocket):
            self.silent.add(action.socket)
        elif isinstance(action, Invoke):
            assert action.call not in self.invoked, "a handler is run twice"
            assert action.caller.connection in self.open, "a handler is run for nobody"
            self.invoked.add(action.call)
        elif isinstance(action, Cancel):
            assert action.call in self.invoked - self.cancelled, "what does not run is cancelled, or twice"
            self.cancelled.add(action.call)
        elif isinstance(action, Resolve):
            assert action.request not in self.resolved, "a request has two outcomes"
            self.resolved.add(action.request)
        elif isinstance(action, Drained):
            assert not self.drained
            self.drained = True
        elif isinstance(action, Emit):
            self._see_event(action.event)

    def _see_event(self, event: Event) -> None:
        if isinstance(event, ConnectionOpened):
            assert event.connection not in self.open | self.closed
            self.open.add(event.connection)
        elif isinstance(event, ConnectionClosed):
            self.open.remove(event.connection)
            self.closed.add(event.connection)
        elif isinstance(event, CallCancelled | CallTimedOut):
            assert event.call not in self.ended_early, "a call has two outcomes"
            self.ended_early.add(event.call)

    def stopped(self, running: Iterable[Invoke]) -> None:
        """Of the handlers that run still, those whose caller has gone were told to stop, unless they are to finish."""
        for invoke in running:
            if invoke.caller.connection in self.closed and invoke.method.on_disconnect == "cancel":
                assert invoke.call in self.cancelled, "a handler runs on for nobody"

    def at_rest(self) -> None:
        """Whoever came has gone."""
        assert not self.open
