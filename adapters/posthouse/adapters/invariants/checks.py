"""All facts at once: between two inputs, after one step, and when nothing is left to do."""

from __future__ import annotations

from collections.abc import Iterable

from posthouse.core.values.peers import SocketId
from posthouse.transports.switchboard.switchboard import Switchboard

from .accounts.sessions import session_bytes, sessions, sessions_at_rest
from .accounts.users import users
from .forwarding import client_of
from .gateway import calls, calls_of, flow, flow_of, shutdown
from .identity import identity
from .publishing.topics import topic_bytes, topics, topics_at_rest
from .switchboard import socket_of, tables, totality
from .violation import must


def check(board: Switchboard) -> None:
    """Every fact that must hold between two inputs."""
    gateway = board.gateway
    calls(gateway)
    tables(board)
    identity(gateway)
    sessions(gateway)
    users(gateway)
    topics(gateway)
    flow(gateway)
    shutdown(gateway)
    for record in gateway._connections.records.values():
        calls_of(gateway, record)
    for state in board._sockets.records.values():
        socket_of(board, state)
        client_of(board, state)
    totality(board)


def check_touched(board: Switchboard, sockets: Iterable[SocketId]) -> None:
    """The facts of these sockets and their connections, and the sums over all of them."""
    gateway = board.gateway
    states, records = board._sockets.records, gateway._connections.records
    table = gateway._calls
    running = len(table.records) - table.waiting
    must(table.handlers == running, "calls: a slot for each handler")
    must(running <= gateway.config.max_calls, "calls: no more handlers than max_calls")
    must(len(states) == len(gateway._connections.sockets), "tables: switchboard and gateway have the same sockets")
    with_home = len(board._sockets.by_connection) + len(board._local_calls.open)
    must(with_home == len(records), "tables: every connection has a socket")
    must(not gateway.outbox, "totality: every effect was performed")
    for socket in sockets:
        state = states.get(socket)
        if state is None:
            continue
        socket_of(board, state)
        client_of(board, state)
        if state.codec.output:
            must(bool(state.stopped) or state.codec_closed, "totality: every output of a codec was processed")
        if state.connection is not None:
            record = records[state.connection]
            calls_of(gateway, record)
            backlog = gateway._flow.backlogs.get(record.id)
            if backlog is not None:
                flow_of(gateway, record.id, backlog)


def check_at_rest(board: Switchboard) -> None:
    """Every fact, when all sockets are closed and all handlers have ended: tables are empty, no deadline is left."""
    check(board)
    gateway = board.gateway
    connections, table = gateway._connections, gateway._calls
    must(not table.records, "rest: no call is left")
    must((table.handlers, table.waiting) == (0, 0), "rest: no slot is held")
    must(len(gateway._requests) == 0, "rest: no request is in flight")
    must(not gateway._operations.records, "rest: no external operation is left")
    must(not gateway._logins.records, "rest: no log-in is left")
    must(not gateway._verifications.records, "rest: no verification is left")
    must(not connections.records, "rest: no connection is left")
    must(not connections.sockets, "rest: no socket is left")
    must(not connections.by_public_id, "rest: no public id is left")
    must(not connections.by_user, "rest: no user is left")
    must(not connections.by_address, "rest: no address is left")
    must(connections.in_head == 0, "rest: no socket is in its head")
    must(not gateway._flow.backlogs, "rest: nothing is queued")
    sessions_at_rest(gateway)
    topics_at_rest(gateway)
    kept = session_bytes(gateway) + topic_bytes(gateway)
    must(gateway.memory == gateway._buffered + kept, "rest: nothing is held")
    must(not board._sockets.records, "rest: the switchboard has no socket left")
    must(not board._local_calls.open, "rest: no local call is left")
    must(not board._sockets.by_connection, "rest: no connection has a socket")
    must(board._sockets.buffered == 0, "rest: nothing is buffered")
    # The store is told of uses within a minute, and outcomes of keys are kept for a while.
    told = gateway._sessions._activity is not None or gateway._chores.records or gateway._idempotency.kept
    kept_on = gateway._broker.records or gateway._broker.keys.records  # they are forgotten after a while
    must(board.next_timeout() is None or board.draining or told or kept_on, "rest: no deadline is left")
