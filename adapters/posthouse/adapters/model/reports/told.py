"""The events that a gateway must tell, beside `call.ended`: each once, with the facts of the model, at its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from posthouse.adapters.invariants import must
from posthouse.adapters.model.records import Call, Connection
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Answer, Disconnect, Effect, Emit
from posthouse.core.values.lifecycle import (
    AcceptingStopped,
    AuthExpired,
    AuthFailed,
    AuthRevoked,
    AuthSucceeded,
    CallCancelled,
    CallFailed,
    CallOutcome,
    CallTimedOut,
    ConnectionClosed,
    ConnectionOpened,
    DrainStarted,
    Event,
    LimitBreached,
)
from posthouse.core.values.peers import CallId, ConnectionId, Identity, UserKey

PREDICTED: Final = (
    AuthSucceeded,
    AuthExpired,
    AuthRevoked,
    ConnectionOpened,
    ConnectionClosed,
    CallCancelled,
    CallTimedOut,
    DrainStarted,
    AcceptingStopped,
)
"""The events that are known completely."""

REASONS: Final[dict[CallOutcome, str]] = {"cancelled": "client", "disconnected": "disconnected", "drained": "draining"}
"""The reason that `call.cancelled` gives for each outcome."""


class Told:
    """Events that the current input must tell. `exchanges`: every exchange is told, also an orderly one."""

    def __init__(self, config: Config, *, exchanges: bool) -> None:
        self._config = config
        self._exchanges = exchanges
        self._now = 0.0
        self._events: list[Event] = []
        self._missing: list[Event] = []

    def begin(self, effects: Sequence[Effect], now: float) -> None:
        """The next input had these effects."""
        self._now = now
        self._events = [effect.event for effect in effects if type(effect) is Emit]

    def opened(self, connection: Connection, effects: Sequence[Effect]) -> None:
        """A connection was opened. It is told if it was admitted."""
        about = [
            type(each)
            for each in effects
            if isinstance(each, Answer | Disconnect) and each.connection == connection.number
        ]
        refused = Disconnect in about and Answer not in about  # an exchange may be closed behind its answer
        told = next((event for event in self._events if type(event) is ConnectionOpened), None)
        connection.admitted = not refused
        if told is not None:
            connection.public_id = told.public_id
        if not refused and (connection.pushable or self._exchanges):
            peer, number = connection.peer, ConnectionId(connection.number)
            opened = (connection.public_id, peer.kind, peer.address, connection.identity.user)
            self._must_tell(ConnectionOpened(number, *opened, self._now))

    def closed(self, connection: Connection, code: int | None, reason: str | None) -> None:
        """A connection has ended. `code` and `reason` are the peer's, which count unless the gateway closed it."""
        if connection.closing is not None:
            code, reason = connection.closing
        if not connection.admitted or not (connection.pushable or reason is not None or self._exchanges):
            return
        peer, now = connection.peer, self._now
        told = next((event for event in self._events if type(event) is ConnectionClosed), None)
        if told is not None and not connection.public_id:
            connection.public_id = told.public_id  # its opening was not told
        duration = now - connection.opened_at
        about = (connection.public_id, peer.kind, peer.address, connection.identity.user)
        number = ConnectionId(connection.number)
        self._must_tell(ConnectionClosed(number, *about, code, duration, connection.made, now, reason))

    def ended_early(self, call: Call, outcomes: Sequence[CallOutcome], reason: str | None = None) -> None:
        """A call has ended before its handler, or too late, with one of these outcomes. `reason`: of a cancellation, if
        not the usual one of the outcome."""
        number, connection = CallId(call.number), ConnectionId(call.slot.connection.number)
        about = (number, connection, call.method.name)
        events: list[Event] = [
            CallTimedOut(*about, self._now, call.request_id)
            if outcome == "timed_out"
            else CallCancelled(*about, reason or REASONS[outcome], self._now, call.request_id)
            for outcome in outcomes
            if outcome != "error"
        ]
        if events:
            self._must_tell(*events)

    def verified(self, connection: Connection, authenticator: str, identity: Identity) -> None:
        """An authenticator has accepted the credentials of a connection."""
        told = next((event for event in self._events if type(event) is AuthSucceeded), None)
        if told is not None and not connection.public_id:
            connection.public_id = told.public_id  # it is not admitted yet
        peer, user = connection.peer, identity.user or ""
        about = (connection.public_id, peer.kind, peer.address, authenticator, user, identity.namespace)
        self._must_tell(AuthSucceeded(ConnectionId(connection.number), *about, self._now))

    def expired(self, connection: Connection) -> None:
        """The identity of a connection has expired."""
        told = next((event for event in self._events if type(event) is AuthExpired), None)
        if told is not None and not connection.public_id:
            connection.public_id = told.public_id
        peer, identity = connection.peer, connection.identity
        about = (connection.public_id, peer.kind, peer.address, identity.user, identity.namespace)
        self._must_tell(AuthExpired(ConnectionId(connection.number), *about, self._now))

    def revoked(self, user: UserKey, not_before: float | None, connections: int) -> None:
        """A user was revoked."""
        namespace, name = user
        self._must_tell(AuthRevoked(name, namespace, not_before, connections, self._now))

    def draining(self) -> None:
        """A shut-down has begun."""
        self._must_tell(DrainStarted(self._now))

    def stopped(self) -> None:
        """No more sockets are accepted."""
        self._must_tell(AcceptingStopped(self._now))

    def _must_tell(self, *alternatives: Event) -> None:
        """Require one of these events."""
        found = next((event for event in alternatives if event in self._events), None)
        if found is None:
            self._missing += alternatives
        else:
            self._events.remove(found)

    def compare(self, connections: dict[int, Connection]) -> None:
        """All these events were told and no others, and the facts of those that cannot be predicted are right. Raises
        Violation."""
        must(not self._missing, "events: an event was not told, or with other facts", *self._missing, *self._events)
        for event in self._events:
            must(type(event) not in PREDICTED, "events: an event was told that did not happen", event)
            if type(event) is LimitBreached:
                must(
                    event.now == self._now and event.enforced is (event.limit not in self._config.observe),
                    "events: the breach of a limit is told with other facts",
                    event,
                )
                known = None if event.connection is None else connections.get(event.connection)
                right = known is None or known.peer.address == event.address
                must(right, "events: the breach of a limit is told with other facts", event)
            elif type(event) is AuthFailed:
                known = connections.get(event.connection)
                right = known is None or (known.peer.kind, known.peer.address) == (event.kind, event.address)
                right = right and event.now == self._now
                must(right, "events: the refusal of credentials is told with other facts", event)
            elif type(event) is CallFailed:
                must(event.now == self._now, "events: the failure of a call is told with other facts", event)
