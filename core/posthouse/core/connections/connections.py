"""One record per connection and per socket, how they are found, and the limits on their number.

A connection's record holds the ids of its calls and requests, so that its end costs only as much as it had. The indexes
by kind, user and public id hold open connections only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct
from posthouse.core.values.close_reasons import (
    ACCEPT_RATE_PER_ADDRESS,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_ADDRESS,
    MAX_CONNECTIONS_PER_USER,
    MAX_IN_HEAD,
    CloseReason,
    Limit,
)
from posthouse.core.values.errors import UsageError
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
    SetCookie,
    SocketId,
    UserKey,
    WireId,
)
from posthouse.core.values.rates import Bucket, Buckets, Window
from posthouse.core.values.shared import Shared
from posthouse.core.values.timers import Timer

from .state import OPEN, TRANSITIONS, State, Trigger

NOTHING: Final[dict[Any, Any]] = {}
"""The calls, or the requests, of a connection that has none. Never changed: an empty dict takes 64 bytes, and one that
was emptied 220, for each connection."""


# Not a Struct: the fields change with every call, and slots are faster to write.
@dataclass(slots=True, eq=False)
class Connection:
    """One client.

    `calls`: its calls without an outcome, by `Call.key`. `running`: how many of its handlers have not ended.
    `waiting`: its calls whose handlers have not started, with `waiting_bytes` of params. `batch_reply_bytes`: bytes
    of replies in incomplete batches. `following`: notifications, of `following_bytes`, that wait for the replies of its
    calls. `changing`: the call that may change its identity. `requests`: requests to it without an outcome. `made`: how
    many calls it made. `code` and `reason`: why it was closed. `flush`: queued payloads are sent before it is closed.
    `cookie`: the hash of the cookie with which it came; `set_cookie`: the one that its answer sets. `session`: the
    session to which it belongs. `admitted`: it was
    not refused. `farewell_due`: a shut-down closes it as soon as it has no calls. `heard_at`: when
    bytes were last received. `active_at`: when a text was last received or a handler ended. `asked_at`: when the
    unanswered heartbeat was sent, or None. `patient_at`: until then it was told to try no credentials.
    """

    id: ConnectionId
    public_id: str
    peer: Peer
    identity: Identity
    opened_at: float
    heard_at: float
    active_at: float
    pushable: bool
    caller: Caller
    calls: dict[WireId | CallId, CallId]
    waiting: dict[CallId, None]
    requests: dict[OutgoingId, None]
    state: State = OPEN
    running: int = 0
    waiting_bytes: int = 0
    batch_reply_bytes: int = 0
    following: int = 0
    following_bytes: int = 0
    changing: CallId | None = None
    made: int = 0
    code: int | None = None
    reason: str | None = None
    flush: bool = False
    cookie: bytes | None = None
    set_cookie: SetCookie | None = None
    session: str | None = None
    admitted: bool = False
    farewell_due: bool = False
    interval: float = 0.0
    asked_at: float | None = None
    heartbeat: Timer | None = None
    idle: Timer | None = None
    farewell: Timer | None = None
    call_bucket: Bucket | None = None
    invalid_window: Window | None = None
    patient_at: float = 0.0

    def move(self, trigger: Trigger) -> None:
        """Go to the next state by `TRANSITIONS`. Raises IllegalEvent if the table has none."""
        self.state = TRANSITIONS[self.state][trigger]


Identified = Callable[[Connection, float], None]
"""Called with a connection that lasts and the time: it was admitted with its identity, or has got another one."""


class Socket(Struct, eq=False, gc=False):
    """One accepted socket. `counted` is the key under which limits per address count it, or empty: behind a trusted
    proxy, that of the client whose request it carries. `in_head`: its first whole head has not been read yet."""

    address: Address
    counted: str
    in_head: bool = True


class Connections:
    """The tables of sockets and connections. `in_head`: the number of sockets whose first head has not been read.
    `most_sockets`, `most_in_head`, `most_of_address`: the most that there were; the last of one address.
    `limits_addresses`: a limit per address is set. `identified` are told of identities."""

    def __init__(self, shared: Shared) -> None:
        self._config = config = shared.config
        self._entropy = shared.entropy
        self._last_connection = 0
        self._last_socket = 0
        rate = config.accept_rate_per_address
        self._accepts = None if rate is None else Buckets(rate, config.max_connections)
        self.limits_addresses = rate is not None or config.max_connections_per_address is not None
        self.records: dict[ConnectionId, Connection] = {}
        self.sockets: dict[SocketId, Socket] = {}
        self.in_head = 0
        self.most_sockets = self.most_in_head = self.most_of_address = 0
        self.by_kind: dict[Kind, dict[ConnectionId, Connection]] = {kind: {} for kind in KINDS}
        self.by_user: dict[UserKey, dict[ConnectionId, Connection]] = {}
        self.by_public_id: dict[str, Connection] = {}
        self.by_address: dict[str, int] = {}
        self.identified: list[Identified] = []

    def find(self, connection: ConnectionId) -> Connection | None:
        """The record of this id, or None if the connection is gone. Raises UsageError if it never existed."""
        record = self.records.get(connection)
        if record is None and not 0 < connection <= self._last_connection:
            raise UsageError(f"connection {connection} never existed")
        return record

    def has_socket(self, socket: SocketId) -> bool:
        """Is this socket open? Raises UsageError if it never existed."""
        if socket not in self.sockets and not 0 < socket <= self._last_socket:
            raise UsageError(f"socket {socket} never existed")
        return socket in self.sockets

    # Sockets

    def socket_limits(self, address: Address, now: float, *, trusted: bool = False) -> list[Limit]:
        """The limits that one more socket from this address would breach. Those per address do not apply to a `trusted`
        proxy: they apply to its clients."""
        breached: list[Limit] = []
        if len(self.sockets) >= self._config.max_connections:
            breached.append(MAX_CONNECTIONS)
        if self.in_head >= self._config.max_in_head:
            breached.append(MAX_IN_HEAD)
        if self.limits_addresses and not trusted:
            breached += self.address_limits(address, now)
        return breached

    def address_limits(self, address: Address, now: float) -> list[CloseReason]:
        """The limits that one more socket, or one more request through a trusted proxy, from this address would
        breach."""
        breached: list[CloseReason] = []
        key = address.key
        if not key:
            return breached
        allowed = self._config.max_connections_per_address
        if allowed is not None and self.by_address.get(key, 0) >= allowed:
            breached.append(MAX_CONNECTIONS_PER_ADDRESS)
        if self._accepts is not None and not self._accepts.of(key, now).take(now):
            breached.append(ACCEPT_RATE_PER_ADDRESS)
        return breached

    def add_socket(self, address: Address, *, trusted: bool = False) -> SocketId:
        """Record a new socket. That of a `trusted` proxy is counted for its clients."""
        self._last_socket += 1
        socket = SocketId(self._last_socket)
        key = "" if trusted else address.key
        self.sockets[socket] = Socket(address, key)
        self.in_head += 1
        if len(self.sockets) > self.most_sockets:
            self.most_sockets = len(self.sockets)
        if self.in_head > self.most_in_head:
            self.most_in_head = self.in_head
        if key:
            self.by_address[key] = of_address = self.by_address.get(key, 0) + 1
            if of_address > self.most_of_address:
                self.most_of_address = of_address
        return socket

    def count(self, socket: SocketId, key: str) -> None:
        """Count this socket under this key, and no longer under the one before it. Empty: under none."""
        record = self.sockets[socket]
        before, record.counted = record.counted, key
        if before:
            left = self.by_address[before] - 1
            if left:
                self.by_address[before] = left
            else:
                del self.by_address[before]
        if key:
            self.by_address[key] = of_address = self.by_address.get(key, 0) + 1
            if of_address > self.most_of_address:
                self.most_of_address = of_address

    def head_read(self, socket: SocketId) -> None:
        """The socket's first whole head was read."""
        record = self.sockets[socket]
        if record.in_head:
            record.in_head = False
            self.in_head -= 1

    def remove_socket(self, socket: SocketId) -> None:
        """The socket is closed."""
        record = self.sockets[socket]
        if record.in_head:
            self.head_read(socket)
        if record.counted:
            self.count(socket, "")
        del self.sockets[socket]

    # Connections

    def connection_limits(self, peer: Peer, identity: Identity | None = None) -> list[CloseReason]:
        """The limits that one more connection from this peer would breach. `identity` None: that of the peer."""
        breached: list[CloseReason] = []
        if peer.socket is None and len(self.records) >= self._config.max_connections:
            breached.append(MAX_CONNECTIONS)
        if self._config.max_connections_per_user is not None:
            breached += self.user_limits(identity or peer.identity)
        return breached

    def user_limits(self, identity: Identity) -> list[CloseReason]:
        """The limits that one more connection of this user would breach."""
        allowed, user = self._config.max_connections_per_user, identity.key
        if allowed is not None and user is not None and len(self.by_user.get(user, ())) >= allowed:
            return [MAX_CONNECTIONS_PER_USER]
        return []

    def add(self, peer: Peer, now: float, identity: Identity | None = None) -> Connection:
        """Record a new connection, not yet in any index. `identity` None: that of the peer."""
        self._last_connection += 1
        id = ConnectionId(self._last_connection)
        public_id = self._entropy(12).hex()
        if identity is None:
            identity = peer.identity
        caller = Caller(id, public_id, peer, identity)
        pushable = PUSHABLE[peer.kind]
        record = Connection(id, public_id, peer, identity, now, now, now, pushable, caller, NOTHING, NOTHING, NOTHING)
        self.records[id] = record
        return record

    def identify(self, record: Connection, identity: Identity, now: float, *, keep_state: bool = False) -> None:
        """The one place where an identity changes. Handlers of later calls see it, with a new `connection_state` unless
        `keep_state` says that the user is the same."""
        state = record.caller.__dict__.get("connection_state") if keep_state else None
        if record.admitted:
            self._forget_user(record)
        record.identity = identity
        record.caller = Caller(record.id, record.public_id, record.peer, identity)
        if state is not None:
            record.caller.__dict__["connection_state"] = state
        if record.admitted:
            self._find_by_user(record)
            if record.pushable:
                self.tell_identified(record, now)

    def tell_identified(self, record: Connection, now: float) -> None:
        """A connection that lasts was admitted, or its identity has changed: tell the tables that have deadlines for
        identities."""
        for identified in self.identified:
            identified(record, now)

    def _find_by_user(self, record: Connection) -> None:
        user = record.identity.key
        if user is not None:
            self.by_user.setdefault(user, {})[record.id] = record

    def _forget_user(self, record: Connection) -> None:
        user = record.identity.key
        if user is not None and user in self.by_user:
            self.by_user[user].pop(record.id, None)
            if not self.by_user[user]:
                del self.by_user[user]

    def index(self, record: Connection) -> None:
        """The connection is admitted: add it to the indexes."""
        record.admitted = True
        self.by_kind[record.peer.kind][record.id] = record
        self.by_public_id[record.public_id] = record
        identity = record.identity
        if identity.user is not None:  # as `_find_by_user` does: each exchange of a user comes here
            self.by_user.setdefault((identity.namespace, identity.user), {})[record.id] = record

    def drop(self, record: Connection, now: float) -> None:
        """The connection is closing or gone: take it out of the indexes."""
        self.by_kind[record.peer.kind].pop(record.id, None)
        self.by_public_id.pop(record.public_id, None)
        identity = record.identity
        if identity.user is not None:  # as `_forget_user` does
            user = identity.namespace, identity.user
            others = self.by_user.get(user)
            if others is not None:
                others.pop(record.id, None)
                if not others:
                    del self.by_user[user]

    def remove(self, record: Connection) -> None:
        """The connection is gone: forget it. The next request of its socket may come from another client."""
        del self.records[record.id]
        if record.peer.address.proxy and record.peer.socket in self.sockets:
            self.count(record.peer.socket, "")

    def idlest(self) -> Connection | None:
        """The admitted connection that was heard from least recently, or None."""
        return min(self.by_public_id.values(), key=lambda record: (record.heard_at, record.id), default=None)
