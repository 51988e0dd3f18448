"""The facts of a switchboard with its gateway, between two inputs."""

from __future__ import annotations

from collections import Counter
from math import inf

from posthouse.core.calls.calls import Phase
from posthouse.core.connections.state import LIVING, State
from posthouse.core.values.config import Config
from posthouse.core.values.peers import KINDS
from posthouse.transports.codec import Codec, message_limit
from posthouse.transports.hosted.exchange import HostedExchange
from posthouse.transports.hosted.state import HostedState
from posthouse.transports.hosted.websocket import HostedWebSocket
from posthouse.transports.http.answers import CONTINUE
from posthouse.transports.http.bodies import MAX_CHUNK_OVERHEAD, CountedBody
from posthouse.transports.http.server import Http1
from posthouse.transports.http.state import HttpState
from posthouse.transports.pipes.content_length import MAX_HEAD_BYTES
from posthouse.transports.pipes.pipe import Pipe
from posthouse.transports.switchboard.socket_state import SocketPhase, SocketState
from posthouse.transports.switchboard.sockets import BACKLOG, BUFFER
from posthouse.transports.switchboard.switchboard import Switchboard
from posthouse.transports.websocket.receive import FRAGMENT_CHARGE
from posthouse.transports.websocket.server import WebSocket
from posthouse.transports.websocket.state import WebSocketState

from .violation import must


def tables(board: Switchboard) -> None:
    """A connection is found by kind, user and public id while it is live, and not afterwards. It has one socket, and
    each knows the other. Only that of a local call has no socket."""
    table, sockets, local = board.gateway._connections, board._sockets, board._local_calls.open
    living = {id: record for id, record in table.records.items() if record.admitted and record.state in LIVING}
    must(
        {r.public_id: r for r in living.values()} == table.by_public_id,
        "tables: a live connection is found by public id",
    )
    for kind in KINDS:
        of_kind = {id for id, record in living.items() if record.peer.kind == kind}
        must(table.by_kind[kind].keys() == of_kind, "tables: a live connection is found by kind")
    by_user = sorted((user, id) for user, of_user in table.by_user.items() for id in of_user)
    users = sorted((key, id) for id, record in living.items() if (key := record.identity.key) is not None)
    must(by_user == users, "tables: a live connection is found by user")
    must(all(table.by_user.values()), "tables: a user without connections is not kept")
    in_head = sum(socket.in_head for socket in table.sockets.values())
    must(table.in_head == in_head, "tables: sockets in their head are counted")
    counted = Counter(socket.counted for socket in table.sockets.values() if socket.counted)
    must(table.by_address == counted, "tables: sockets are counted by address")
    for number, socket in table.sockets.items():
        right = _counted(board, sockets.records[number]) if number in sockets.records else (socket.counted,)
        must(socket.counted in right, "tables: a socket is counted for its peer, or for the client of its request")
    must(sockets.records.keys() == table.sockets.keys(), "tables: switchboard and gateway have the same sockets")
    must(sockets.by_connection.keys() | local.keys() == table.records.keys(), "tables: every connection has a socket")
    for connection in local:
        record = table.records[connection]
        must(record.peer.kind == "local" and bool(record.calls), "tables: a local call is in flight until its outcome")
    for connection, state in sockets.by_connection.items():
        must(state.connection == connection, "tables: a socket knows its connection")
        must(sockets.records.get(state.socket) is state, "tables: the socket of a connection is in the table")
        must(table.records[connection].peer.socket == state.socket, "tables: a connection knows its socket")
    must(
        sockets.buffered == sum(state.buffered for state in sockets.records.values()),
        "flow: the sum of buffered bytes is right",
    )
    held = board.gateway.memory - board.gateway._buffered + sockets.buffered
    must(board.health(0.0).memory == held, "flow: health tells what is held now")


def _counted(board: Switchboard, state: SocketState) -> tuple[str, ...]:
    """The keys under which limits per address may count this socket."""
    if not board._networks.trust(state.address):
        return (state.address.key,)
    table = board.gateway._connections
    if state.connection is not None:
        record = table.records[state.connection]
        key = record.peer.address.key
        return (key,) if table.limits_addresses and record.admitted else (key, "")
    if type(state.codec) is Http1 and state.codec._state is not HttpState.IDLE:
        client = state.codec._reader.client
    else:
        client = state.codec._client if type(state.codec) is HostedExchange else None
    return ("",) if client is None else ("", client.key)


