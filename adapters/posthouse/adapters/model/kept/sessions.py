"""Sessions as the model expects them: what calls ask the store for, what follows from its answers, which connection
belongs to which session, and when one ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, Final

from msgspec import Raw
from posthouse.adapters.invariants import must
from posthouse.adapters.model.expected import Expected
from posthouse.adapters.model.messages import Codes
from posthouse.adapters.model.records import Connection
from posthouse.adapters.model.validity import Validity
from posthouse.core.operations.operations import Refused
from posthouse.core.store.outcomes import Done
from posthouse.core.store.requests import (
    AddSession,
    EndSession,
    EndSessions,
    FindSession,
    ListSessions,
    Request,
    ResumeSession,
    Sweep,
    Touch,
    UpdateSession,
    UseSession,
)
from posthouse.core.store.rows import SessionRow
from posthouse.core.values.config import Config
from posthouse.core.values.effects import AskStore, Disconnect, Effect, Emit, Withdraw
from posthouse.core.values.errors import (
    INVALID_PARAMS,
    RATE_LIMITED,
    SERVER_BUSY,
    SESSION_TAKEN_OVER,
    STORAGE_UNAVAILABLE,
    UNKNOWN_SESSION,
)
from posthouse.core.values.lifecycle import SessionEnded
from posthouse.core.values.peers import UserKey

from .asks import ASKS, check_told, fits, read
from .questions import Question

BY_ITSELF: Final = (EndSession, EndSessions, Sweep, Touch)
"""Requests whose answers no call and no peer waits for."""

AT_ONCE: Final[Codes] = (INVALID_PARAMS, UNKNOWN_SESSION, SERVER_BUSY, RATE_LIMITED)

WORDS: Final[dict[str, Codes]] = {
    "unknown": (UNKNOWN_SESSION,),
    "stolen": (UNKNOWN_SESSION,),
    "full": (SERVER_BUSY,),
    "version": (INVALID_PARAMS,),
    "too_large": (INVALID_PARAMS,),
}
"""The codes for what the rows forbid."""

MOST_REPLACED: Final = 16


class Sessions:
    """`asked` are the requests that the store has not answered, by operation. `rows`: the last that was heard of each
    session that has connections, and `used` its last use by one that has left. `ending`: the users whose sessions end,
    until the store has done it."""

    def __init__(self, config: Config, expected: Expected, validity: Validity) -> None:
        self._config = config
        self._expected = expected
        self._validity = validity
        self._begins: list[AskStore] = []
        self._ends: list[SessionEnded] = []
        self._withdrawn: dict[int, None] = {}
        self.asked: dict[int, Question] = {}
        self.begun: dict[int, None] = {}
        self.rows: dict[str, SessionRow] = {}
        self._used: dict[str, float] = {}
        self._replaced: dict[str, list[str]] = {}
        self._claims: dict[tuple[str, str], int] = {}
        self.ending: dict[UserKey, Request] = {}

    def begin(self, effects: Sequence[Effect]) -> None:
        """The next input had these effects."""
        self._begins = [effect for effect in effects if type(effect) is AskStore]
        for effect in self._begins:
            self.begun[effect.operation] = None
        self._ends = [e.event for e in effects if type(e) is Emit and type(e.event) is SessionEnded]
        self._withdrawn = {effect.operation: None for effect in effects if type(effect) is Withdraw}

    # Questions

    def ask(self, kinds: tuple[type, ...], about: Callable[[Any], bool]) -> Question | None:
        """Has this input asked the store for something of these kinds, about this?"""
        for effect in self._begins:
            if isinstance(effect.request, kinds) and about(effect.request):
                self._begins.remove(effect)
                return self._record(effect)
        return None

    def _record(self, effect: AskStore) -> Question:
        question = Question(effect.request, self._expected.now + self._config.storage_timeout)
        question.doubt = self._validity.asked()
        self.asked[effect.operation] = question
        return question

    def call(self, connection: Connection, number: int, method: str, params: bytes | None) -> Codes | None:
        """A call starts. Returns the codes of its outcome. None: the store is asked."""
        given, own = read(params), connection.session
        question = None if given is None else self.ask(ASKS[method], partial(fits, method, given, own))
        if question is None:
            at_once = method == "session.list" and given is not None and connection.identity.key is None
            return (None,) if at_once else AT_ONCE
        question.call, question.connection = number, connection
        request = question.request
        if isinstance(request, EndSession) and request.session != own:
            must(
                request.user == connection.identity.key, "sessions: a caller ends the session of another user", request
            )
        if given is not None and method == "session.resume":
            question.replaces, question.proving = given.replaces, given.replaces is not None
        return None

    def came(self, connection: Connection, key: str) -> bool:
        """A connection comes with this key. Returns whether the store is asked for it."""
        session, _, secret = key.partition(".")
        digest = sha256(secret.encode()).digest()
        question = self.ask((UseSession,), lambda request: (request.session, request.digest) == (session, digest))
        if question is not None:
            question.connection = connection
        return question is not None

    def change(self, connection: Connection | None, number: int) -> bool:
        """A handler asks for a change. Returns whether the store is asked for it."""
        own = None if connection is None else connection.session
        question = self.ask((UpdateSession, EndSession), lambda request: bool(request.session == own))
        if question is not None:
            question.connection, question.change = connection, number
        return question is not None

    def withdraw(self, call: int) -> None:
        """A call has ended without an answer. The store may still do its request."""
        for operation, question in list(self.asked.items()):
            if question.call == call and question.waited:
                question.waited = False
                self._unclaim(call)
                if isinstance(question.request, FindSession | ListSessions):
                    self._withdraw(operation)

    def drop(self, connection: Connection) -> None:
        """A connection is closed or lost: nobody waits any more for the session with which it came. The theft of that
        session still counts."""
        for question in self.asked.values():
            if question.connection is connection and question.call is None and question.change is None:
                question.waited = False
        self.leave(connection)

    def _withdraw(self, operation: int) -> None:
        del self.asked[operation]
        must(operation in self._withdrawn, "sessions: a request was not withdrawn for which nobody waits", operation)
        del self._withdrawn[operation]

    def _unclaim(self, call: int) -> None:
        self._claims = {claim: each for claim, each in self._claims.items() if each != call}

    def expire(self) -> list[tuple[float, Question]]:
        """The questions whose time is over, in order."""
        late = [question for question in self.asked.values() if question.deadline <= self._expected.now]
        return sorted(((each.deadline, each) for each in late), key=lambda pair: pair[0])

    def is_over(self, question: Question) -> bool:
        """Was this question asked until its time was over? Then it is withdrawn now."""
        for operation, each in list(self.asked.items()):
            if each is question:
                self._withdraw(operation)
                return True
        return False

    def deadlines(self) -> list[float]:
        """When the gateway must give up what it has asked for."""
        return [question.deadline for question in self.asked.values()]

    # Answers

    def outcome(self, question: Question, outcome: object) -> Codes | None:
        """The codes of a call whose request has this outcome. None: it asks again."""
        if isinstance(outcome, Refused):
            return WORDS[outcome.why]
        if not isinstance(outcome, Done):
            return (STORAGE_UNAVAILABLE,)
        request, connection = question.request, question.connection
        assert connection is not None
        if isinstance(request, AddSession):
            self.attach(connection, request.row)
        elif isinstance(request, UseSession | ResumeSession):
            return self._proven(question, outcome.value, connection)
        elif isinstance(request, FindSession):
            if outcome.value is None:
                return (UNKNOWN_SESSION,)
            self.refresh(outcome.value)
        elif isinstance(request, UpdateSession):
            self.refresh(outcome.value)
        elif isinstance(request, EndSession):
            return (None,) if outcome.value or connection.session == request.session else (UNKNOWN_SESSION,)
        return (None,)

    def told(self, question: Question, outcome: object) -> Callable[[Raw], None] | None:
        """A check of the result of a call, if that must tell a session with a secret."""
        if isinstance(outcome, Done) and isinstance(question.request, AddSession):
            return partial(check_told, question.request.row)
        resumed = isinstance(outcome, Done) and isinstance(question.request, ResumeSession)
        return partial(check_told, outcome.value) if resumed and isinstance(outcome, Done) else None

    def _proven(self, question: Question, row: SessionRow, connection: Connection) -> Codes | None:
        """The secret counts. May the caller have the session?"""
        if not self.counts(row, question.doubt) or connection.identity.key not in (None, row.user):
            return (UNKNOWN_SESSION,)
        claim = row.id, question.replaces or ""
        if question.proving:
            taken = claim in self._claims or claim[1] in self._replaced.get(row.id, ())
            again = self.ask((ResumeSession,), lambda request: bool(request.session == row.id))
            must(not (taken and again), "sessions: two replace one connection", *claim)
            if again is None:
                return (SESSION_TAKEN_OVER,) if taken else (SERVER_BUSY,)
            assert question.call is not None
            self._claims[claim] = question.call
            again.call, again.connection, again.replaces = question.call, connection, question.replaces
            return None
        if row.user != connection.identity.key and not self._has_room(row, connection):
            return (RATE_LIMITED,)
        self._validity.identify(connection, row.identity)
        self.attach(connection, row)
        if question.replaces is not None:
            replaced = self._replaced.setdefault(row.id, [])
            replaced[:] = [*replaced, question.replaces][-MOST_REPLACED:]
        return (None,)

    def _has_room(self, row: SessionRow, connection: Connection) -> bool:
        allowed = self._config.max_connections_per_user
        if allowed is None or row.user is None or "max_connections_per_user" in self._config.observe:
            return True
        others = [each for each in self._expected.connections.values() if each.open and each.identity.key == row.user]
        return len(others) < allowed

    def proven(self, question: Question, outcome: object) -> SessionRow | None:
        """The session with which a connection comes, if its secret counts."""
        if isinstance(outcome, Done) and self.counts(outcome.value, question.doubt):
            row: SessionRow = outcome.value
            return row
        return None

    def counts(self, row: SessionRow, doubt: Any) -> bool:
        """Does the user of this session still count?"""
        if row.user is None:
            return True
        refused = doubt.of_all or row.user in doubt.users or self._validity.outdated(row.identity)
        return row.user not in self.ending and not refused

    # The connections of each session

    def attach(self, connection: Connection, row: SessionRow) -> None:
        """A connection belongs to this session from now on."""
        if connection.session != row.id:
            self.leave(connection)
        self.rows[row.id] = row
        self._used.setdefault(row.id, self._expected.now)
        connection.session = row.id

    def refresh(self, row: SessionRow) -> None:
        """The store has told how a session is now."""
        if row.id in self.rows:
            self.rows[row.id] = row

    def leave(self, connection: Connection) -> None:
        """A connection belongs to no session any more."""
        session, connection.session = connection.session, None
        if session is None:
            return
        self._used[session] = max(self._used[session], connection.active_at)
        if not any(each.session == session for each in self._expected.connections.values()):
            self._forget(session)

    def _forget(self, session: str) -> None:
        self.rows.pop(session, None)
        self._used.pop(session, None)
        self._replaced.pop(session, None)

    def check_over(self) -> None:
        """Time has passed: the sessions with connections whose time is over have ended. Raises Violation."""
        now, ended = self._expected.now, [event.session for event in self._ends]
        for id, row in self.rows.items():
            used = [each.active_at for each in self._expected.connections.values() if each.session == id]
            ends_at = min(max([self._used[id], *used]) + self._config.session_idle, row.ends_at - self._validity.wall())
            must(ends_at > now or id in ended, "sessions: a session outlives its time", id, ends_at)

    def revoke(self, user: UserKey) -> None:
        """A user is revoked outright: its sessions end in the store, and until then none of them counts."""
        question = self.ask((EndSessions,), lambda request: bool(request.user == user))
        self.ending.pop(user, None)
        if len(self.ending) >= self._config.max_revocations:
            del self.ending[next(iter(self.ending))]
        self.ending[user] = question.request if question is not None else EndSessions("", user)

    def answered(self, question: Question, outcome: object) -> None:
        """A request was answered: what follows from it for those who do not wait."""
        request = question.request
        if question.call is not None and not question.proving:
            self._unclaim(question.call)
        if isinstance(request, EndSessions) and isinstance(outcome, Done) and self.ending.get(request.user) == request:
            del self.ending[request.user]

    def compare(self) -> None:
        """Each request to the store is known, and ended sessions have no connections. Raises Violation."""
        for effect in self._begins:
            must(isinstance(effect.request, BY_ITSELF), "sessions: the store was asked for what nobody wants", effect)
            self._record(effect)
            if isinstance(effect.request, EndSessions) and effect.request.user in self.ending:
                self.ending[effect.request.user] = effect.request
        closes = {effect.connection for effect in self._expected.effects if type(effect) is Disconnect}
        for event in self._ends:
            stay = 0
            for connection in self._expected.connections.values():
                if connection.session == event.session:
                    connection.session = None
                    stay += connection.number not in closes
            must(
                stay <= 1 or event.reason == "expired",
                "sessions: a connection stays in a session that has ended",
                event,
            )
            self._forget(event.session)
