"""Connections that come with a session: the store is asked for it before they are admitted."""

from __future__ import annotations

from posthouse.adapters.invariants import Violation, must
from posthouse.adapters.model.kept.questions import Question
from posthouse.adapters.model.records import Connection
from posthouse.core.service.authenticators import SessionToken

from .asking import Asking


class Arriving(Asking):
    """Connections that are not admitted yet."""

    def came(self, connection: Connection, token: SessionToken) -> None:
        """A connection comes with a session: the store is asked for it, or the connection is refused."""
        asked = self.sessions.came(connection, token.key)
        connection.pending = asked
        must(asked or self._closed(connection) is not None, "identity: a session was accepted that nobody knows")

    def used(self, question: Question, outcome: object) -> bytes | None:
        """The store has answered for the session of a connection. Returns its text, if it is admitted."""
        connection = question.connection
        assert connection is not None
        row = self.sessions.proven(question, outcome)
        host = connection.peer.identity
        if row is None or host.key not in (None, row.user):
            self._refused(connection)
            return None
        self.sessions.attach(connection, row)
        connection.pending = False
        text, connection.text = connection.text, None
        if self._closed(connection) is not None:
            return None  # a limit, or a shutdown
        self._check_accepted(connection)
        connection.identity = row.identity if host.key is None else host
        return text

    def _refused(self, connection: Connection) -> None:
        connection.pending, connection.text = False, None
        if self._closed(connection) is None:
            raise Violation("identity: a connection was not refused whose credentials were", connection.number)
