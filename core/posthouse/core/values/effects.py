"""Effects: what the core asks its host to do. A closed union of values: dispatch on it with a `dict[type, function]`.

An effect names connections, calls and requests by their ids and carries data that is ready to be sent. It never holds a
future, a task or a socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from .close_reasons import CloseReason
from .errors import ErrorObject
from .lifecycle import Event
from .peers import Caller, CallId, ConnectionId, Meta, OperationId, OutgoingId, SetCookie

if TYPE_CHECKING:
    from posthouse.core.service.authenticators import Authenticator
    from posthouse.core.service.method import Method
    from posthouse.core.store.requests import Request


class Accept(Struct, frozen=True, gc=False):
    """The connection is admitted: send the 101 response, start the stream."""

    connection: ConnectionId


class Transmit(Struct, frozen=True, gc=False):
    """Send one payload (a whole JSON text) to a peer.

    Without `report`: call `report_held` with the number of bytes that the socket did not take, if any. With `report`:
    the bytes already count as held; call `report_sent` for `len(data)` bytes in total, as they are sent.
    """

    connection: ConnectionId
    data: bytes
    report: bool = False


class Multicast(Struct, frozen=True, gc=False):
    """Send the same payload to many connections, each by the rules of `Transmit` without `report`."""

    connections: list[ConnectionId]
    data: bytes


class Answer(Struct, frozen=True, gc=False):
    """Send the answer that ends an HTTP exchange.

    `data`: None for an empty answer (204). `code`: the error's code, which gives status and headers; None for a result
    or a batch. `retry_after` is in seconds. `cookie` goes into the header Set-Cookie. Report bytes that the socket does
    not take as for `Transmit`, and call `disconnected` when all are sent.
    """

    connection: ConnectionId
    data: bytes | None
    code: int | None = None
    retry_after: float | None = None
    cookie: SetCookie | None = None


class Disconnect(Struct, frozen=True, gc=False):
    """Close the connection with the close code of this reason, and report `disconnected`.

    Before `Accept` it is a refusal: an HTTP exchange is answered with the reason's `error`, and with `retry_after_ms`
    unless that is None. Without `flush`, drop the frames that are not begun.
    """

    connection: ConnectionId
    reason: CloseReason
    flush: bool = True
    retry_after_ms: int | None = None

    @property
    def code(self) -> int:
        """The close code (RFC 6455 section 7.4; docs/limits.md)."""
        return self.reason.code


class LimitMessages(Struct, frozen=True, gc=False):
    """Where authentication is required: the caller of this lasting connection is `authenticated`, or is not. From now
    on its messages have at most `max_message_bytes`, or `max_message_bytes_unauthenticated`. Sent before `Accept` for
    each connection, and when this may change."""

    connection: ConnectionId
    authenticated: bool


class PauseReading(Struct, frozen=True, gc=False):
    """Stop reading from this connection until `ResumeReading`."""

    connection: ConnectionId


class ResumeReading(Struct, frozen=True, gc=False):
    """Read from this connection again."""

    connection: ConnectionId


class Heartbeat(Struct, frozen=True, gc=False):
    """Ask the peer for a sign of life, such as a ping."""

    connection: ConnectionId


class Invoke(Struct, frozen=True, gc=False):
    """Run `method.function(*args, **kwargs)`, then call `complete` or `fail`: exactly once for each Invoke.

    The arguments do not contain the context yet: `method.with_context` adds it.
    """

    call: CallId
    caller: Caller
    method: Method
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    meta: Meta


class Cancel(Struct, frozen=True, gc=False):
    """Stop the handler of this call. `complete` or `fail` must still follow."""

    call: CallId


class Verify(Struct, frozen=True, gc=False):
    """An external operation: run this authenticator with these credentials, then call `conclude` with an Identity,
    Refused or Failed: exactly once for each Verify. `caller` is the connection, as it is before."""

    operation: OperationId
    authenticator: Authenticator
    credentials: Any
    caller: Caller


class AskStore(Struct, frozen=True, gc=False):
    """An external operation: let the store perform this request, then call `conclude` with Done, Refused, Failed, Busy
    or MaybeApplied: exactly once for each AskStore. Only for a gateway whose store is outside."""

    operation: OperationId
    request: Request


class HashPassword(Struct, frozen=True, gc=False):
    """An external operation: make a hash of this password with this salt, then call `conclude` with Hashed, Failed or
    Busy: exactly once for each. Its repr does not show the password."""

    operation: OperationId
    password: str
    salt: bytes

    def __repr__(self) -> str:
        return f"HashPassword({self.operation!r}, password=<hidden>, salt=<hidden>)"


class ComparePassword(Struct, frozen=True, gc=False):
    """An external operation: compare this password with this hash, then call `conclude` with Matched, Refused, Failed
    or Busy: exactly once for each. With None there is no hash: take as long, and refuse. Its repr does not show the
    password."""

    operation: OperationId
    password: str
    hash: str | None

    def __repr__(self) -> str:
        return f"ComparePassword({self.operation!r}, password=<hidden>, hash=<hidden>)"


class Withdraw(Struct, frozen=True, gc=False):
    """Stop this external operation: its outcome does not count any more. `conclude` must still follow."""

    operation: OperationId


class Resolve(Struct, frozen=True, gc=False):
    """A request to a peer has its outcome: the result as JSON text, or an error."""

    request: OutgoingId
    outcome: bytes | ErrorObject


class Emit(Struct, frozen=True, gc=False):
    """Report a lifecycle event to hooks and logs. `caller` is the connection that opened or closed, for its hooks."""

    event: Event
    caller: Caller | None = None


class BeginDrain(Struct, frozen=True, gc=False):
    """A shut-down has begun: from now on, HTTP answers close their connections. Sent once."""


class StopAccepting(Struct, frozen=True, gc=False):
    """Accept no more sockets, and close those without a connection. Sent once."""


class Drained(Struct, frozen=True, gc=False):
    """The shut-down is over. Sent once."""


Effect = (
    Accept
    | Transmit
    | Multicast
    | Answer
    | Disconnect
    | LimitMessages
    | PauseReading
    | ResumeReading
    | Heartbeat
    | Invoke
    | Cancel
    | Verify
    | AskStore
    | HashPassword
    | ComparePassword
    | Withdraw
    | Resolve
    | Emit
    | BeginDrain
    | StopAccepting
    | Drained
)

ASKS: Final = (Verify, AskStore, HashPassword, ComparePassword)
"""The effects that begin an external operation."""
