"""The end of each request that named a method: counted by its outcome, and told to those who listen to `call.ended`.

It may not know why a request has its outcome.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from posthouse.core.connections.connections import Connection
from posthouse.core.jsonrpc.messages import Request
from posthouse.core.values.effects import Emit
from posthouse.core.values.errors import ERRORS
from posthouse.core.values.lifecycle import CallEnded, CallOutcome
from posthouse.core.values.peers import CallId, Identity, Meta
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


OTHER_ERRORS: Final = "errors.other"
"""The counter of errors with a code that the service chose."""


def error_counter(code: int) -> str:
    """The counter of errors with this code."""
    return f"errors.{code}" if code in ERRORS else OTHER_ERRORS


class Endings:
    """`wanted`: somebody listens, or calls are measured. Otherwise a call with a result needs not be told."""

    def __init__(self, shared: Shared, calls: Calls) -> None:
        self._calls = calls
        self._stats = shared.stats
        self._outbox = shared.outbox
        self._measured = shared.config.measure_calls
        self._bounds = shared.stats.bounds
        self._timeout = shared.config.call_timeout
        self._told = CallEnded in shared.wanted
        self.wanted = self._told or self._measured

    def call(
        self, call: Call, connection: Connection | None, outcome: CallOutcome, code: int | None, now: float
    ) -> None:
        """A call has its outcome. `code`: that of the error that was sent, if there is one."""
        if outcome in COUNTERS:
            self._stats.count(COUNTERS[outcome])
        if code is not None:
            self._stats.count(error_counter(code))
        if self._measured:
            # Written out, because it happens for every call.
            method = call.method
            seconds = now - call.deadline + (self._timeout if method.timeout is None else method.timeout)
            if call.meta.timeout_ms is not None:
                seconds = now - self._calls.began(call)
            durations = self._stats.calls.get((method.name, outcome))
            if durations is None:
                durations = self._stats.calls[method.name, outcome] = self._stats.no_durations()
            durations.counts[bisect_left(self._bounds, seconds)] += 1
            durations.seconds += seconds if seconds > 0.0 else 0.0
        if self._told:
            owner = call.detached or connection
            assert owner is not None  # a call ends with its connection, or is detached from it
            seconds = max(0.0, now - self._calls.began(call))
            identity = owner.identity if call.caller is None else call.caller.identity
            self._tell(owner, identity, call.number, call.method.name, outcome, code, seconds, call.meta, now)

    def request(self, request: Request, connection: Connection, code: int | None, now: float, *, refused: bool) -> None:
        """A request was answered at once: refused, or by a method of the gateway."""
        self._stats.count(REFUSED if refused else BUILTIN)
        if code is not None:
            self._stats.count(error_counter(code))
        outcome: CallOutcome = "result" if code is None else "error"
        if self._measured and not refused:
            # The name is that of a method that exists: the gateway has run it.
            durations = self._stats.calls.get((request.method, outcome))
            if durations is None:
                durations = self._stats.calls[request.method, outcome] = self._stats.no_durations()
            durations.counts[0] += 1
        if self._told:
            meta = connection.peer.meta if request.meta is None else request.meta.or_else(connection.peer.meta)
            self._tell(connection, connection.identity, None, request.method, outcome, code, 0.0, meta, now)

    def _tell(
        self,
        connection: Connection,
        identity: Identity,
        call: CallId | None,
        method: str,
        outcome: CallOutcome,
        code: int | None,
        seconds: float,
        meta: Meta,
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
            meta.request_id,
            now,
            meta.traceparent,
        )
        self._outbox.append(Emit(ended))
