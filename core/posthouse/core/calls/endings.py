"""The end of each request that named a method: counted by its outcome, and told to those who listen to `call.ended`.

It may not know why a request has its outcome.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.connections.connections import Connection
from posthouse.core.jsonrpc.messages import Request
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import CallEnded, CallOutcome
from posthouse.core.values.peers import CallId, Identity
from posthouse.core.values.shared import Shared

from .calls import Call, Calls

COUNTERS: Final[dict[CallOutcome, str]] = {
    "error": "calls.errors",
    "cancelled": "calls.cancelled",
    "timed_out": "calls.timed_out",
    "disconnected": "calls.disconnected",
    "drained": "calls.drained",
}
"""The counters of calls by outcome. Results are not counted: they are all the other calls without one of these."""

REFUSED: Final = "calls.refused"
BUILTIN: Final = "calls.builtin"
"""Requests that were refused, and requests that the gateway answered itself. Neither become calls."""


class Endings:
    """`wanted`: somebody listens. Otherwise nothing needs to be told about a call with a result."""

    def __init__(self, shared: Shared, calls: Calls) -> None:
        self._calls = calls
        self._stats = shared.stats
        self._outbox = shared.outbox
        self.wanted = CallEnded in shared.wanted

    def call(
        self, call: Call, connection: Connection | None, outcome: CallOutcome, code: int | None, now: float
    ) -> None:
        """A call has its outcome. `code`: that of the error that was sent, if there is one."""
        if outcome in COUNTERS:
            self._stats.count(COUNTERS[outcome])
        if self.wanted:
            owner = call.detached or connection
            assert owner is not None  # a call ends with its connection, or is detached from it
            seconds, request_id = max(0.0, now - self._calls.began(call)), call.meta.request_id
            identity = owner.identity if call.caller is None else call.caller.identity
            self._tell(owner, identity, call.number, call.method.name, outcome, code, seconds, request_id, now)

    def request(self, request: Request, connection: Connection, code: int | None, now: float, *, refused: bool) -> None:
        """A request was answered at once: refused, or by a method of the gateway."""
        self._stats.count(REFUSED if refused else BUILTIN)
        if self.wanted:
            request_id = connection.peer.meta.request_id
            if request.meta is not None and request.meta.request_id is not None:
                request_id = request.meta.request_id
            outcome: CallOutcome = "result" if code is None else "error"
            self._tell(connection, connection.identity, None, request.method, outcome, code, 0.0, request_id, now)

    def _tell(
        self,
        connection: Connection,
        identity: Identity,
        call: CallId | None,
        method: str,
        outcome: CallOutcome,
        code: int | None,
        seconds: float,
        request_id: str | None,
        now: float,
    ) -> None:
        peer = connection.peer
        ended = CallEnded(
            call,
            connection.id,
            connection.public_id,
            peer.kind,
            peer.address,
            identity.user,
            method,
            outcome,
            code,
            seconds,
            request_id,
            now,
        )
        self._outbox.append(Emit(ended))
