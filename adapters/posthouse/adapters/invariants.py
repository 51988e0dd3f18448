"""What must always be true of a gateway and its switchboard, and what must be true when nothing is left to do.

Each function is one kind of fact, changes nothing and raises `Violation`. They look inside, because joint facts have no
other witness: a count here and a table there. `check` is all of them, and `check_touched` what a step can have broken
where it touched few sockets: simulations call it after every step, and `check` as often as they can afford. `Witness`
stands outside, and sees the actions alone.

| fact | where |
|---|---|
| calls: slots, caps, one outcome | `calls`, `calls_of`, `Witness` |
| joint tables: who is found where | `tables`, `line_of` |
| flow: what is held and queued adds up | `flow`, `flow_of`, `line_of` |
| time: nothing is overdue, everything that waits has a deadline | `time`, `line_of` |
| totality: an input leaves no work behind | `totality` |
| order: nothing comes behind its end, or before its beginning | `Witness` |
| chunking: where bytes are cut changes nothing | `chunking` |
| shutdown: it ends, once, and nothing begins after it | `shutdown`, `Witness` |

That every request is answered once, to who asked, is what `posthouse.adapters.simulation.Model` holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from posthouse.core.calls import Phase
from posthouse.core.connections import LIVING, Connection, State
from posthouse.core.effects import Cancel, Drained, Emit, Invoke, Resolve
from posthouse.core.flow import Backlog
from posthouse.core.gateway import Gateway
from posthouse.core.lifecycle import (
    AcceptingStopped,
    CallCancelled,
    CallTimedOut,
    ConnectionClosed,
    ConnectionOpened,
    DrainStarted,
    Event,
)
from posthouse.core.peers import KINDS, PUSHABLE, CallId, ConnectionId, RequestId, SocketId
from posthouse.transports.actions import Action, CloseSocket, EndWriting, StartReading, StopReading, Write
from posthouse.transports.codec import Codec, Exchange, Pause, Resume, Send, Text
from posthouse.transports.sockets import BACKLOG, Line
from posthouse.transports.switchboard import Switchboard


class Violation(AssertionError):
    """Something that must hold does not. `sentence` says what, as `<invariant>: <sentence>`, and is the same whenever
    the same does not hold; the message adds what was `seen`."""

    def __init__(self, sentence: str, *seen: object) -> None:
        super().__init__(f"{sentence}: {', '.join(map(str, seen))}" if seen else sentence)
        self.sentence = sentence


def _must(holds: bool, sentence: str) -> None:
    if not holds:
        raise Violation(sentence)


# All of it


def check(board: Switchboard) -> None:
    """Everything that must hold between two inputs."""
    gateway = board.gateway
    calls(gateway)
    tables(board)
    flow(gateway)
    shutdown(gateway)
    for record in gateway._connections.records.values():
        calls_of(gateway, record)
    for line in board._sockets.lines.values():
        line_of(board, line)
    totality(board)


def check_touched(board: Switchboard, sockets: Iterable[SocketId]) -> None:
    """What must hold of these sockets and who lives on them, and the sums that everybody shares."""
    gateway = board.gateway
    lines, records = board._sockets.lines, gateway._connections.records
    table = gateway._calls
    running = len(table.records) - table.waiting
    _must(table.handlers == running, "calls: a slot for each handler")
    _must(running <= gateway.config.max_calls, "calls: no more handlers than max_calls")
    _must(len(lines) == len(gateway._connections.sockets), "tables: a socket here is a socket there")
    _must(len(board._sockets.by_connection) == len(records), "tables: each connection lives on a socket")
    _must(not gateway.outbox, "totality: what the gateway asked was done")
    for socket in sockets:
        line = lines.get(socket)
        if line is None:
            continue
        line_of(board, line)
        if line.codec.output:
            _must(bool(line.stopped) or line.over, "totality: what a codec said was done")
        if line.connection is not None:
            record = records[line.connection]
            calls_of(gateway, record)
            backlog = gateway._flow.backlogs.get(record.id)
            if backlog is not None:
                flow_of(gateway, record.id, backlog)


def check_at_rest(board: Switchboard) -> None:
    """When every socket is closed and every handler has ended: empty tables, nothing held, nothing to wait for."""
    check(board)
    gateway = board.gateway
    connections, table = gateway._connections, gateway._calls
    _must(not table.records, "rest: no call is left")
    _must((table.handlers, table.waiting, table.waiting_bytes) == (0, 0, 0), "rest: no slot is held")
    _must(len(gateway._requests) == 0, "rest: no request is in flight")
    _must(not connections.records, "rest: no connection is left")
    _must(not connections.sockets, "rest: no socket is left")
    _must(not connections.by_public_id, "rest: no public id is left")
    _must(not connections.by_user, "rest: no user is left")
    _must(not connections.by_address, "rest: no address is left")
    _must(connections.in_head == 0, "rest: no socket is in its head")
    _must(not gateway._flow.backlogs, "rest: nothing is queued")
    _must(gateway._flow.total == 0, "rest: nothing is held")
    _must(gateway._replies.gathered == 0, "rest: no reply waits for its batch")
    _must(not board._sockets.lines, "rest: no line is left")
    _must(not board._sockets.by_connection, "rest: no connection is on a line")
    _must(board._sockets.buffered == 0, "rest: nothing is buffered")
    _must(board.next_timeout() is None or board.draining, "rest: no deadline is left")


# Kinds of facts


def calls(gateway: Gateway) -> None:
    """Handlers that run never exceed their cap, and are counted the same wherever they are counted."""
    table, records = gateway._calls, gateway._connections.records
    handed_out = Counter(call.connection for call in table.records.values() if call.phase is not Phase.WAITING)
    _must(table.handlers == handed_out.total(), "calls: a slot for each handler")
    _must(table.handlers <= gateway.config.max_calls, "calls: no more handlers than max_calls")
    _must(table.waiting == len(table.records) - table.handlers, "calls: what waits is counted")
    waiting_bytes = sum(record.waiting_bytes for record in records.values())
    _must(table.waiting_bytes == waiting_bytes, "calls: the bytes that wait are counted")
    for record in records.values():
        _must(record.running == handed_out[record.id], "calls: a connection's slots are those of its handlers")
    for call in table.records.values():
        owner = records.get(call.connection)
        owned = owner is not None and owner.calls.get(call.key) is call
        open_ = call.phase is not Phase.ENDED and not call.detached
        _must(owned == open_, "calls: a call without an outcome is its connection's, and no other is")
    asked = sum(len(record.requests) for record in records.values())
    _must(len(gateway._requests) == asked, "calls: each request in flight has a peer that knows of it")


def calls_of(gateway: Gateway, record: Connection) -> None:
    """A connection's calls are those without an outcome; they run up to its cap, and the others wait."""
    config = gateway.config
    _must(record.running <= config.max_calls_per_connection, "calls: no more handlers than a connection may have")
    if record.requests:
        _must(PUSHABLE[record.peer.kind], "calls: only who can be pushed to is asked")
    if record.calls:
        table = gateway._calls.records
        _must(record.state is not State.CLOSING, "calls: who is closed waits for no outcome")
        for key, call in record.calls.items():
            _must(table.get(call.call) is call, "calls: a connection's call is in the table")
            _must((call.key, call.connection) == (key, record.id), "calls: a call is found by its own key")
            _must(call.phase is not Phase.ENDED, "calls: a call with an outcome is nobody's")
    if record.waiting:
        full = record.running == config.max_calls_per_connection
        _must(full, "calls: none waits while there is a slot")
        _must(len(record.waiting) <= config.max_waiting_calls, "calls: no more wait than may")
        size = sum(len(call.params or b"") for call in record.waiting.values())
        _must(record.waiting_bytes == size <= config.max_waiting_bytes, "calls: the bytes that wait are counted")
        _must(all(record.calls[call.key] is call for call in record.waiting.values()), "calls: what waits is a call")
    else:
        _must(not record.waiting_bytes, "calls: the bytes that wait are counted")


