"""The actions that the switchboard asks of an adapter. A closed union of values: dispatch on it with a dict.

Actions for sockets are defined here. Actions for handlers and hooks pass through from the core unchanged.
"""

from __future__ import annotations

from msgspec import Struct
from posthouse.core.values.effects import (
    AskStore,
    Cancel,
    ComparePassword,
    Drained,
    Emit,
    HashPassword,
    Invoke,
    Resolve,
    StopAccepting,
    Verify,
    Withdraw,
)
from posthouse.core.values.errors import ErrorObject
from posthouse.core.values.peers import ConnectionId, SocketId


class Write(Struct, frozen=True, gc=False):
    """Give these bytes to the socket, behind all bytes before them.

    Without `report`, the adapter calls `held` for the bytes that the socket did not take, and nothing if it took all.
    With `report`, the bytes already count as held: the adapter calls `sent` for all of them, as they go.
    """

    socket: SocketId
    data: bytes
    report: bool = False


class EndWriting(Struct, frozen=True, gc=False):
    """Half-close behind all written bytes. Reading goes on until `CloseSocket`."""

    socket: SocketId


class StopReading(Struct, frozen=True, gc=False):
    """Do not read from this socket until `StartReading`."""

    socket: SocketId


class StartReading(Struct, frozen=True, gc=False):
    """Read from it again."""

    socket: SocketId


class CloseSocket(Struct, frozen=True, gc=False):
    """Close the socket: with `flush` after all written bytes have gone, else at once. Then report `closed`."""

    socket: SocketId
    flush: bool = True


class Reply(Struct, frozen=True, gc=False):
    """A call that this process made itself has its outcome: the result as JSON text, or an error. `connection` is what
    `Switchboard.call` returned. Exactly one, unless `hang_up` came first."""

    connection: ConnectionId
    outcome: bytes | ErrorObject


Action = (
    Write
    | EndWriting
    | StopReading
    | StartReading
    | CloseSocket
    | Reply
    | Invoke
    | Cancel
    | Verify
    | AskStore
    | HashPassword
    | ComparePassword
    | Withdraw
    | Resolve
    | Emit
    | StopAccepting
    | Drained
)