def socket_of(board: Switchboard, state: SocketState) -> None:
    """One socket: gateway and switchboard agree on its held bytes, those have a deadline, and its buffer is bounded."""
    config, wire, connection = board.config, state.wire, state.connection
    if connection is not None:
        must(board._sockets.by_connection.get(connection) is state, "tables: a socket is found by its connection")
        record = board.gateway._connections.records[connection]
        if record.state in LIVING:
            held = board.gateway._flow.held(connection)
            must(wire.reported == held <= wire.outstanding, "flow: the gateway knows how much the wire holds")
            if held:
                paused = state.codec_closed or bool(state.stopped & BACKLOG) or not record.pushable
                must(paused, "flow: a peer that does not read is not read from")
            if record.pushable and record.state is State.OPEN and config.require_authentication:
                expiring = board.gateway._expiry.records.get(connection)
                valid = record.identity.authenticated and not (expiring is not None and expiring.expired)
                most = message_limit(config, authenticated=valid)
                must(_most(state.codec) == most, "limits: messages are limited as those of their caller")
        if state.phase is SocketPhase.ASKED and record.peer.kind == "http":
            # The answer before has been sent, so its connection has ended.
            must(wire.waiting_bytes <= len(CONTINUE), "flow: an exchange begins when the one before has ended")
    if not wire.clear and not state.codec_closed and not wire.reported:
        watched = state.stalled is not None and state.stalled.live
        must(watched, "time: held bytes without a connection have a deadline")
    if not state.codec_closed:
        due = state.codec.next_timeout()
        if due is None:
            must(not _waits(state), "time: a codec that waits for its peer has a deadline")
        else:
            armed = state.due is not None and state.due.live and state.due.when <= due
            must(armed, "time: the deadline of a codec is armed")
        if connection is None and config.require_authentication and not state.identity.authenticated:
            most = config.max_message_bytes_unauthenticated
            must(_body_size(state.codec) <= most, "limits: a large body is read when its caller was verified")
        if not state.codec.output:
            full = _is_full(state.codec, config)
            must(full is bool(state.stopped & BUFFER), "flow: a codec with a full buffer is not read for")
    buffered = state.codec.buffered
    must(state.codec_closed or state.buffered == buffered, "flow: the bytes that a codec holds are counted")
    if buffered:
        body = config.max_body_bytes * 2 + MAX_CHUNK_OVERHEAD
        message = config.max_message_bytes * 2 + config.max_fragments * FRAGMENT_CHARGE
        head = max(config.max_head_bytes, MAX_HEAD_BYTES)
        bound = max(body, message) + head + config.read_bytes * 2
        must(buffered <= bound, "flow: the buffer of a codec is bounded")


def time(board: Switchboard, now: float) -> None:
    """After `handle_timeout(now)`, no deadline of the gateway is overdue. One of this moment may have been set by
    messages that codecs had held back."""
    gateway = board.gateway
    due = gateway.next_timeout()
    must(due is None or due >= now, "time: a deadline has passed and was not handled")
    for call in gateway._calls.records.values():
        must(call.phase is Phase.ENDED or call.deadline >= now, "time: a call outlived its deadline")


def totality(board: Switchboard) -> None:
    """An input leaves no work behind: effects and outputs of codecs have been processed, except texts that wait for a
    peer that does not read."""
    must(not board.gateway.outbox, "totality: every effect was performed")
    must(not board.gateway._busy, "totality: an input ran to its end")
    for state in board._sockets.records.values():
        must(
            not state.codec.output or bool(state.stopped) or state.codec_closed,
            "totality: every output of a codec was processed",
        )


def _is_full(codec: Codec, config: Config) -> bool:
    """Is its buffer so full that it must not be read for until its next turn?"""
    if type(codec) is Http1:
        return len(codec._reader.buffer) > config.max_head_bytes
    if type(codec) is WebSocket:
        return codec._receiver.backlog
    if type(codec) is HostedExchange:
        return codec._announced and codec._state is HostedState.ASKED
    return isinstance(codec, Pipe) and bool(codec._unread)


def _body_size(codec: Codec) -> float:
    """The size of the body that this codec is reading. 0: it reads none."""
    if type(codec) is not Http1 or codec._state is not HttpState.BODY:
        return 0
    body = codec._reader._body
    assert body is not None
    return body.buffered + body.missing if isinstance(body, CountedBody) else inf


def _most(codec: Codec) -> int | None:
    """The most bytes of a message that this codec takes."""
    if type(codec) is WebSocket:
        return codec._receiver._most
    if type(codec) is HostedWebSocket:
        return codec._max_bytes
    return codec._most if isinstance(codec, Pipe) else None


def _waits(state: SocketState) -> bool:
    """Does it wait for its peer, which may never send?"""
    codec = state.codec
    if type(codec) is Http1:
        if codec._state is HttpState.LINGERING:
            return state.wire.clear and not codec.output
        if codec._state is HttpState.ASKED:
            return codec._gone_at is not None
        return codec._state in (HttpState.IDLE, HttpState.HEAD, HttpState.BODY, HttpState.YIELDED)
    if type(codec) is WebSocket:
        if codec._state is WebSocketState.OPEN:
            return codec._receiver.in_progress and not codec._output_paused
        return codec._state is not WebSocketState.SHUT
    if type(codec) is HostedExchange:
        return codec._state is HostedState.BODY
    return isinstance(codec, Pipe) and codec.at_eof and not codec._done
