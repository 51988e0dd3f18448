"""Closing connections. It calls the tables that drop a connection, and may not know what they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.connections.state import ANSWERED, CLOSING, DISCONNECTED, LIVING, Trigger
from posthouse.core.values.close_reasons import CLOSE_REASONS, CloseReason
from posthouse.core.values.effects import Disconnect, Emit
from posthouse.core.values.lifecycle import ConnectionClosed
from posthouse.core.values.peers import KINDS, Kind
from posthouse.core.values.shared import Shared

CLOSE_CODES: Final = tuple(reason.code for reason in CLOSE_REASONS.values())

CLOSED: Final[dict[Kind, str]] = {kind: f"connections.closed.{kind}" for kind in KINDS}

STANDARD_CODES: Final = range(1000, 1016)
"""RFC 6455 section 7.4.1. A peer may close with any code from 1000 to 4999: codes of its own are counted together."""


def close_counter(code: int | None) -> str:
    """The counter of connections that ended with this code."""
    if code is None:
        return "closes.none"
    return f"closes.{code}" if code in STANDARD_CODES or code in CLOSE_CODES else "closes.other"


Drop = Callable[[Connection, float], None]
"""Called with a connection that ends and the time: a table forgets its facts about that connection."""


class Closing:
    """Ends connections. `drops` are called in order, once for each connection. For an exchange that was answered these
    are `drops_answered`: the other tables hold no facts about it, unless it belongs to a session. For a connection that
    was refused it is `drop_refused`: while its credentials were verified, bytes of the request before it were held."""

    def __init__(
        self,
        shared: Shared,
        connections: Connections,
        drops: tuple[Drop, ...],
        drops_answered: tuple[Drop, ...],
        drop_refused: Drop,
    ) -> None:
        self._shared = shared
        self._connections = connections
        self._drops = drops
        self._drops_answered = drops_answered
        self._drop_refused = drop_refused

    def close_breached(self, now: float) -> None:
        """Close the connections that breached a limit, unless the limit is only observed."""
        shared = self._shared
        for id, reason in shared.breaches:
            connection = self._connections.records[id]
            if connection.state not in LIVING:
                continue
            if not reason.is_limit or shared.enforces(reason, id, connection.peer.address, now):
                self._close(connection, reason, now)
        shared.breaches.clear()

    def _close(self, connection: Connection, reason: CloseReason, now: float) -> None:
        connection.code, connection.reason = reason.code, reason.text
        connection.flush = reason.flush
        self._drop(connection, now)
        connection.move(Trigger.DISCONNECT)
        self._shared.outbox.append(Disconnect(connection.id, reason, reason.flush))

    def end(self, connection: Connection, code: int | None, now: float, reason: str | None) -> None:
        """The connection is gone. `code` and `reason` are the peer's; they are ignored if the gateway closed first."""
        if connection.state is not CLOSING:
            connection.code, connection.reason = code, reason
            self._drop(connection, now)
        elif not connection.admitted:
            self._drop_refused(connection, now)
        connection.move(DISCONNECTED)
        self._connections.remove(connection)
        if connection.admitted:
            self._shared.stats.count(CLOSED[connection.peer.kind])
            if connection.pushable:
                self._shared.stats.count(close_counter(connection.code))
            if connection.pushable or connection.reason is not None or self._shared.exchanges_told:
                self._shared.outbox.append(Emit(_closed(connection, now), connection.caller))

    def _drop(self, connection: Connection, now: float) -> None:
        answered = connection.state is ANSWERED and connection.session is None
        for drop in self._drops_answered if answered else self._drops:
            drop(connection, now)


def _closed(connection: Connection, now: float) -> ConnectionClosed:
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
        connection.reason,
    )
