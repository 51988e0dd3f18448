"""The state of one socket: its phases as a table, and the facts that neither a codec nor the gateway owns.

It may not know what a text or an answer is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from msgspec import Struct
from posthouse.core.values.peers import Address, ConnectionId, Identity, SocketId
from posthouse.core.values.timers import Timer
from posthouse.core.values.transitions import table
from posthouse.transports.codec import Codec
from posthouse.transports.fields import Fields

from .write_queue import WriteQueue


class SocketPhase(StrEnum):
    """What happens on a socket."""

    IDLE = "idle"  # no connection lives here, the codec reads
    ASKED = "asked"  # an exchange awaits its answer, or an upgrade its admission
    ANSWERED = "answered"  # the codec has the answer; it was not handed over yet
    OPEN = "open"  # a lasting connection
    CLOSING = "closing"  # the gateway closes the connection; the codec performs it
    ENDED = "ended"  # the connection is over, the codec has not shut
    FLUSHING = "flushing"  # the codec has shut: the socket closes when all was written
    ABORTED = "aborted"  # the socket is to be closed at once, whatever it holds
    CLOSED = "closed"  # the adapter reported that it is closed


class SocketEvent(StrEnum):
    """What changes the phase."""

    ASK = "ask"  # the codec read an exchange or an upgrade
    OPEN = "open"  # a lasting connection began
    ANSWER = "answer"  # the codec was given an answer, or answered by itself
    DELIVER = "deliver"  # the answer was handed over
    CLOSE = "close"  # the gateway closes the connection
    END = "end"  # the codec says that the connection is over
    SHUT = "shut"  # the codec is done
    ABORT = "abort"  # the socket is closed without waiting
    GONE = "gone"  # the socket is closed


ANY_TIME: Final = {SocketEvent.ABORT: SocketPhase.ABORTED, SocketEvent.GONE: SocketPhase.CLOSED}
"""What can happen in every phase, until the socket is closed."""

TRANSITIONS: Final = table(
    {
        SocketPhase.IDLE: {
            SocketEvent.ASK: SocketPhase.ASKED,
            SocketEvent.OPEN: SocketPhase.OPEN,
            SocketEvent.ANSWER: SocketPhase.ANSWERED,
            SocketEvent.SHUT: SocketPhase.FLUSHING,
            **ANY_TIME,
        },
        SocketPhase.ASKED: {
            SocketEvent.OPEN: SocketPhase.OPEN,
            SocketEvent.ANSWER: SocketPhase.ANSWERED,
            SocketEvent.END: SocketPhase.ENDED,
            **ANY_TIME,
        },
        SocketPhase.ANSWERED: {
            SocketEvent.DELIVER: SocketPhase.IDLE,
            SocketEvent.SHUT: SocketPhase.FLUSHING,
            **ANY_TIME,
        },
        SocketPhase.OPEN: {
            SocketEvent.CLOSE: SocketPhase.CLOSING,
            SocketEvent.END: SocketPhase.ENDED,
            **ANY_TIME,
        },
        SocketPhase.CLOSING: {
            SocketEvent.CLOSE: SocketPhase.CLOSING,
            SocketEvent.END: SocketPhase.ENDED,
            **ANY_TIME,
        },
        SocketPhase.ENDED: {
            SocketEvent.SHUT: SocketPhase.FLUSHING,
            **ANY_TIME,
        },
        SocketPhase.FLUSHING: {
            **ANY_TIME,
        },
        # An answer may still come from the gateway, and the codec may not have noticed.
        SocketPhase.ABORTED: {
            SocketEvent.ANSWER: SocketPhase.ABORTED,
            SocketEvent.CLOSE: SocketPhase.ABORTED,
            SocketEvent.END: SocketPhase.ABORTED,
            SocketEvent.SHUT: SocketPhase.ABORTED,
            **ANY_TIME,
        },
        SocketPhase.CLOSED: {},
    }
)

# The events of every HTTP request: to look up a member of an enumeration takes longer than to follow the table.
ASK: Final = SocketEvent.ASK
ANSWER: Final = SocketEvent.ANSWER
DELIVER: Final = SocketEvent.DELIVER
GONE: Final = SocketEvent.GONE

CODEC_DONE: Final = frozenset((SocketPhase.FLUSHING, SocketPhase.ABORTED, SocketPhase.CLOSED))
"""The phases in which the codec gets no more input."""


class SocketState(Struct, eq=False):
    """One socket. `identity` is the caller's, unless they authenticate. `connection` lives here now, or None.
    `codec_closed` is a fact of the phase: the codec gets no more input. `stopped` has the reasons not to read.
    `buffered` is what the codec held when it was measured, `due` its deadline. `stalled` is the deadline of bytes that
    are held for no connection; it moves with `progress_at`. `upgraded` is the codec before an upgrade: its outputs come
    first. `arrived`: the client of the request that is being read was admitted. `host_scope` is for handlers.
    `credentials` are those in `headers`, the ones of the last exchange: a client repeats them."""

    socket: SocketId
    address: Address
    codec: Codec
    wire: WriteQueue
    identity: Identity
    connection: ConnectionId | None = None
    phase: SocketPhase = SocketPhase.IDLE
    codec_closed: bool = False
    stopped: int = 0
    buffered: int = 0
    due: Timer | None = None
    stalled: Timer | None = None
    progress_at: float = 0.0
    upgraded: Codec | None = None
    arrived: bool = False
    host_scope: Any = None
    headers: Fields | None = None
    credentials: object = None

    def advance(self, event: SocketEvent) -> None:
        """Change the phase. Raises IllegalEvent if this cannot happen now."""
        self.phase = phase = TRANSITIONS[self.phase][event]
        self.codec_closed = phase in CODEC_DONE
