"""Lifecycle events, for hooks and logs. An event reports something that happened; it changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, get_args

from msgspec import Struct

from .peers import Address, CallId, ConnectionId, Kind


class ConnectionOpened(Struct, frozen=True):
    """A connection was admitted. `public_id` is the id that peers see; `now` is monotonic seconds."""

    connection: ConnectionId
    public_id: str
    kind: Kind
    address: Address
    user: str | None
    now: float


class ConnectionClosed(Struct, frozen=True):
    """A connection ended. `code` is the close code, None if there was none. `calls` is how many it made. `reason` says
    why the server closed it: the limit that was breached, or the rule that the peer broke. None: the peer closed it."""

    connection: ConnectionId
    public_id: str
    kind: Kind
    address: Address
    user: str | None
    code: int | None
    duration: float
    calls: int
    now: float
    reason: str | None = None


CallOutcome = Literal["result", "error", "cancelled", "timed_out", "disconnected", "drained"]
"""How a call ended: its handler returned or raised, its caller cancelled it, its deadline came, its connection closed,
or a shut-down was out of time."""


class CallEnded(Struct, frozen=True):
    """A request has its outcome. One for each request that named a method, for an access log. Only made if a hook or
    the host listens to it.

    `call` is None for a request that did not become a call: it was refused, or the gateway answered it. `code` is the
    code of the error that was sent, None for a result and for a closed connection. `seconds` is the time since the
    request was received, with waiting. A call that goes on after its connection (`on_disconnect="finish"`) ends with
    its handler.
    """

    call: CallId | None
    connection: ConnectionId
    public_id: str
    kind: Kind
    address: Address
    user: str | None
    method: str
    outcome: CallOutcome
    code: int | None
    seconds: float
    request_id: str | None
    now: float
    traceparent: str | None = None


class CallCancelled(Struct, frozen=True):
    """A call ended before its handler. `reason` is "client", "disconnected", "revoked" or "draining"."""

    call: CallId
    connection: ConnectionId
    method: str
    reason: str
    now: float
    request_id: str | None = None


class CallTimedOut(Struct, frozen=True):
    """A call timed out (-32030)."""

    call: CallId
    connection: ConnectionId
    method: str
    now: float
    request_id: str | None = None


class CallFailed(Struct, frozen=True):
    """A handler's result could not be sent, or it raised an exception other than RpcError (-32603)."""

    call: CallId
    connection: ConnectionId
    method: str
    incident: str
    reason: str
    now: float
    request_id: str | None = None


AuthFailure = Literal[
    "refused",
    "failed",
    "expired",
    "timed_out",
    "busy",
    "queue_full",
    "waited",
    "unreadable",
    "too_long",
    "too_many",
    "different_users",
    "different_sessions",
    "cross_site",
    "revoked",
    "stale_cookie",
    "stale_session",
    "unavailable",
]
"""Why credentials were not accepted. The peer is not told whether they are wrong, unknown or unreadable."""


class AuthSucceeded(Struct, frozen=True):
    """Credentials were verified. `authenticator` is its name. What the credential cache decides is not told."""

    connection: ConnectionId
    public_id: str
    kind: Kind
    address: Address
    authenticator: str
    user: str
    namespace: str
    now: float


class AuthFailed(Struct, frozen=True):
    """Credentials were not accepted. `authenticator` is the name of the last one that was asked, or None. `why` has the
    texts of those that said why they refused, or is empty."""

    connection: ConnectionId
    public_id: str
    kind: Kind
    address: Address
    authenticator: str | None
    reason: AuthFailure
    now: float
    why: str = ""


class AuthExpired(Struct, frozen=True):
    """The identity of a connection that lasts has expired: its calls are refused. It is closed after `auth_grace`,
    unless it gets another one."""

    connection: ConnectionId
    public_id: str
    kind: Kind
    address: Address
    user: str | None
    namespace: str
    now: float


class AuthRevoked(Struct, frozen=True):
    """A user was revoked: so many `connections` are closed. `not_before`: only what was made before this time (Unix
    seconds), or None for everything."""

    user: str
    namespace: str
    not_before: float | None
    connections: int
    now: float


