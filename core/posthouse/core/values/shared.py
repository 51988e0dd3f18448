"""The state that every table of one gateway shares, handed to each table as its first argument.

Tables append effects to `outbox`, note breached limits with `breach`, and count the bytes that they hold for peers with
`hold`. After an input, the gateway enforces the limits if `unsettled` is set. No table reaches another one through it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .close_reasons import CloseReason, Limit
from .config import Config
from .effects import Effect, Emit
from .lifecycle import Event, LimitBreached
from .peers import Address, ConnectionId, Identity
from .stats import Stats
from .timers import Timers

Entropy = Callable[[int], bytes]
"""Returns as many unpredictable bytes as it is asked for."""


# Not a Struct: slots are faster to write.
@dataclass(slots=True, eq=False)
class Shared:
    """`wall`: Unix seconds at monotonic 0. `wanted`: the events that somebody listens to. `exchanges_told`: somebody
    listens to the opening and closing of exchanges. `held`: bytes held for peers in total,
    `most_held`: at most. `unsettled`: a limit may be
    breached, or a shut-down may have ended. `breaches`: the connections that breached a limit in this input, with the
    reason."""

    config: Config
    wall: float
    entropy: Entropy
    wanted: tuple[type[Event], ...] = ()
    exchanges_told: bool = True
    outbox: list[Effect] = field(init=False, default_factory=list)
    timers: Timers = field(init=False, default_factory=Timers)
    stats: Stats = field(init=False)
    breaches: list[tuple[ConnectionId, CloseReason]] = field(init=False, default_factory=list)
    held: int = field(init=False, default=0)
    most_held: int = field(init=False, default=0)
    unsettled: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.stats = Stats(self.config.latency_buckets)

    def timestamp(self, now: float) -> float:
        """`now` as Unix seconds, rounded to milliseconds."""
        return round(self.wall + now, 3)

    def monotonic(self, unix: float) -> float:
        """The monotonic seconds of a Unix time, as far as is known now."""
        return unix - self.wall

    def expired(self, identity: Identity, now: float) -> bool:
        """Has this identity expired?"""
        return identity.expires_at is not None and now >= self.monotonic(identity.expires_at)

    def breach(self, connection: ConnectionId, reason: CloseReason) -> None:
        """Close this connection at the end of the input, unless the limit is only observed."""
        self.breaches.append((connection, reason))
        self.unsettled = True

    def hold(self, size: int) -> None:
        """Count `size` more bytes held for peers (fewer if it is negative)."""
        self.held += size
        if self.held > self.most_held:
            self.most_held = self.held
        if self.held > self.config.memory_budget:
            self.unsettled = True

    def enforces(self, limit: Limit, connection: ConnectionId | None, address: Address, now: float) -> bool:
        """Count and report the breach of a limit. False: the limit is only observed."""
        enforced = limit.name not in self.config.observe
        self.stats.count(f"limit.{limit.name}" if enforced else f"limit.{limit.name}.would_refuse")
        self.outbox.append(Emit(LimitBreached(limit.name, connection, address, enforced, now)))
        return enforced
