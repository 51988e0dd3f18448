"""What the switchboard asks of an adapter for sockets. A closed union of values: dispatch on it with a dict.

What concerns sockets is defined here; what concerns handlers and hooks passes through from the core unchanged.
"""

from __future__ import annotations

from msgspec import Struct
from posthouse.core.values.effects import Cancel, Drained, Emit, Invoke, Resolve, StopAccepting
from posthouse.core.values.peers import SocketId


class Write(Struct, frozen=True, gc=False):
    """Give these bytes to the socket, behind all that it was given before.

    Without `report` the adapter says `held` for what the socket did not take, and nothing when it took all. With
    `report` the bytes already count as held: the adapter owes `sent` for all of them, as they go.
    """

    socket: SocketId
    data: bytes
    report: bool = False


class EndWriting(Struct, frozen=True, gc=False):
    """Half-close behind all that was written. Reading goes on until `CloseSocket`."""

    socket: SocketId


class StopReading(Struct, frozen=True, gc=False):
    """Read no more from this socket until `StartReading`."""

    socket: SocketId


class StartReading(Struct, frozen=True, gc=False):
    """Read from it again."""

    socket: SocketId


class CloseSocket(Struct, frozen=True, gc=False):
    """Close it: with `flush`, when all that was written has gone; else at once. Then report `closed`."""

    socket: SocketId
    flush: bool = True


Action = (
    Write
    | EndWriting
    | StopReading
    | StartReading
    | CloseSocket
    | Invoke
    | Cancel
    | Resolve
    | Emit
    | StopAccepting
    | Drained
)