def tables(board: Switchboard) -> None:
    """A connection is found by kind, user and public id while it lives here, and by none of them afterwards; it
    lives on the one socket that says so."""
    table, sockets = board.gateway._connections, board._sockets
    living = {id: record for id, record in table.records.items() if record.admitted and record.state in LIVING}
    _must({r.public_id: r for r in living.values()} == table.by_public_id, "tables: who lives is found by public id")
    for kind in KINDS:
        of_kind = {id for id, record in living.items() if record.peer.kind == kind}
        _must(table.by_kind[kind].keys() == of_kind, "tables: who lives is found by kind")
    by_user = sorted((user, id) for user, of_user in table.by_user.items() for id in of_user)
    users = sorted((r.identity.user, id) for id, r in living.items() if r.identity.user is not None)
    _must(by_user == users, "tables: who lives is found by user")
    _must(all(table.by_user.values()), "tables: a user without connections is not kept")
    in_head = sum(socket.in_head for socket in table.sockets.values())
    _must(table.in_head == in_head, "tables: sockets in their head are counted")
    hosts = Counter(socket.address.host for socket in table.sockets.values() if socket.address.host)
    _must(table.by_address == hosts, "tables: sockets are counted by address")
    _must(sockets.lines.keys() == table.sockets.keys(), "tables: a socket here is a socket there")
    _must(sockets.by_connection.keys() == table.records.keys(), "tables: each connection lives on a socket")
    for connection, line in sockets.by_connection.items():
        _must(line.connection == connection, "tables: a socket says who lives on it")
        _must(sockets.lines.get(line.socket) is line, "tables: a connection lives on a socket that is there")
        _must(table.records[connection].peer.socket == line.socket, "tables: a connection knows its socket")
    _must(sockets.buffered == sum(line.buffered for line in sockets.lines.values()), "flow: what is buffered adds up")


