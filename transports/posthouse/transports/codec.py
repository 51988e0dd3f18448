"""The contract of every codec: one socket's bytes on one side, whole JSON texts on the other, and nothing else.

A codec is a machine. It takes bytes and the time, and appends the results to `output`, in order. After each input the
switchboard takes the list, performs it and clears it. A codec never raises for bytes that a peer sends, never reads a
clock and holds no socket. It may not know the gateway, its connections or its calls.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, Protocol

from msgspec import Struct
from posthouse.core.values.close_reasons import CloseReason
from posthouse.core.values.config import KIB, Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import NO_META, Address, Meta

from .fields import Fields
from .paths import ProbePath

ABNORMAL: Final = 1006
"""RFC 6455 section 7.4.1: closed without a close frame. Never sent; reported when the peer disappears."""

DISCARD_BYTES: Final = 64 * KIB
DISCARD_SECONDS: Final = 2.0
"""After the last bytes for a peer, a codec discards at most so many bytes, for at most so many seconds. Then it closes
the socket. Closing with unread bytes would be a reset, which can destroy the last bytes on their way (RFC 9112 section
9.6)."""


class Binary(bytes):
    """A payload of a binary message, received or to be sent. Only codecs that allow binary messages make it."""

    __slots__ = ()


class HeadRead(Struct, frozen=True, gc=False):
    """The first whole head was read: the socket no longer counts as "in head". Once per socket, before other output."""


class Send(Struct, frozen=True, gc=False):
    """Write these bytes, behind all bytes sent before."""

    data: bytes


class Text(Struct, frozen=True, gc=False):
    """One whole message of a lasting connection."""

    data: bytes


class Heard(Struct, frozen=True, gc=False):
    """The peer is alive, but sent no message: a pong, a fragment."""


class Exchange(Struct, frozen=True, gc=False):
    """One whole HTTP request for the gateway. It is a connection of its own and is owed exactly one `answer`. `headers`
    are all that were received, with names in lower case. `client` is the address that a trusted proxy gives for its
    client. None: the peer is no such proxy. Then `ignored` is a field in which it named another client, if it did."""

    data: bytes
    meta: Meta
    path: str
    headers: Fields
    client: Address | None = None
    ignored: bytes | None = None


class Arrived(Struct, frozen=True, gc=False):
    """The head of a request came through a trusted proxy, and its body is still to come. Owed one `admit` or
    `refuse`."""

    client: Address


class Announced(Struct, frozen=True, gc=False):
    """The head of a call whose credentials are to be verified before its body is read: owed one `accept`, behind which
    its `Exchange` follows, or `refuse`. The connection begins here. `meta`, `path`, `headers`, `client` and `ignored`
    as in `Exchange`."""

    meta: Meta
    path: str
    headers: Fields
    client: Address | None = None
    ignored: bytes | None = None


class Probe(Struct, frozen=True, gc=False):
    """A request for `/health`, `/stats` or `/metrics` (below the root path), owed exactly one `respond`, or `refuse`.
    `headers` and `client` as in `Exchange`. `accepted`: it came before, and was accepted since."""

    path: ProbePath
    headers: Fields = ()
    client: Address | None = None
    accepted: bool = False


class Answered(Struct, frozen=True, gc=False):
    """The codec answered a request by itself, with this status. `proceed` is owed when the answer was handed over.

    For a refusal, `reason` is the text that the peer was sent, and `rejected_value` the host or origin that is not
    allowed. `client` as in `Exchange`.
    """

    status: int
    reason: str | None = None
    rejected_value: bytes | None = None
    client: Address | None = None


class Handshake(Struct, frozen=True):
    """An acceptable WebSocket opening handshake (RFC 6455 section 4.2).

    `headers` are all headers of the 101 response, `Sec-WebSocket-Accept` among them. `deflate`: permessage-deflate
    (RFC 7692, never with context takeover) was agreed.
    """

    headers: Fields
    deflate: bool


class Upgrade(Struct, frozen=True, gc=False):
    """A valid WebSocket handshake, owed one `accept` or `refuse`. `headers`, `client` and `ignored` as in `Exchange`.
    `meta` is the default of its calls."""

    handshake: Handshake
    path: str
    headers: Fields
    meta: Meta = NO_META
    client: Address | None = None
    ignored: bytes | None = None


class Selected(Struct, frozen=True, gc=False):
    """The first bytes decided which codec this socket speaks: it takes over, starting with `rest`."""

    codec: Codec
    rest: bytes


class Pause(Struct, frozen=True, gc=False):
    """The codec's buffer is full: do not read from the socket until `Resume`."""


class Resume(Struct, frozen=True, gc=False):
    """Read again."""


class Ended(Struct, frozen=True, gc=False):
    """The gateway's connection on this codec is over. Once; no text follows.

    `code` is the close code or None. `reason` says in a fixed sentence which rule the peer broke, None if it broke no
    rule; it is for logs and never sent.
    """

    code: int | None
    reason: str | None = None


class Finish(Struct, frozen=True, gc=False):
    """Half-close behind the bytes sent so far. Until `Shut` the codec still reads, and discards what it reads."""


