"""Closing connections: for which limits, with which code, and what is settled as they leave.

Everything that one connection has ends here, in one place, whoever closes it. It may not know why a limit was met.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.calls.outgoing import OutgoingRequests
from posthouse.core.connections.connections import LIVING, Connection, Connections, State, Trigger
from posthouse.core.connections.delivery import Breaches
from posthouse.core.connections.flow import Flow
from posthouse.core.connections.liveness import Liveness
from posthouse.core.dispatch.dispatch import Dispatch
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Disconnect, Effect, Emit
from posthouse.core.values.lifecycle import ConnectionClosed, LimitBreached
from posthouse.core.values.peers import Address
from posthouse.core.values.stats import Stats

from .drain import SHUTDOWN, Drain

CLOSES: Final[dict[str, tuple[int, bool]]] = {
    SHUTDOWN: (1012, True),
    "idle_timeout": (1000, True),
    "max_connections": (1013, True),
    "max_connections_per_user": (4429, True),
    "memory_budget": (1013, False),
    "max_bad_messages": (4400, True),
    "call_rate": (4429, True),
    "max_queued_replies_bytes": (4100, False),
    "max_queued_pushes_bytes": (4100, False),
    "max_queued_pushes": (4100, False),
    "max_push_age": (4100, False),
    "write_timeout": (4100, False),
    "heartbeat_timeout": (4101, False),
}
"""Why the gateway closes or refuses a connection: with which close code, and whether what is queued still leaves."""

RELIEF: Final = 1.0
"""Seconds that a close is given to free memory, while no more of it is taken, before the next connection goes."""


class Closing:
    """Ends connections. `breaches` are those that met a limit in this input."""

    __slots__ = (
        "_breaches",
        "_config",
        "_connections",
        "_dispatch",
        "_drain",
        "_flow",
        "_liveness",
        "_outbox",
        "_relieved_at",
        "_relieved_to",
        "_requests",
        "_stats",
    )

    def __init__(
        self,
        config: Config,
        outbox: list[Effect],
        connections: Connections,
        dispatch: Dispatch,
        requests: OutgoingRequests,
        flow: Flow,
        liveness: Liveness,
        drain: Drain,
        stats: Stats,
        breaches: Breaches,
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._connections = connections
        self._dispatch = dispatch
        self._requests = requests
        self._flow = flow
        self._liveness = liveness
        self._drain = drain
        self._stats = stats
        self._breaches = breaches
        self._relieved_at = 0.0
        self._relieved_to = 0

    def enforced(self, limit: str, connection: Connection | None, address: Address, now: float) -> bool:
        """Count and tell the breach of a limit. False: it is only observed."""
        if limit == SHUTDOWN:
            return True
        enforced = limit not in self._config.observe
        self._stats.count(f"limit.{limit}" if enforced else f"limit.{limit}.would_refuse")
        id = None if connection is None else connection.id
        self._outbox.append(Emit(LimitBreached(limit, id, address, enforced, now)))
        return enforced

    def relieve(self, memory: int, now: float) -> None:
        """Too much is held: the idlest connection goes, and the next one if that does not help."""
        if memory <= self._relieved_to and now < self._relieved_at + RELIEF:
            return
        idlest = self._connections.idlest()
        if idlest is not None:
            self._relieved_to, self._relieved_at = memory, now
            self._breaches.append((idlest, "memory_budget"))

    def judge(self, now: float) -> None:
        """Close what breached a limit."""
        for connection, limit in self._breaches:
            if connection.state in LIVING and self.enforced(limit, connection, connection.peer.address, now):
                code, flush = CLOSES[limit]
                self.close(connection, code, now, flush=flush)
        self._breaches.clear()

    def close(self, connection: Connection, code: int, now: float, *, flush: bool) -> None:
        """Close it with this code, unless it is closing already."""
        if connection.state in LIVING:
            connection.code = code
            self._settle(connection, now, flush=flush)
            connection.move(Trigger.DISCONNECT)
            self._outbox.append(Disconnect(connection.id, code, flush))

    def end(self, connection: Connection, code: int | None, now: float) -> None:
        """It is gone. `code` is the peer's, and counts unless we closed it."""
        if connection.state is not State.CLOSING:
            connection.code = code
            self._settle(connection, now, flush=False)
        connection.move(Trigger.DISCONNECTED)
        self._connections.remove(connection)
        if connection.admitted:
            self._stats.count("connections.closed")
            self._outbox.append(Emit(closed(connection, now)))

    def _settle(self, connection: Connection, now: float, *, flush: bool) -> None:
        """Everything that it has."""
        self._connections.unindex(connection)
        self._liveness.end(connection)
        self._drain.forget(connection)
        self._dispatch.drop(connection, now)
        self._requests.drop(connection)
        self._flow.drop(connection.id, flush=flush)


def closed(connection: Connection, now: float) -> ConnectionClosed:
    """What is told of a connection that has gone."""
    return ConnectionClosed(
        connection.id,
        connection.public_id,
        connection.peer.kind,
        connection.peer.address,
        connection.identity.user,
        connection.code,
        now - connection.opened_at,
        connection.made,
        now,
    )
