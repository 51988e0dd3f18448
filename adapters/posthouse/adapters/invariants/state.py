"""The facts of a gateway and a switchboard between two inputs, and when nothing is left to do.

Each function is one kind of fact and changes nothing. They look inside, because joint facts have no other witness: a
count here and a table there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from posthouse.core.calls.calls import Phase
from posthouse.core.connections.connections import LIVING, Connection, State
from posthouse.core.connections.flow import Backlog
from posthouse.core.gateway import Gateway
from posthouse.core.values.config import Config
from posthouse.core.values.peers import KINDS, PUSHABLE, ConnectionId, SocketId
from posthouse.transports.codec import Codec
from posthouse.transports.http.answers import CONTINUE
from posthouse.transports.http.bodies import MAX_CHUNK_OVERHEAD
from posthouse.transports.http.server import Http1
from posthouse.transports.http.server import State as Exchanging
from posthouse.transports.pipes.content_length import MAX_HEAD_BYTES
from posthouse.transports.pipes.pipe import Pipe
from posthouse.transports.switchboard.sockets import BACKLOG, BUFFER, SocketState
from posthouse.transports.switchboard.switchboard import Switchboard
from posthouse.transports.websocket.receive import FRAGMENT_CHARGE
from posthouse.transports.websocket.server import OPEN, SHUT, WebSocket

from .violation import must


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
    must(table.handlers == running, "calls: a slot for each handler")
    must(running <= gateway.config.max_calls, "calls: no more handlers than max_calls")
    must(len(lines) == len(gateway._connections.sockets), "tables: a socket here is a socket there")
    must(len(board._sockets.by_connection) == len(records), "tables: each connection lives on a socket")
    must(not gateway.outbox, "totality: what the gateway asked was done")
    for socket in sockets:
        line = lines.get(socket)
        if line is None:
            continue
        line_of(board, line)
        if line.codec.output:
            must(bool(line.stopped) or line.codec_closed, "totality: what a codec said was done")
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
    must(not table.records, "rest: no call is left")
    must((table.handlers, table.waiting, table.waiting_bytes) == (0, 0, 0), "rest: no slot is held")
    must(len(gateway._requests) == 0, "rest: no request is in flight")
    must(not connections.records, "rest: no connection is left")
    must(not connections.sockets, "rest: no socket is left")
    must(not connections.by_public_id, "rest: no public id is left")
    must(not connections.by_user, "rest: no user is left")
    must(not connections.by_address, "rest: no address is left")
    must(connections.in_head == 0, "rest: no socket is in its head")
    must(not gateway._flow.backlogs, "rest: nothing is queued")
    must(gateway._flow.total == 0, "rest: nothing is held")
    must(gateway._replies.batch_reply_bytes == 0, "rest: no reply waits for its batch")
    must(not board._sockets.lines, "rest: no line is left")
    must(not board._sockets.by_connection, "rest: no connection is on a line")
    must(board._sockets.buffered == 0, "rest: nothing is buffered")
    must(board.next_timeout() is None or board.draining, "rest: no deadline is left")


# Kinds of facts


def calls(gateway: Gateway) -> None:
    """Handlers that run never exceed their cap, and are counted the same wherever they are counted."""
    table, records = gateway._calls, gateway._connections.records
    handed_out = Counter(call.connection for call in table.records.values() if call.phase is not Phase.WAITING)
    must(table.handlers == handed_out.total(), "calls: a slot for each handler")
    must(table.handlers <= gateway.config.max_calls, "calls: no more handlers than max_calls")
    must(table.waiting == len(table.records) - table.handlers, "calls: what waits is counted")
    waiting_bytes = sum(record.waiting_bytes for record in records.values())
    must(table.waiting_bytes == waiting_bytes, "calls: the bytes that wait are counted")
    for record in records.values():
        must(record.running == handed_out[record.id], "calls: a connection's slots are those of its handlers")
    for call in table.records.values():
        owner = records.get(call.connection)
        owned = owner is not None and owner.calls.get(call.key) is call
        open_ = call.phase is not Phase.ENDED and not call.detached
        must(owned == open_, "calls: a call without an outcome is its connection's, and no other is")
    asked = sum(len(record.requests) for record in records.values())
    must(len(gateway._requests) == asked, "calls: each request in flight has a peer that knows of it")


def calls_of(gateway: Gateway, record: Connection) -> None:
    """A connection's calls are those without an outcome; they run up to its cap, and the others wait."""
    config = gateway.config
    must(record.running <= config.max_calls_per_connection, "calls: no more handlers than a connection may have")
    if record.requests:
        must(PUSHABLE[record.peer.kind], "calls: only who can be pushed to is asked")
    if record.calls:
        table = gateway._calls.records
        must(record.state is not State.CLOSING, "calls: who is closed waits for no outcome")
        for key, call in record.calls.items():
            must(table.get(call.call) is call, "calls: a connection's call is in the table")
            must((call.key, call.connection) == (key, record.id), "calls: a call is found by its own key")
            must(call.phase is not Phase.ENDED, "calls: a call with an outcome is nobody's")
    if record.waiting:
        full = record.running == config.max_calls_per_connection
        must(full, "calls: none waits while there is a slot")
        must(len(record.waiting) <= config.max_waiting_calls, "calls: no more wait than may")
        size = sum(len(call.params or b"") for call in record.waiting.values())
        must(record.waiting_bytes == size <= config.max_waiting_bytes, "calls: the bytes that wait are counted")
        must(all(record.calls[call.key] is call for call in record.waiting.values()), "calls: what waits is a call")
    else:
        must(not record.waiting_bytes, "calls: the bytes that wait are counted")


