"""What the model knows: connections, calls, and what each peer is still owed, as plain records."""

from __future__ import annotations

from collections import deque

from msgspec import Struct, field
from posthouse.core.service.method import Method
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Peer

from .texts import Codes


class Owed(Struct, eq=False, gc=False):
    """One payload that a connection must get: replies to these ids with one of these codes each, as an `array` or
    alone; or, with `method`, a push. `turn` is the input that caused it."""

    turn: int
    replies: list[tuple[bytes, Codes]]
    array: bool = False
    method: str | None = None


class Batch(Struct, eq=False, gc=False):
    """The entries of one message: the replies of those that have reported, and how many have not."""

    replies: list[tuple[bytes, Codes] | None]
    left: int
    array: bool


class Tokens(Struct, eq=False, gc=False):
    """What is left of a rate: `rate` a second, up to one second's worth, and at least one."""

    left: float
    at: float

    def take(self, rate: float, now: float) -> bool:
        """Take one, if there is one."""
        self.left = min(max(rate, 1.0), self.left + (now - self.at) * rate)
        self.at = now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


class Connection(Struct, eq=False):
    """One client. `open` until it is closed or gone; `silent`: it was closed, nothing is sent to it; `asked`: it is an
    HTTP exchange, and its one text came. `running` handlers have not ended; `calls` have no outcome, by raw id, or by
    number where none names them. `held` bytes wait with its socket, some of which went at `taken_at`. Its last sign of
    life came at `heard_at`, `bad` of its texts were wrong; at `active_at` one came or a handler ended; at `beaten_at`
    it was asked for a sign of life."""

    number: int
    peer: Peer
    pushable: bool
    open: bool = True
    running: int = 0
    calls: dict[bytes | int, Call] = field(default_factory=dict)
    waiting: dict[int, Call] = field(default_factory=dict)
    requests: dict[int, None] = field(default_factory=dict)
    owed: deque[Owed] = field(default_factory=deque)
    held: int = 0
    silent: bool = False
    asked: bool = False
    tokens: Tokens | None = None
    taken_at: float = 0.0
    heard_at: float = 0.0
    active_at: float = 0.0
    beaten_at: float | None = None
    bad: int = 0

    @property
    def reachable(self) -> bool:
        """May it be spoken to first?"""
        return self.pushable and self.open


class Call(Struct, eq=False):
    """One call. `open`: it has no outcome. `detached`: it runs on and nobody is answered."""

    number: int
    connection: Connection
    method: Method
    id: bytes | None
    key: bytes | int
    params: bytes | None
    deadline: float
    token: str | int | None
    batch: Batch | None
    place: int
    waiting: bool
    open: bool = True
    detached: bool = False


class Leaving(Struct, eq=False):
    """A shut-down: when its notice, its grace and all of it are over, and what of that has come."""

    notice_at: float
    grace_at: float
    over_at: float
    spread: float
    accepting: bool = True
    over: bool = False
    drained: bool = False
    farewells_by: float | None = None
    farewells_over: bool = False

    @classmethod
    def at(cls, now: float, grace: float | None, config: Config) -> Leaving:
        """It begins."""
        notice = now + config.drain_notice
        grace = config.drain_grace if grace is None else grace
        return cls(notice, notice + grace, now + config.drain_timeout, config.drain_spread)

    def graceless(self, now: float) -> bool:
        """May no call go on any more? The end comes before a grace that is longer."""
        return not self.drained and self.grace_at <= now and self.grace_at <= self.over_at

    def passed(self, now: float) -> None:
        """It is `now`: what has come by that?"""
        if self.drained:
            return
        if self.farewells_by is not None and self.farewells_by <= now:
            self.farewells_over = True
        if self.accepting and min(self.notice_at, self.over_at) <= now:
            self.accepting = False
            self.farewells_by = now + self.spread
        self.over = self.over_at <= now

    def deadlines(self) -> list[float]:
        """What is to come, once it is due at the latest."""
        if self.drained:
            return []
        return [self.over_at, self.notice_at] if self.accepting else [self.over_at]
