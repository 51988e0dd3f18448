"""Pushing: one payload to one connection or to many, without waiting for any of them."""

from __future__ import annotations

from collections.abc import Iterable

from posthouse.core.values.effects import Multicast
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import KINDS, PUSHABLE, ConnectionId, Kind
from posthouse.core.values.shared import Shared

from .connections import Connection, Connections
from .flow import Flow
from .state import OPEN

Names = Iterable[str]
"""Kinds of connections, or users."""


class Delivery:
    """Notifications to connections."""

    def __init__(self, shared: Shared, connections: Connections, flow: Flow) -> None:
        self._outbox = shared.outbox
        self._connections = connections
        self._flow = flow

    def push(self, connection: Connection, payload: bytes, now: float) -> bool:
        """Push to one connection. False: it is not open, or its kind cannot be pushed to."""
        if not connection.pushable or connection.state is not OPEN:
            return False
        self._flow.push(connection.id, payload, now)
        return True

    def multicast(
        self, payload: bytes, now: float, *, kinds: Names | None, users: Names | None, namespace: str = ""
    ) -> int:
        """Push to every connection of these kinds and users (None: all). Returns how many there are. `namespace` is
        that of the users."""
        allowed = pushable_kinds(kinds)
        if users is None:
            tables = [self._connections.by_kind[kind] for kind in allowed]
        else:
            tables = [
                {
                    id: record
                    for id, record in self._connections.by_user.get((namespace, user), {}).items()
                    if record.peer.kind in allowed
                }
                for user in sorted(dict.fromkeys(several(users, "users")))
            ]
        clear: list[ConnectionId] = []
        delivered = 0
        for table in tables:
            delivered += len(table)
            slow = self._flow.slow_among(table)
            for id in slow:
                self._flow.queue_push(id, self._flow.backlogs[id], payload, now)
            if not slow:
                clear.extend(table)
                continue
            others = dict.fromkeys(table)
            for id in slow:
                del others[id]
            clear.extend(others)
        if clear:
            self._outbox.append(Multicast(clear, payload))
        return delivered


def sender_of(connection: Connection) -> dict[str, object]:
    """Who sends something, as those see it who receive it."""
    identity = connection.identity
    sender: dict[str, object] = {"connection": connection.public_id, "user": identity.user}
    if identity.namespace:
        sender["namespace"] = identity.namespace
    return sender


def pushable_kinds(kinds: Iterable[str] | None) -> tuple[Kind, ...]:
    """The kinds among `kinds` (None: all) that can be pushed to, in the order of `KINDS`."""
    if kinds is None:
        return tuple(kind for kind in KINDS if PUSHABLE[kind])
    asked = several(kinds, "kinds")
    for kind in asked:
        if kind not in KINDS:
            raise UsageError(f"unknown kind {kind!r}: the kinds are {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if PUSHABLE[kind] and kind in asked)


def several(names: Iterable[str], what: str) -> tuple[str, ...]:
    """The names as a tuple. Raises UsageError for a single string and for names that are not strings."""
    if isinstance(names, str):
        raise UsageError(f"{what} is a single string: give a list, such as [{names!r}]")
    given = tuple(names)
    for name in given:
        if not isinstance(name, str):
            raise UsageError(f"{what} contains {name!r}: every name must be a string")
    return given