def tables(board: Switchboard) -> None:
    """A connection is found by kind, user and public id while it lives here, and by none of them afterwards; it
    lives on the one socket that says so."""
    table, sockets = board.gateway._connections, board._sockets
    living = {id: record for id, record in table.records.items() if record.admitted and record.state in LIVING}
    must({r.public_id: r for r in living.values()} == table.by_public_id, "tables: who lives is found by public id")
    for kind in KINDS:
        of_kind = {id for id, record in living.items() if record.peer.kind == kind}
        must(table.by_kind[kind].keys() == of_kind, "tables: who lives is found by kind")
    by_user = sorted((user, id) for user, of_user in table.by_user.items() for id in of_user)
    users = sorted((r.identity.user, id) for id, r in living.items() if r.identity.user is not None)
    must(by_user == users, "tables: who lives is found by user")
    must(all(table.by_user.values()), "tables: a user without connections is not kept")
    in_head = sum(socket.in_head for socket in table.sockets.values())
    must(table.in_head == in_head, "tables: sockets in their head are counted")
    hosts = Counter(socket.address.host for socket in table.sockets.values() if socket.address.host)
    must(table.by_address == hosts, "tables: sockets are counted by address")
    must(sockets.lines.keys() == table.sockets.keys(), "tables: a socket here is a socket there")
    must(sockets.by_connection.keys() == table.records.keys(), "tables: each connection lives on a socket")
    for connection, line in sockets.by_connection.items():
        must(line.connection == connection, "tables: a socket says who lives on it")
        must(sockets.lines.get(line.socket) is line, "tables: a connection lives on a socket that is there")
        must(table.records[connection].peer.socket == line.socket, "tables: a connection knows its socket")
    must(sockets.buffered == sum(line.buffered for line in sockets.lines.values()), "flow: what is buffered adds up")


def flow(gateway: Gateway) -> None:
    """What is held and queued adds up, and nothing is queued where nothing is held."""
    total = 0
    for id, backlog in gateway._flow.backlogs.items():
        flow_of(gateway, id, backlog)
        total += backlog.held + backlog.reply_bytes + backlog.push_bytes
    must(gateway._flow.total == total, "flow: what is held and queued adds up")


def flow_of(gateway: Gateway, id: ConnectionId, backlog: Backlog) -> None:
    """One peer that does not take what it is sent: its queue is within its limits and it has a deadline."""
    config = gateway.config
    replies = sum(len(queued.data) for queued in backlog.queue if queued.at is None)
    pushes = [len(queued.data) for queued in backlog.queue if queued.at is not None]
    must(backlog.held > 0, "flow: nothing is queued where nothing is held")
    must(gateway._connections.records[id].state in LIVING, "flow: nothing is queued for who is closed")
    must(backlog.reply_bytes == replies <= config.max_queued_replies_bytes, "flow: replies are within their limit")
    must(backlog.push_bytes == sum(pushes) <= config.max_queued_pushes_bytes, "flow: pushes are within their limit")
    must(len(backlog.push_times) == len(pushes) <= config.max_queued_pushes, "flow: pushes are within their number")
    must(backlog.timer is not None and backlog.timer.live, "time: who does not read has a deadline")


