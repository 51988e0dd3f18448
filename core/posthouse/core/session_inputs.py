"""The inputs of a gateway about the sessions of callers, for their handlers."""

from __future__ import annotations

from posthouse.core.store.rows import SessionRow
from posthouse.core.values.peers import CallId, OutgoingId

from .assembly import Assembly


class SessionInputs(Assembly):
    """Handlers read, change and end the session of their caller."""

    def ask_session(self, call: CallId, method: str, params: object, now: float) -> OutgoingId:
        """A handler changes the session of its caller: `method` is "update", with the params of `session.update`, or
        "end". Exactly one `Resolve` follows, with the result or an error. Raises UsageError for anything else."""
        self._check_not_reentrant()
        self._busy = True
        try:
            asked = self._own_sessions.ask(call, method, params, now)
        finally:
            self._busy = False
        self._limits.enforce(now)
        return asked

    def _with_sessions(self, counters: dict[str, int]) -> dict[str, int]:
        if self.sessions == "off":
            return counters
        return dict(sorted({**counters, "sessions.attached": len(self._sessions.records)}.items()))

    def session_of(self, call: CallId) -> SessionRow | None:
        """The session of the caller of this call, or None. Changes nothing."""
        return self._own_sessions.row_of(call)
