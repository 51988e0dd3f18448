"""What every codec is: one socket's bytes on one side, whole JSON texts on the other, and nothing else.

A codec is a machine. It is given bytes and the time, and leaves what follows from them in `output`, in order; the
switchboard takes the list after each input, performs it and clears it. A codec never raises for what a peer sends,
never reads a clock and holds no socket. It may not know the gateway, its connections or its calls.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Literal, Protocol

from msgspec import Struct
from posthouse.core.values.peers import Meta

ABNORMAL: Final = 1006
"""RFC 6455 section 7.4.1: closed without a close frame. Never sent; reported for what just went."""


class Binary(bytes):
    """A payload that is no text: came, or leaves, as a binary message. Only codecs that allow binary make it."""

    __slots__ = ()


class HeadRead(Struct, frozen=True, gc=False):
    """The socket's first whole head was read: it no longer counts as "in head". Once per socket, before all else."""


class Send(Struct, frozen=True, gc=False):
    """Bytes that leave now, ahead of nothing and behind all that was sent before."""

    data: bytes


class Text(Struct, frozen=True, gc=False):
    """One whole message of a connection that lasts."""

    data: bytes


class Heard(Struct, frozen=True, gc=False):
    """Inbound bytes that were no text, and a sign of life: a pong, a fragment."""


class Exchange(Struct, frozen=True, gc=False):
    """One whole HTTP request for the gateway: a connection of its own, owed exactly one `answer`."""

    data: bytes
    meta: Meta


class Probe(Struct, frozen=True, gc=False):
    """A request for `/health` or `/stats`, owed exactly one `respond`."""

    path: Literal["/health", "/stats"]


class Answered(Struct, frozen=True, gc=False):
    """It answered a request by itself, with this status: `proceed` is owed when that has been handed over.

    Where it was refused, `reason` is what its sender was told, and `said` the host or origin that is not allowed.
    """

    status: int
    reason: str | None = None
    rejected_value: bytes | None = None


class Handshake(Struct, frozen=True):
    """A WebSocket opening handshake that we can accept (RFC 6455 section 4.2): what the 101 says, and what it decided.

    `headers` are the response's own, `Sec-WebSocket-Accept` among them; `deflate` says that permessage-deflate
    (RFC 7692, never with context takeover) was agreed.
    """

    headers: tuple[tuple[bytes, bytes], ...]
    deflate: bool


class Upgrade(Struct, frozen=True, gc=False):
    """A valid WebSocket handshake, owed one `accept_upgrade` or `refuse`."""

    handshake: Handshake


class Selected(Struct, frozen=True, gc=False):
    """The first bytes told which codec this socket speaks: it takes over, starting with `rest`."""

    codec: Codec
    rest: bytes


class Pause(Struct, frozen=True, gc=False):
    """The codec's buffer is full: read no more from the socket until `Resume`."""


class Resume(Struct, frozen=True, gc=False):
    """Read again."""


class Ended(Struct, frozen=True, gc=False):
    """The connection on this codec is over for the gateway, with its close code or None. Once; no text follows."""

    code: int | None


class Finish(Struct, frozen=True, gc=False):
    """Half-close: nothing follows what was sent. Reading goes on (and is discarded by the codec) until `Shut`."""


class Shut(Struct, frozen=True, gc=False):
    """Close the socket: with `flush`, when what was sent has gone; else at once. The codec is not used again."""

    flush: bool = True


Output = (
    HeadRead
    | Send
    | Text
    | Heard
    | Exchange
    | Probe
    | Answered
    | Upgrade
    | Selected
    | Pause
    | Resume
    | Ended
    | Finish
    | Shut
)


class Codec(Protocol):
    """The protocol that each codec meets. `now` is monotonic seconds."""

    output: list[Output]

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes as they came from the socket: never empty, cut anywhere."""
        ...

    def receive_eof(self, now: float) -> None:
        """The peer half-closed: no more bytes come."""
        ...

    @property
    def framing(self) -> Hashable:
        """Two codecs with equal framing make equal bytes of a payload: it is framed once for both."""
        ...

    def frame(self, payload: bytes) -> bytes:
        """One payload as the bytes that carry it. Pure: it depends on `framing` alone and changes nothing."""
        ...

    def heartbeat(self, now: float) -> None:
        """Ask the peer for a sign of life, if this protocol can."""
        ...

    def close(self, code: int, now: float) -> None:
        """Begin to close from our side with a WebSocket close code; `Shut` follows, at the latest by a deadline."""
        ...

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is wanted, or None. A time that has passed: there is work left, as soon as possible."""
        ...

    def handle_timeout(self, now: float) -> None:
        """Some time has passed. Early, late or spurious calls are harmless."""
        ...

    @property
    def buffered(self) -> int:
        """How many bytes it holds: received and not yet handed on."""
        ...