def line_of(board: Switchboard, line: SocketState) -> None:
    """One socket: what is held for it is counted alike on both sides and has a deadline; what it buffers is bounded."""
    config, wire, connection = board.config, line.wire, line.connection
    if connection is not None:
        must(board._sockets.by_connection.get(connection) is line, "tables: a socket is found by who lives on it")
        record = board.gateway._connections.records[connection]
        if record.state in LIVING:
            held = board.gateway._flow.held(connection)
            must(line.counted == held <= wire.outstanding, "flow: the gateway knows what the wire holds")
            if held:
                paused = line.codec_closed or BACKLOG in line.stopped or not record.pushable
                must(paused, "flow: who does not read is not read from")
        if type(line.codec) is Http1 and not line.answered and line.upgrade is None:
            # The answer before has gone, and the connection that it was for with it.
            must(wire.waiting_bytes <= len(CONTINUE), "flow: an exchange begins when the one before has ended")
    if not wire.clear and not line.codec_closed and not line.counted:
        watched = line.stalled is not None and line.stalled.live
        must(watched, "time: bytes that are held for nobody have a deadline")
    if not line.codec_closed:
        due = line.codec.next_timeout()
        if due is None:
            must(not _waits(line), "time: a codec that waits for its peer has a deadline")
        else:
            armed = line.due is not None and line.due.live and line.due.when <= due
            must(armed, "time: what a codec waits for is waited for")
        if not line.codec.output:
            full = _is_full(line.codec, config)
            must(full is (BUFFER in line.stopped), "flow: a codec that has enough is not read for")
    buffered = line.codec.buffered
    if buffered:
        body = config.max_body_bytes * 2 + MAX_CHUNK_OVERHEAD
        message = config.max_message_bytes * 2 + config.max_fragments * FRAGMENT_CHARGE
        head = max(config.max_head_bytes, MAX_HEAD_BYTES)
        bound = max(body, message) + head + config.read_bytes * 2
        must(buffered <= bound, "flow: what a codec buffers is bounded")


def _is_full(codec: Codec, config: Config) -> bool:
    """Does it hold so much that it wants no more until it has had its next turn?"""
    match codec:
        case Http1():
            return len(codec._buffer) > config.max_head_bytes
        case WebSocket():
            return codec._inbound.backlog
        case Pipe():
            return bool(codec._unread)
        case _:
            return False


def _waits(line: SocketState) -> bool:
    """Is it the peer's turn, who may never take it?"""
    match codec := line.codec:
        case Http1():
            if codec._state is Exchanging.LEAVING:
                return line.wire.clear and not codec.output
            return codec._state is Exchanging.HEAD or codec._state is Exchanging.BODY
        case WebSocket():
            if codec._state is OPEN:
                return codec._inbound.in_progress and not codec.output_paused
            return codec._state is not SHUT
        case Pipe():
            return codec.at_eof and not codec._over
        case _:
            return False


def time(board: Switchboard, now: float) -> None:
    """After `handle_timeout(now)`: nothing of the gateway's is overdue."""
    gateway = board.gateway
    due = gateway.next_timeout()
    must(due is None or due > now, "time: a deadline has passed and nothing was done")
    for call in gateway._calls.records.values():
        must(call.phase is Phase.ENDED or call.deadline > now, "time: a call outlived its deadline")


def totality(board: Switchboard) -> None:
    """An input leaves no work behind: effects are performed, and what codecs said was done, but for texts that wait for
    a peer that does not read."""
    must(not board.gateway.outbox, "totality: what the gateway asked was done")
    must(not board.gateway._busy, "totality: an input ran to its end")
    for line in board._sockets.lines.values():
        must(not line.codec.output or bool(line.stopped) or line.codec_closed, "totality: what a codec said was done")


def shutdown(gateway: Gateway) -> None:
    """When it is over, nobody lives here any more; and it is not over before it began."""
    drain = gateway._drain
    must(drain.accepting or drain.began is not None, "shutdown: sockets are accepted until one begins")
    if drain.over:
        living = any(record.state in LIVING for record in gateway._connections.records.values())
        must(not drain.accepting and not living, "shutdown: it is over when everybody has gone")
