"""Effects: what the core asks its host to do. A closed union of values: dispatch on it with a `dict[type, function]`.

An effect names connections, calls and requests by their ids and carries data that is ready to be sent. It never
holds a future, a task or a socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from .close_reasons import CloseReason
from .errors import ErrorObject
from .lifecycle import Event
from .peers import Caller, CallId, ConnectionId, Meta, OutgoingId

if TYPE_CHECKING:
    from posthouse.core.service.method import Method


class Accept(Struct, frozen=True, gc=False):
    """The connection is admitted: send the 101, start the stream."""

    connection: ConnectionId


class Transmit(Struct, frozen=True, gc=False):
    """One payload (a whole JSON text) to a peer that is pushed to.

    With `report`, its bytes already count as held: the outside owes `report_sent` for `len(data)`, as they go.
    Without it, the outside says `report_held` for what the socket did not take, and nothing when it took all.
    """

    connection: ConnectionId
    data: bytes
    report: bool = False


class Multicast(Struct, frozen=True, gc=False):
    """The same payload to many, encoded once. The rules of `Transmit` without `report` hold for each."""

    connections: list[ConnectionId]
    data: bytes


class Answer(Struct, frozen=True, gc=False):
    """The one answer that ends an HTTP exchange.

    `data` None: there is nothing to say (204). `code` is the error's, or None for a result or a batch; status and
    headers come from the code's row. `retry_after` is in seconds. What the socket does not take is reported as for
    `Transmit`; `disconnected` follows when it has gone.
    """

    connection: ConnectionId
    data: bytes | None
    code: int | None = None
    retry_after: float | None = None


class Disconnect(Struct, frozen=True, gc=False):
    """Close the connection with the close code of this reason, and report `disconnected`.

    Before `Accept` it is a refusal: an HTTP exchange is answered with the reason's `error`. Without `flush`, frames
    that are not begun are dropped first.
    """

    connection: ConnectionId
    reason: CloseReason
    flush: bool = True

    @property
    def code(self) -> int:
        """The close code (RFC 6455 section 7.4; docs/limits.md)."""
        return self.reason.code


class PauseReading(Struct, frozen=True, gc=False):
    """Read no more from this connection until `ResumeReading`."""

    connection: ConnectionId


class ResumeReading(Struct, frozen=True, gc=False):
    """Read from it again."""

    connection: ConnectionId


class Heartbeat(Struct, frozen=True, gc=False):
    """Ask for a sign of life: the codec knows how."""

    connection: ConnectionId


class Invoke(Struct, frozen=True, gc=False):
    """Run `method.function(*args, **kwargs)`, then report `complete` or `fail`: owed for every Invoke, once.

    The context, where the method asks for one, is not among the arguments yet: `method.with_context` puts it there.
    """

    call: CallId
    caller: Caller
    method: Method
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    meta: Meta


class Cancel(Struct, frozen=True, gc=False):
    """Stop the handler of this call. Its end is still owed."""

    call: CallId


class Resolve(Struct, frozen=True, gc=False):
    """A request that we sent has its outcome: the result as JSON text, or an error."""

    request: OutgoingId
    outcome: bytes | ErrorObject


class Emit(Struct, frozen=True, gc=False):
    """A lifecycle event, for hooks and logs."""

    event: Event


class BeginDrain(Struct, frozen=True, gc=False):
    """Once: a shut-down has begun. From now on, HTTP answers close their connections."""


class StopAccepting(Struct, frozen=True, gc=False):
    """Once: accept no more sockets, and close those that carry no connection."""


class Drained(Struct, frozen=True, gc=False):
    """Once: a shut-down has nothing left to wait for."""


Effect = (
    Accept
    | Transmit
    | Multicast
    | Answer
    | Disconnect
    | PauseReading
    | ResumeReading
    | Heartbeat
    | Invoke
    | Cancel
    | Resolve
    | Emit
    | BeginDrain
    | StopAccepting
    | Drained
)