class SessionCreated(Struct, frozen=True):
    """A session was made for this connection, which belongs to it. `session` is its public id."""

    session: str
    connection: ConnectionId
    public_id: str
    kind: Kind
    address: Address
    user: str | None
    namespace: str
    now: float


class SessionResumed(SessionCreated, frozen=True):
    """A connection has resumed a session. `replaced`: the public id of the connection that was closed for it (4409)."""

    replaced: str | None = None


class SessionDetached(SessionCreated, frozen=True):
    """A connection that lasts has left its session, or has closed. The session goes on."""


SessionEnd = Literal["ended", "logged_out", "renewed", "untouched", "expired", "crowded_out", "stolen", "revoked"]
"""Why a session has ended: a client has ended it; its user has logged out, or logged in anew; a log-in has made it, and
its connection has left it unused; its time was over; its user had too many; a secret was used that was replaced before;
its user was revoked."""


class SessionEnded(Struct, frozen=True):
    """A session has ended. So many `connections` are closed for it (4410)."""

    session: str
    reason: SessionEnd
    connections: int
    now: float


class UserRegistered(Struct, frozen=True):
    """A user of the store was made, by a call of this connection. `by`: the user who has called, or None."""

    connection: ConnectionId
    public_id: str
    kind: Kind
    address: Address
    user: str
    by: str | None
    now: float


class UserRemoved(UserRegistered, frozen=True):
    """A user of the store was removed, with its tokens and sessions. `certain` is False if the store has not said
    whether it was done: it may have happened."""

    certain: bool = True


UserChange = Literal["password", "profile", "scopes", "disabled", "enabled"]
"""What has changed of a user of the store."""


class UserChanged(Struct, frozen=True):
    """A user of the store was changed. `by` and `certain` are as for `UserRemoved`."""

    connection: ConnectionId
    public_id: str
    kind: Kind
    address: Address
    user: str
    change: UserChange
    by: str | None
    now: float
    certain: bool = True


class LimitBreached(Struct, frozen=True):
    """A limit was breached. `enforced` is False if `Config.observe` names it. `connection` is None for a socket."""

    limit: str
    connection: ConnectionId | None
    address: Address
    enforced: bool
    now: float


class RequestRefused(Struct, frozen=True):
    """An HTTP request was refused before it became a call: bad head, bad body, or too slow. Only the switchboard emits
    this. `reason` is the text that was sent. `rejected_value` is the refused Host (421) or Origin (403), else None."""

    status: int
    reason: str
    rejected_value: str | None
    address: Address
    now: float


class ForwardingIgnored(Struct, frozen=True):
    """A peer that is no trusted proxy named another client in this header: it is taken for the client itself. Only the
    switchboard emits this, and only once."""

    header: str
    address: Address
    now: float


class DrainStarted(Struct, frozen=True):
    """`shut_down` was called: new calls get -32050."""

    now: float


class AcceptingStopped(Struct, frozen=True):
    """`drain_notice` is over: no more sockets are accepted."""

    now: float


Event = (
    ConnectionOpened
    | ConnectionClosed
    | CallEnded
    | CallCancelled
    | CallTimedOut
    | CallFailed
    | AuthSucceeded
    | AuthFailed
    | AuthExpired
    | AuthRevoked
    | SessionCreated
    | SessionResumed
    | SessionDetached
    | SessionEnded
    | UserRegistered
    | UserRemoved
    | UserChanged
    | LimitBreached
    | RequestRefused
    | ForwardingIgnored
    | DrainStarted
    | AcceptingStopped
)

EventName = Literal[
    "connection.opened",
    "connection.closed",
    "call.ended",
    "call.cancelled",
    "call.timed_out",
    "call.failed",
    "auth.succeeded",
    "auth.failed",
    "auth.expired",
    "auth.revoked",
    "session.created",
    "session.resumed",
    "session.detached",
    "session.ended",
    "user.registered",
    "user.removed",
    "user.changed",
    "limit.breached",
    "request.refused",
    "forwarding.ignored",
    "gateway.draining",
    "gateway.accepting_stopped",
]
"""The names of events for hooks, known to type checkers."""

EventNames = Iterable[EventName]

EVENTS: Final[dict[EventName, type[Event]]] = dict(zip(get_args(EventName), get_args(Event), strict=True))
"""The events by their names: the names above stand in the order of the union."""