def flow(gateway: Gateway) -> None:
    """What is held and queued adds up, and nothing is queued where nothing is held."""
    total = 0
    for id, backlog in gateway._flow.backlogs.items():
        flow_of(gateway, id, backlog)
        total += backlog.held + backlog.reply_bytes + backlog.push_bytes
    _must(gateway._flow.total == total, "flow: what is held and queued adds up")


def flow_of(gateway: Gateway, id: ConnectionId, backlog: Backlog) -> None:
    """One peer that does not take what it is sent: its queue is within its limits and it has a deadline."""
    config = gateway.config
    replies = sum(len(queued.data) for queued in backlog.queue if queued.at is None)
    pushes = [len(queued.data) for queued in backlog.queue if queued.at is not None]
    _must(backlog.held > 0, "flow: nothing is queued where nothing is held")
    _must(gateway._connections.records[id].state in LIVING, "flow: nothing is queued for who is closed")
    _must(backlog.reply_bytes == replies <= config.max_queued_replies_bytes, "flow: replies are within their limit")
    _must(backlog.push_bytes == sum(pushes) <= config.max_queued_pushes_bytes, "flow: pushes are within their limit")
    _must(len(backlog.push_times) == len(pushes) <= config.max_queued_pushes, "flow: pushes are within their number")
    _must(backlog.timer is not None and backlog.timer.live, "time: who does not read has a deadline")


def line_of(board: Switchboard, line: Line) -> None:
    """One socket: what is held for it is counted alike on both sides and has a deadline; what it buffers is bounded."""
    config, wire, connection = board.config, line.wire, line.connection
    if connection is not None:
        _must(board._sockets.by_connection.get(connection) is line, "tables: a socket is found by who lives on it")
        record = board.gateway._connections.records[connection]
        if record.state in LIVING:
            held = board.gateway._flow.held(connection)
            _must(line.counted == held <= wire.outstanding, "flow: the gateway knows what the wire holds")
            if held:
                paused = line.over or BACKLOG in line.stopped or not record.pushable
                _must(paused, "flow: who does not read is not read from")
    if not wire.clear and not line.over and not line.counted:
        watched = line.stalled is not None and line.stalled.live
        _must(watched, "time: bytes that are held for nobody have a deadline")
    buffered = line.codec.buffered
    if buffered:
        bound = config.max_body_bytes + config.max_message_bytes * 2 + config.max_head_bytes + config.read_bytes * 2
        _must(buffered <= bound, "flow: what a codec buffers is bounded")


def time(board: Switchboard, now: float) -> None:
    """After `handle_timeout(now)`: nothing of the gateway's is overdue."""
    gateway = board.gateway
    due = gateway.next_timeout()
    _must(due is None or due > now, "time: a deadline has passed and nothing was done")
    for call in gateway._calls.records.values():
        _must(call.phase is Phase.ENDED or call.deadline > now, "time: a call outlived its deadline")


def totality(board: Switchboard) -> None:
    """An input leaves no work behind: effects are performed, and what codecs said was done, but for texts that wait for
    a peer that does not read."""
    _must(not board.gateway.outbox, "totality: what the gateway asked was done")
    _must(not board.gateway._busy, "totality: an input ran to its end")
    for line in board._sockets.lines.values():
        _must(not line.codec.output or bool(line.stopped) or line.over, "totality: what a codec said was done")


def shutdown(gateway: Gateway) -> None:
    """When it is over, nobody lives here any more; and it is not over before it began."""
    drain = gateway._drain
    _must(drain.accepting or drain.began is not None, "shutdown: sockets are accepted until one begins")
    if drain.over:
        living = any(record.state in LIVING for record in gateway._connections.records.values())
        _must(not drain.accepting and not living, "shutdown: it is over when everybody has gone")


def chunking(codec: Callable[[], Codec], data: bytes, cuts: Sequence[int]) -> None:
    """However its bytes are cut, a peer has said the same: two new codecs, one fed whole, one in pieces that end at
    `cuts`, leave the same texts, and all else in the same order."""
    whole, cut = codec(), codec()
    whole.receive_data(data, 0.0)
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        if begin < end:
            cut.receive_data(data[begin:end], 0.0)
    _must(_said(whole) == _said(cut), "chunking: bytes mean the same however they are cut")


