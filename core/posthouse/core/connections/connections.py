"""One record per client, and one per socket: what they are, how they were admitted, and how they are found.

A connection's record holds the ids of what it has, so that its end costs what it had. Indexes by kind, user and
public id hold open connections only. It may not know what a call does, nor how bytes travel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from msgspec import Struct
from posthouse.core.calls.calls import Call
from posthouse.core.values.config import Config
from posthouse.core.values.peers import (
    KINDS,
    PUSHABLE,
    Address,
    Caller,
    CallId,
    ConnectionId,
    Identity,
    Kind,
    OutgoingId,
    Peer,
    SocketId,
)
from posthouse.core.values.rates import Bucket, Buckets, Window
from posthouse.core.values.timers import Timer


class State(Enum):
    """Where a connection is in its life."""

    OPEN = "open"
    ASKED = "asked"
    ANSWERED = "answered"
    CLOSING = "closing"
    GONE = "gone"


OPEN: Final = State.OPEN
"""By itself: every text and every payload asks for it, and to look it up in the class costs more than the answer."""


class Trigger(Enum):
    """What moves a connection from one state to the next."""

    REFUSE = "refuse"
    ASK = "ask"
    ANSWER = "answer"
    DISCONNECT = "disconnect"
    DISCONNECTED = "disconnected"


TRANSITIONS: Final[dict[tuple[State, Trigger], State]] = {
    (State.OPEN, Trigger.REFUSE): State.CLOSING,
    (State.OPEN, Trigger.ASK): State.ASKED,
    (State.OPEN, Trigger.DISCONNECT): State.CLOSING,
    (State.OPEN, Trigger.DISCONNECTED): State.GONE,
    (State.ASKED, Trigger.ANSWER): State.ANSWERED,
    (State.ASKED, Trigger.DISCONNECT): State.CLOSING,
    (State.ASKED, Trigger.DISCONNECTED): State.GONE,
    (State.ANSWERED, Trigger.DISCONNECT): State.CLOSING,
    (State.ANSWERED, Trigger.DISCONNECTED): State.GONE,
    (State.CLOSING, Trigger.DISCONNECTED): State.GONE,
}
"""Open: it may send texts. Asked: an HTTP exchange whose one text came. Answered: its answer is on its way. Closing:
only `disconnected` still counts."""

LIVING: Final = (State.OPEN, State.ASKED, State.ANSWERED)
"""The states in which a connection can be closed."""


# No Struct: its fields change with every call, and those of slots change faster.
@dataclass(slots=True, eq=False)
class Connection:
    """One client. `calls` are its calls without an outcome, by raw id (by call id where there is none to find them
    by); `running` counts handlers that have not ended; `waiting` are calls not yet handed out; `gathered` are bytes of
    replies whose batches are not complete. `heard_at` is when any bytes came, `active_at` when a text came or a handler
    ended; `asked_at` when a sign of life was asked for that has not come."""

    id: ConnectionId
    public_id: str
    peer: Peer
    identity: Identity
    opened_at: float
    heard_at: float
    active_at: float
    pushable: bool
    caller: Caller
    state: State = State.OPEN
    calls: dict[bytes | int, Call] = field(default_factory=dict)
    running: int = 0
    waiting: dict[CallId, Call] = field(default_factory=dict)
    waiting_bytes: int = 0
    batch_reply_bytes: int = 0
    requests: dict[OutgoingId, None] = field(default_factory=dict)
    made: int = 0
    code: int | None = None
    admitted: bool = False
    farewell_due: bool = False
    interval: float = 0.0
    asked_at: float | None = None
    heartbeat: Timer | None = None
    idle: Timer | None = None
    farewell: Timer | None = None
    call_bucket: Bucket | None = None
    invalid_window: Window | None = None

    def move(self, trigger: Trigger) -> None:
        """To the next state, by the table."""
        self.state = TRANSITIONS[self.state, trigger]


class Socket(Struct, eq=False, gc=False):
    """One accepted socket. `in_head` until its first whole head was read."""

    address: Address
    in_head: bool = True


class Connections:
    """The tables of sockets and connections. What a method refuses it refuses by the name of a limit in Config."""

    __slots__ = (
        "_accepts",
        "_config",
        "_entropy",
        "_last_connection",
        "_last_socket",
        "by_address",
        "by_kind",
        "by_public_id",
        "by_user",
        "in_head",
        "records",
        "sockets",
    )

    def __init__(self, config: Config, entropy: Callable[[int], bytes]) -> None:
        self._config = config
        self._entropy = entropy
        self._last_connection = 0
        self._last_socket = 0
        rate = config.accept_rate_per_address
        self._accepts = None if rate is None else Buckets(rate, config.max_connections)
        self.records: dict[ConnectionId, Connection] = {}
        self.sockets: dict[SocketId, Socket] = {}
        self.in_head = 0
        self.by_kind: dict[Kind, dict[ConnectionId, Connection]] = {kind: {} for kind in KINDS}
        self.by_user: dict[str, dict[ConnectionId, Connection]] = {}
        self.by_public_id: dict[str, Connection] = {}
        self.by_address: dict[str, int] = {}

    def known(self, connection: ConnectionId) -> bool:
        """Was this id ever given out?"""
        return 0 < connection <= self._last_connection

    def known_socket(self, socket: SocketId) -> bool:
        """Was this id ever given out?"""
        return 0 < socket <= self._last_socket

    # Sockets

    def socket_limits(self, address: Address, now: float) -> tuple[str, ...]:
        """The limits that one more socket from this address would breach."""
        config = self._config
        breached: list[str] = []
        if len(self.sockets) >= config.max_connections:
            breached.append("max_connections")
        if self.in_head >= config.max_in_head:
            breached.append("max_in_head")
        if not address.host:
            return tuple(breached)
        allowed = config.max_connections_per_address
        if allowed is not None and self.by_address.get(address.host, 0) >= allowed:
            breached.append("max_connections_per_address")
        if self._accepts is not None and not self._accepts.of(address.host, now).take(now):
            breached.append("accept_rate_per_address")
        return tuple(breached)

    def add_socket(self, address: Address) -> SocketId:
        """A new socket, in its head."""
        self._last_socket += 1
        socket = SocketId(self._last_socket)
        self.sockets[socket] = Socket(address)
        self.in_head += 1
        if address.host:
            self.by_address[address.host] = self.by_address.get(address.host, 0) + 1
        return socket

    def head_read(self, socket: SocketId) -> None:
        """Its first whole head was read."""
        record = self.sockets[socket]
        if record.in_head:
            record.in_head = False
            self.in_head -= 1

    def remove_socket(self, socket: SocketId) -> None:
        """It is closed."""
        self.head_read(socket)
        host = self.sockets.pop(socket).address.host
        if host:
            left = self.by_address[host] - 1
            if left:
                self.by_address[host] = left
            else:
                del self.by_address[host]

    # Connections

    def connection_limits(self, peer: Peer) -> tuple[str, ...]:
        """The limits that one more connection of this peer would breach."""
        breached: list[str] = []
        if peer.socket is None and len(self.records) >= self._config.max_connections:
            breached.append("max_connections")
        allowed = self._config.max_connections_per_user
        user = peer.identity.user
        if allowed is not None and user is not None and len(self.by_user.get(user, ())) >= allowed:
            breached.append("max_connections_per_user")
        return tuple(breached)

    def add(self, peer: Peer, now: float) -> Connection:
        """A new record, not yet in any index."""
        self._last_connection += 1
        id = ConnectionId(self._last_connection)
        public_id = self._entropy(12).hex()
        caller = Caller(id, public_id, peer.kind, peer.identity)
        record = Connection(id, public_id, peer, peer.identity, now, now, now, PUSHABLE[peer.kind], caller)
        self.records[id] = record
        return record

    def index(self, record: Connection) -> None:
        """It is admitted: it can be found from now on."""
        record.admitted = True
        self.by_kind[record.peer.kind][record.id] = record
        self.by_public_id[record.public_id] = record
        if record.identity.user is not None:
            self.by_user.setdefault(record.identity.user, {})[record.id] = record

    def unindex(self, record: Connection) -> None:
        """It is closing or gone: it can no longer be found. Once is enough; twice is harmless."""
        self.by_kind[record.peer.kind].pop(record.id, None)
        self.by_public_id.pop(record.public_id, None)
        user = record.identity.user
        if user is not None and user in self.by_user:
            self.by_user[user].pop(record.id, None)
            if not self.by_user[user]:
                del self.by_user[user]

    def remove(self, record: Connection) -> None:
        """It is gone."""
        self.unindex(record)
        del self.records[record.id]

    def idlest(self) -> Connection | None:
        """The admitted connection that was heard of least recently."""
        return min(self.by_public_id.values(), key=lambda record: (record.heard_at, record.id), default=None)
