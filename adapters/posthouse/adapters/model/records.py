"""What the model knows of connections and calls, as plain records."""

from __future__ import annotations

from collections import deque
from ipaddress import IPv6Interface

from msgspec import Struct, field
from posthouse.core.service.method import Method
from posthouse.core.values.peers import ANONYMOUS, Identity, Peer, UserKey

from .messages import Codes


class DueMessage(Struct, eq=False, gc=False):
    """A message that a connection must get. `input` is the number of the input that caused it.

    Either a push of `method`; or the replies to these ids, each with one of these codes, as an `array` or one alone.
    `behind`: the message must not be sent before that one.
    """

    input: int
    replies: list[tuple[bytes, Codes]]
    array: bool = False
    method: str | None = None
    behind: DueMessage | None = None


class Batch(Struct, eq=False, gc=False):
    """The entries of one message. `replies` has those so far; `left` entries have none yet. `followers` are the methods
    of the notifications that leave behind its reply."""

    replies: list[tuple[bytes, Codes] | None]
    left: int
    array: bool
    followers: list[str] = field(default_factory=list)


class ReplySlot(Struct, eq=False, gc=False):
    """Where the reply to one entry goes. `id` is None for a notification, which gets no reply.

    `place` is the entry's place in its `batch`. Over HTTP every message is a batch, if only of one entry.
    """

    connection: Connection
    id: bytes | None
    batch: Batch | None
    place: int


class TokenBucket(Struct, eq=False, gc=False):
    """What is left of a rate: at most the calls of one second, and at least one."""

    left: float
    at: float

    def take(self, rate: float, now: float) -> bool:
        """Take one call. Returns False if there is none."""
        self.left = min(max(rate, 1.0), self.left + (now - self.at) * rate)
        self.at = now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


class Builtin(Struct, frozen=True):
    """A method of the gateway, as far as its calls are concerned. `changes`: it may change the identity."""

    name: str
    public: bool
    scopes: tuple[str, ...]
    changes: bool
    timeout: float | None = None
    on_disconnect: str = "cancel"


class Connection(Struct, eq=False):
    """One connection. `open` until it is closed or lost; after a `Disconnect` it is `closed`, and nothing may be sent.

    - `changing`: the call that may change its identity.
    - `ahead`: it is an HTTP exchange whose text comes when it is accepted.
    - `pending`: its credentials are being verified; `text` was received meanwhile. `stale`: its cookie does not count
      any more, so that its text decides.
    - `exchange_used`: it is an HTTP exchange, and its one text was received.
    - `running` is the number of handlers that have not ended. `calls` have no outcome; they are found by their raw id,
      or by number if they have none. `waiting` calls wait for a slot. `requests` were sent to this peer.
    - `following` notifications wait for the replies of its calls.
    - `due` messages must be sent. `held` bytes wait at the socket; it took some of them at `taken_at`.
    - `heard_at`: the last sign of life. `active_at`: the last text, or end of a handler. `heartbeat_at`: the last
      heartbeat that was sent. `invalid_messages` were received.
    - `warned`: it was told that its identity will expire. `closes_at`: its identity has expired, and this is the end of
      its grace. `valid_since`: when its identity, or Unix time, last changed. `revoked`: its user, if that was revoked.
    - `patient_at`: until then it was told to try no credentials. `log_in_by`: until then it must have logged in.
    - `limited`: the gateway has told that its messages are those of a caller who is not authenticated.
    - `session`: the one to which it belongs.
    - `public_id` is the id that peers see. `admitted`: it was not refused. It has `made` so many calls. `closing` has
      the code and the reason with which the gateway closed it.
    """

    number: int
    peer: Peer
    pushable: bool
    ahead: bool = False
    open: bool = True
    pending: bool = False
    changing: int | None = None
    text: bytes | None = None
    stale: object = None
    closed: bool = False
    exchange_used: bool = False
    running: int = 0
    calls: dict[bytes | int, Call] = field(default_factory=dict)
    waiting: dict[int, Call] = field(default_factory=dict)
    requests: dict[int, None] = field(default_factory=dict)
    following: int = 0
    due: deque[DueMessage] = field(default_factory=deque)
    held: int = 0
    bucket: TokenBucket | None = None
    taken_at: float = 0.0
    heard_at: float = 0.0
    active_at: float = 0.0
    heartbeat_at: float | None = None
    invalid_messages: int = 0
    identity: Identity = ANONYMOUS
    warned: bool = False
    closes_at: float | None = None
    log_in_by: float | None = None
    valid_since: float = 0.0
    revoked: UserKey | None = None
    session: str | None = None
    public_id: str = ""
    admitted: bool = False
    opened_at: float = 0.0
    made: int = 0
    closing: tuple[int, str] | None = None
    patient_at: float = 0.0
    limited: bool = False

    @property
    def accepted(self) -> bool:
        """Is it told that it was admitted?"""
        return self.pushable or self.ahead

    @property
    def reachable(self) -> bool:
        """May the gateway push messages to it?"""
        return self.pushable and self.open and not self.pending


class Call(Struct, eq=False):
    """One call.

    `waiting`: it has no slot yet. `open`: it has no outcome. `detached`: its handler finishes, but its outcome is not
    sent. `identity`: that of its caller when it started. `key` is that in the connection's `calls`; `token` is the
    progress token. `followers` are the methods of the notifications that leave behind its reply.
    """

    number: int
    slot: ReplySlot
    key: bytes | int
    method: Method | Builtin
    params: bytes | None
    began: float
    deadline: float
    request_id: str | None
    token: str | int | None
    waiting: bool
    open: bool = True
    detached: bool = False
    identity: Identity | None = None
    followers: list[str] = field(default_factory=list)

    @property
    def revoked(self) -> bool:
        """Is its connection closed because its own caller was revoked?"""
        connection = self.slot.connection
        user = (self.identity or connection.identity).key
        return user is not None and user == connection.revoked


def subnet(host: str) -> str:
    """By this, an address counts: the network of 64 bits of an IPv6 address, else the address."""
    return str(IPv6Interface(f"{host}/64").network) if ":" in host else host
