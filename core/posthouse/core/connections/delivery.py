"""Pushing: one payload to one connection or to many, without waiting for any of them.

A peer that is slow gets it queued by `flow.py`; a limit that this breaches is left in `breaches` for the gateway,
which alone closes connections.
"""

from __future__ import annotations

from collections.abc import Iterable

from posthouse.core.values.effects import Effect, Multicast
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import KINDS, PUSHABLE, ConnectionId, Kind

from .connections import OPEN, Connection, Connections
from .flow import Flow

Breaches = list[tuple[Connection, str]]
"""Connections that met a limit in this input, with the limit's name in Config."""


class Delivery:
    """Notifications to connections."""

    __slots__ = ("_breaches", "_connections", "_flow", "_outbox")

    def __init__(self, outbox: list[Effect], connections: Connections, flow: Flow, breaches: Breaches) -> None:
        self._outbox = outbox
        self._connections = connections
        self._flow = flow
        self._breaches = breaches

    def push(self, connection: Connection, payload: bytes, now: float) -> bool:
        """To one. False: it cannot be pushed to, or no longer."""
        if not connection.pushable or connection.state is not OPEN:
            return False
        breached = self._flow.push(connection.id, payload, now)
        if breached is not None:
            self._breaches.append((connection, breached))
        return True

    def multicast(self, payload: bytes, now: float, *, kinds: Iterable[str] | None, users: Iterable[str] | None) -> int:
        """To every connection of these kinds and users (None: all). How many it was handed to or queued for."""
        allowed = pushable_kinds(kinds)
        if users is None:
            tables = [self._connections.by_kind[kind] for kind in allowed]
        else:
            tables = [
                {
                    id: record
                    for id, record in self._connections.by_user.get(user, {}).items()
                    if record.peer.kind in allowed
                }
                for user in sorted(dict.fromkeys(several(users, "users")))
            ]
        backlogs = self._flow.backlogs
        clear: list[ConnectionId] = []
        delivered = 0
        for table in tables:
            delivered += len(table)
            if not backlogs:
                clear.extend(table)
                continue
            for id, record in table.items():
                backlog = backlogs.get(id)
                if backlog is None:
                    clear.append(id)
                elif (breached := self._flow.queue_push(backlog, payload, now)) is not None:
                    self._breaches.append((record, breached))
        if clear:
            self._outbox.append(Multicast(clear, payload))
        return delivered


def pushable_kinds(kinds: Iterable[str] | None) -> tuple[Kind, ...]:
    """Those of `kinds` (None: of all) that can be pushed to, in their fixed order."""
    if kinds is None:
        return tuple(kind for kind in KINDS if PUSHABLE[kind])
    asked = several(kinds, "kinds")
    for kind in asked:
        if kind not in KINDS:
            raise UsageError(f"there is no kind {kind!r}: kinds are {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if PUSHABLE[kind] and kind in asked)


def several(names: Iterable[str], what: str) -> tuple[str, ...]:
    """The names that were given. Raises UsageError for a text, which would pass for its letters, and for no texts."""
    if isinstance(names, str):
        raise UsageError(f"{what} is the text {names!r}: give several, as in [{names!r}]")
    given = tuple(names)
    for name in given:
        if not isinstance(name, str):
            raise UsageError(f"{what} holds {name!r}: it must be text")
    return given
