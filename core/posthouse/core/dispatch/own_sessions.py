"""The sessions of callers, as handlers use them: read, changed and ended by the handler of a call.

A handler has the session of the connection that called it, as long as that has the same identity. Each change that it
asks for gets one outcome, a `Resolve`, like a request to a peer.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw, Struct, ValidationError, convert, json
from posthouse.core.calls.calls import Calls
from posthouse.core.calls.outgoing import OutgoingRequests
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.store.outcomes import Full, StoreOutcome
from posthouse.core.store.requests import EndSession, UpdateSession
from posthouse.core.store.rows import SessionRow
from posthouse.core.store.storage import Storage
from posthouse.core.values.effects import Resolve
from posthouse.core.values.errors import UNKNOWN_SESSION, ErrorObject, RpcError, UsageError
from posthouse.core.values.peers import CallId, OutgoingId
from posthouse.core.values.shared import Shared

from .session_calls import SessionCalls

OWN: Final = "own"
"""The purpose of this table's requests."""


class Members(Struct, frozen=True, forbid_unknown_fields=True):
    """What a handler changes: the members of `session.update`."""

    set: dict[str, Raw] = {}
    unset: tuple[str, ...] = ()
    version: int | None = None


class Own(Struct, frozen=True, eq=False):
    """One change that waits for the store."""

    connection: Connection
    session: str
    request: UpdateSession | EndSession


class OwnSessions:
    """The changes of handlers that wait for the store, by the ids of their outcomes."""

    def __init__(
        self,
        shared: Shared,
        connections: Connections,
        calls: Calls,
        requests: OutgoingRequests,
        storage: Storage,
        session_calls: SessionCalls,
    ) -> None:
        self._outbox = shared.outbox
        self._connections = connections
        self._calls = calls
        self._requests = requests
        self._storage = storage
        self._session_calls = session_calls
        self.records: dict[OutgoingId, Own] = {}
        storage.on(OWN, self._answered)

    def row_of(self, number: CallId) -> SessionRow | None:
        """The session of the caller of this call, as it is now. None: it has none, or the call has ended."""
        connection = self._caller(number)
        if connection is None or connection.session is None:
            return None
        return self._session_calls.sessions.records[connection.session].row

    def _caller(self, number: CallId) -> Connection | None:
        """The connection of this call, unless it has had another identity since."""
        call = self._calls.find(number)
        if call is None or call.caller is not None:
            return None
        return self._connections.records.get(call.connection)

    def ask(self, number: CallId, method: str, params: object, now: float) -> OutgoingId:
        """Change or end the session of the caller of this call. Raises UsageError for anything else."""
        members = _read(method, params)
        connection, id = self._caller(number), self._requests.reserve()
        try:
            if connection is None or connection.session is None:
                raise RpcError(UNKNOWN_SESSION)
            request = self._request(connection.session, members, now)
        except RpcError as error:
            self._outbox.append(Resolve(id, error.error_object))
            return id
        self.records[id] = Own(connection, connection.session, request)
        outcome = self._storage.begin(OWN, id, request, now)
        if not isinstance(outcome, int):
            self._answered(id, outcome, now)
        return id

    def _request(self, session: str, members: Members | None, now: float) -> UpdateSession | EndSession:
        requests = self._session_calls.requests
        if members is None:
            return requests.end(session)
        self._session_calls.check_not_renewing(session)
        return requests.update(session, json.encode(members.set), members.unset, members.version, now)

    def _answered(self, subject: int, outcome: StoreOutcome | Full, now: float) -> None:
        id = OutgoingId(subject)
        own = self.records.pop(id)
        judge = self._session_calls.updated if isinstance(own.request, UpdateSession) else self._session_calls.ended
        resolved: bytes | ErrorObject
        try:
            resolved = json.encode(judge(own.connection, own.session, outcome, now))
        except RpcError as error:
            resolved = error.error_object
        self._outbox.append(Resolve(id, resolved))


def _read(method: str, params: Any) -> Members | None:
    """What is changed. None: the session ends."""
    if method == "end":
        return None
    if method != "update":
        raise UsageError(f"a session cannot {method!r}: it can update and end")
    try:
        given = json.decode(params) if isinstance(params, Raw) else params
        return json.decode(json.encode(given), type=Members) if isinstance(given, dict) else convert(given, Members)
    except (ValidationError, TypeError) as error:
        raise UsageError(f"the session cannot be changed in this way: {error}") from None