class Shut(Struct, frozen=True, gc=False):
    """Close the socket: with `flush` after all sent bytes have gone, else at once. The codec is not used again."""

    flush: bool = True


Output = (
    HeadRead
    | Send
    | Text
    | Heard
    | Exchange
    | Arrived
    | Announced
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


def message_limit(config: Config, *, authenticated: bool) -> int:
    """The most bytes of a message of this caller."""
    most = config.max_message_bytes
    return most if authenticated else min(most, config.max_message_bytes_unauthenticated)


class Codec(Protocol):
    """The protocol that each codec meets. `now` is monotonic seconds.

    Codecs inherit from it, for the verbs that do nothing in most protocols.
    """

    __slots__ = ()

    output: list[Output]

    # Bytes in

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes from the socket: never empty, cut anywhere."""

    def receive_whole(self, data: bytes, now: float) -> Sequence[Text | Exchange]:
        """The direct way in. If the bytes are whole messages, and nothing else is received or sent: the messages that
        `receive_data` would put into `output`, and no deadline changes. Empty: nothing has changed."""
        return ()

    def receive_eof(self, now: float) -> None:
        """The peer half-closed: no more bytes come."""

    @property
    def buffered(self) -> int:
        """The number of received bytes that it has not handed on."""

    @property
    def at_eof(self) -> bool:
        """The input has ended and all of it was handed on. The codec is to be closed when no answer is owed any more.
        False for codecs that end by themselves."""
        return False

    def shed(self, now: float) -> None:
        """Memory is over budget: refuse the request that is being received, if there is one."""
        return

    # Payloads out

    @property
    def framing(self) -> Hashable:
        """Codecs with equal framing make equal bytes of a payload: it is framed once for all of them. None: nothing is
        pushed."""
        return None

    def frame(self, payload: bytes) -> bytes:
        """The bytes that carry one payload. Pure: depends on `framing` alone and changes nothing."""
        return payload

    def limit_messages(self, *, authenticated: bool) -> None:
        """The caller is authenticated, or is not: from now on messages have at most `max_message_bytes`, or
        `max_message_bytes_unauthenticated`. A codec begins with the smaller one where its config requires
        authentication."""
        return

    def heartbeat(self, now: float) -> None:
        """Ask the peer for a sign of life, if the protocol can."""
        return

    def pause_output(self) -> None:
        """The peer does not take what it is sent: produce no more than necessary until `resume_output`."""
        return

    def resume_output(self, now: float) -> None:
        """The peer has taken everything."""
        return

    # Requests: only codecs that output `Exchange`, `Probe`, `Upgrade` or `Answered` implement these

    def admit(self, now: float) -> None:
        """No limit refuses the client that `Arrived` named: read its body."""
        raise UsageError(f"{type(self).__name__} has no client to admit")

    def accept(self, now: float) -> Codec:
        """The gateway admitted the connection. Returns the codec that reads on: another one after an `Upgrade`. After
        an `Announced` call, its body is read. A `Probe` comes again as `accepted`."""
        return self

    def answer(
        self, data: bytes | None, code: int | None, retry_after: float | None, now: float, *, fields: Fields = ()
    ) -> None:
        """End an `Exchange`. `data` None: there is nothing to say. `code` is the JSON-RPC error's, or None. `fields`
        are header fields of the answer."""
        raise UsageError(f"{type(self).__name__} has no request to answer")

    def answer_whole(self, data: bytes | None, code: int | None, now: float) -> bytes | None:
        """The direct way out, while `output` is empty. If `answer` would put one `Send` into it and nothing else: its
        bytes. None: nothing has changed."""
        return None

    def respond(self, status: int, data: bytes, now: float, *, exposition: bool = False) -> None:
        """End a `Probe` with JSON, or with an `exposition` of metrics."""
        raise UsageError(f"{type(self).__name__} has no probe to respond to")

    def refuse(self, reason: CloseReason, now: float, retry_after_ms: int | None = None) -> None:
        """End an `Exchange`, an `Upgrade` or a `Probe` that was not admitted, with the error of this reason."""
        raise UsageError(f"{type(self).__name__} has no request to refuse")

    def proceed(self, now: float) -> None:
        """The answer was handed over: read the next request."""
        raise UsageError(f"{type(self).__name__} has no request to proceed from")

    # The end

    ends_with_answer: bool = False
    """Its host ends it behind its answer: it has no deadline then."""

    @property
    def abnormal_code(self) -> int | None:
        """The close code that is reported when the socket breaks, or None."""
        return None

    def drain(self) -> None:
        """A shut-down has begun: announce it with the next answer, if the protocol can."""
        return

    def close_idle(self, now: float) -> None:
        """Close, unless a request is being received or answered. Only called while no connection lives here."""
        return

    def close(self, code: int, now: float) -> None:
        """Begin to close from our side with a WebSocket close code; `Shut` follows, at the latest by a deadline."""

    # Time

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is wanted, or None. A time in the past: there is work left, as soon as possible."""

    def handle_timeout(self, now: float) -> None:
        """Time has passed. Early, late or spurious calls are harmless."""