def _said(codec: Codec) -> list[object]:
    """What a codec has said, but for how its bytes were grouped."""
    said: list[object] = []
    sent = b""
    for output in codec.output:
        if isinstance(output, Send):
            sent += output.data
        elif isinstance(output, Text | Exchange):
            said.append((type(output), output.data))
        elif not isinstance(output, Pause | Resume):
            said.append(type(output))
    return [*said, sent]


# From outside


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
        self.cut: set[SocketId] = set()
        self.paused: set[SocketId] = set()
        self.draining = False
        self.accepting = True
        self.drained = False
        self._seen: dict[type, Callable[[Any], None]] = {
            Write: self._see_write,
            EndWriting: self._see_end_writing,
            CloseSocket: self._see_close,
            StopReading: self._see_stop,
            StartReading: self._see_start,
            Invoke: self._see_invoke,
            Cancel: self._see_cancel,
            Resolve: self._see_resolve,
            Drained: self._see_drained,
            Emit: self._see_emit,
        }

    def see(self, action: Action) -> None:
        """The next action, before it is performed."""
        self._seen[type(action)](action)

    def _see_write(self, action: Write) -> None:
        _must(action.socket not in self.silent, "order: bytes are written behind the end")
        _must(bool(action.data), "order: nothing is written")

    def _see_end_writing(self, action: EndWriting) -> None:
        _must(action.socket not in self.silent, "order: the end comes twice")
        self.silent.add(action.socket)

    def _see_close(self, action: CloseSocket) -> None:
        _must(action.socket not in self.cut, "order: a socket is cut twice")
        self.silent.add(action.socket)
        if not action.flush:
            self.cut.add(action.socket)

    def _see_stop(self, action: StopReading) -> None:
        _must(action.socket not in self.paused, "flow: reading stops twice")
        self.paused.add(action.socket)

    def _see_start(self, action: StartReading) -> None:
        _must(action.socket in self.paused, "flow: reading begins that never stopped")
        self.paused.discard(action.socket)

    def _see_invoke(self, action: Invoke) -> None:
        _must(action.call not in self.invoked, "calls: a handler is run twice")
        _must(action.caller.connection in self.open, "calls: a handler is run for nobody")
        self.invoked.add(action.call)

    def _see_cancel(self, action: Cancel) -> None:
        _must(action.call in self.invoked, "calls: what does not run is cancelled")
        _must(action.call not in self.cancelled, "calls: a handler is cancelled twice")
        self.cancelled.add(action.call)

    def _see_resolve(self, action: Resolve) -> None:
        _must(action.request not in self.resolved, "calls: a request has two outcomes")
        self.resolved.add(action.request)

    def _see_drained(self, action: Drained) -> None:
        _must(self.draining, "shutdown: it ends before it began")
        _must(not self.drained, "shutdown: it ends twice")
        self.drained = True

    def _see_emit(self, action: Emit) -> None:
        event: Event = action.event
        if isinstance(event, ConnectionOpened):
            known = event.connection in self.open or event.connection in self.closed
            _must(not known, "order: a connection opens twice")
            _must(not self.draining or event.kind == "http", "shutdown: who stays is let in")
            self.open.add(event.connection)
        elif isinstance(event, ConnectionClosed):
            _must(event.connection in self.open, "order: a connection closes that is not open")
            self.open.remove(event.connection)
            self.closed.add(event.connection)
        elif isinstance(event, CallCancelled | CallTimedOut):
            _must(event.call not in self.ended_early, "calls: a call has two outcomes")
            self.ended_early.add(event.call)
        elif isinstance(event, DrainStarted):
            _must(not self.draining, "shutdown: it begins twice")
            self.draining = True
        elif isinstance(event, AcceptingStopped):
            _must(self.draining and self.accepting, "shutdown: accepting stops out of its turn")
            self.accepting = False

    def gone(self, socket: SocketId) -> None:
        """This socket is closed and its id is never used again: it need not be remembered."""
        self.silent.discard(socket)
        self.cut.discard(socket)
        self.paused.discard(socket)

    def stopped(self, running: Iterable[Invoke]) -> None:
        """Of the handlers that run still, those whose caller has gone were told to stop, unless they are to finish."""
        for invoke in running:
            if invoke.caller.connection in self.closed and invoke.method.on_disconnect == "cancel":
                _must(invoke.call in self.cancelled, "calls: a handler runs on for nobody")

    def at_rest(self) -> None:
        """Whoever came has gone."""
        _must(not self.open, "rest: a connection is open that nobody has")
