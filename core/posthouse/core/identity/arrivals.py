"""Arrivals: connections whose credentials are verified before they are admitted.

The peer gets nothing until then. The one text of an HTTP exchange that comes meanwhile is kept, and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.connections.openings import Openings
from posthouse.core.connections.state import ASK, AUTHENTICATING
from posthouse.core.service.authenticators import Cookie, SessionToken
from posthouse.core.sessions.keys import digest_of, read_key
from posthouse.core.store.outcomes import RETRY_MS, Full, StoreOutcome
from posthouse.core.values.close_reasons import (
    AUTHENTICATION_FAILED,
    CREDENTIALS_EXPIRED,
    CREDENTIALS_UNKNOWN,
    CROSS_SITE,
    DIFFERENT_SESSIONS,
    DIFFERENT_USERS,
    MAX_EXTERNAL_OPERATIONS,
    STALE_COOKIE,
    STALE_SESSION,
    TOO_MANY_FAILED_AUTHENTICATIONS,
    CloseReason,
)
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import AuthFailure
from posthouse.core.values.peers import ConnectionId, Identity, OperationId, Peer
from posthouse.core.values.shared import Shared

from .refusal import Refusal
from .session_keys import SessionKeys, is_unavailable
from .verifications import Verification, Verifications

ARRIVAL: Final = "arrival"
"""The purpose of this table's verifications."""

REASONS: Final[dict[AuthFailure, CloseReason]] = {
    "expired": CREDENTIALS_EXPIRED,
    "too_many": TOO_MANY_FAILED_AUTHENTICATIONS,
    "different_users": DIFFERENT_USERS,
    "different_sessions": DIFFERENT_SESSIONS,
    "cross_site": CROSS_SITE,
    "stale_cookie": STALE_COOKIE,
    "stale_session": STALE_SESSION,
    "unavailable": CREDENTIALS_UNKNOWN,
}
"""Why a peer is refused, if not because its credentials were, or for a limit: no answer may tell more."""

STALE: Final = Refusal("stale_cookie")
UNKNOWN: Final = Refusal("stale_session")
UNAVAILABLE: Final = Refusal("unavailable", retry_after_ms=RETRY_MS)
FULL: Final = Refusal("busy", MAX_EXTERNAL_OPERATIONS)

Texts = tuple[Callable[[Connection, bytes, float], None], Callable[[bytes], bool]]
"""Called with a connection that is admitted, its text, and the time. And: is this text a log-in, and nothing else?"""


class Using(Struct, frozen=True, gc=False):
    """The key of a session for which the store is asked, with this operation. `number`: that of the question. `cookie`:
    the hash of the cookie that has the key."""

    session: str
    number: int
    cookie: bytes | None = None
    operation: OperationId = OperationId(0)


class Arrival(Struct, eq=False):
    """One connection that is not admitted yet, and the text that it has sent. `left`: its credentials that were not
    looked at. `identity`: the user whom the host gave, or that of those which were verified. `deadline`: when all of
    them must be. `using`: the store is asked for its session. `stale`: its cookie does not count any more. `ahead`: its
    text comes when it is admitted."""

    left: list[object]
    deadline: float
    ahead: bool
    verification: Verification | None = None
    using: Using | None = None
    identity: Identity | None = None
    stale: bool = False
    text: bytes | None = None


class Arrivals:
    """The connections whose credentials are being verified. `holding` are those that have sent a text, with its size.
    `texts` are for those that are admitted."""

    def __init__(
        self,
        shared: Shared,
        connections: Connections,
        openings: Openings,
        verifications: Verifications,
        keys: SessionKeys,
        texts: Texts,
    ) -> None:
        self._shared = shared
        self._connections = connections
        self._openings = openings
        self._verifications = verifications
        self._keys = keys
        self.shed = keys.shed
        self._receive, self._logs_in = texts
        self.draining = False
        self.records: dict[ConnectionId, Arrival] = {}
        self.holding: dict[ConnectionId, int] = {}
        verifications.on(ARRIVAL, self._verified)
        keys.on(ARRIVAL, self._used)

    def connect(self, peer: Peer, credentials: object, now: float, *, ahead: bool) -> ConnectionId:
        """Record a new connection with these credentials: it is admitted or refused now, or when they are verified.
        Raises UsageError for an invalid peer."""
        given = peer.identity if peer.identity.key is not None else None
        identity = self._verifications.known(credentials, now) if given is None else None
        if identity is not None:
            return self._openings.connect(peer, now, draining=self.draining, identity=identity, ahead=ahead)
        left = list(credentials) if isinstance(credentials, tuple) else [credentials]
        if not self._verifications.asks:
            left = [each for each in left if isinstance(each, SessionToken)]
        if not left:
            return self._openings.connect(peer, now, draining=self.draining, ahead=ahead)
        id = self._openings.connect(peer, now, draining=self.draining, unverified=True)
        record = self._connections.records[id]
        if record.state is AUTHENTICATING:
            self.records[id] = arrival = Arrival(left, now + self._shared.config.authentication_timeout, ahead)
            arrival.identity = given
            self._verify_next(record, arrival, now)
        return id

    def hold(self, record: Connection, data: bytes, now: float) -> None:
        """A text was received before the connection is admitted. Raises UsageError for a second one."""
        arrival = self.records[record.id]
        if record.pushable or arrival.text is not None:
            raise UsageError(f"connection {record.id} is not admitted yet: it has no text, or its one text was given")
        arrival.text = data
        self.holding[record.id] = len(data)
        self._shared.hold(len(data))
        if arrival.verification is None and arrival.using is None:
            self._admit(record, arrival, now)

    def _verify_next(self, record: Connection, arrival: Arrival, now: float) -> None:
        """Verify the credentials that are left, until an authenticator must be asked."""
        while arrival.left:
            credentials = arrival.left.pop(0)
            of_session = (SessionToken, Cookie) if self._keys.in_cookies else SessionToken
            if isinstance(credentials, of_session):
                if not self._use(record, arrival, credentials, now):
                    return
                continue
            result = self._verifications.begin(
                ARRIVAL, record.id, record.caller, credentials, now, deadline=arrival.deadline
            )
            if isinstance(result, Verification):
                arrival.verification = result
                return
            if isinstance(credentials, Cookie):
                record.cookie = digest_of(credentials.secret)
            if result == STALE and not record.pushable:
                arrival.stale = True
                continue
            if not self._agrees(record, arrival, result, now):
                return
        if arrival.text is not None or arrival.ahead or not arrival.stale:
            self._admit(record, arrival, now)

    def _use(self, record: Connection, arrival: Arrival, given: SessionToken | Cookie, now: float) -> bool:
        """Use the session of this token, or of this cookie. False: the store has not answered yet, or the peer is
        refused."""
        cookie = digest_of(given.secret) if isinstance(given, Cookie) else None
        key = read_key(given.secret if isinstance(given, Cookie) else given.key)
        if key is None:
            return self._is_unknown(record, arrival, cookie, now)
        number = self._keys.begin()
        outcome = self._keys.ask(ARRIVAL, record.id, key, now)
        if isinstance(outcome, int):
            arrival.using = Using(key.session, number, cookie, outcome)
            return False
        return self._attach(record, arrival, Using(key.session, number, cookie), outcome, now)

    def _is_unknown(self, record: Connection, arrival: Arrival, cookie: bytes | None, now: float) -> bool:
        """The key fits no session. False: the peer is refused. With a key in a cookie, it may still log in."""
        if cookie is None:
            self._refuse(record, self._verifications.fail(record.caller, None, UNKNOWN, now), now)
            return False
        if record.pushable:
            return self._agrees(record, arrival, STALE, now)
        arrival.stale = True
        return True

    def _used(self, subject: int, outcome: StoreOutcome, now: float) -> None:
        id = ConnectionId(subject)
        record, arrival = self._connections.records[id], self.records[id]
        using, arrival.using = arrival.using, None
        assert using is not None
        if self._attach(record, arrival, using, outcome, now):
            self._verify_next(record, arrival, now)

    def _attach(
        self, record: Connection, arrival: Arrival, using: Using, outcome: StoreOutcome | Full, now: float
    ) -> bool:
        """The store has answered. If the key fits, the connection belongs to the session at once: it is refused if that
        ends. False: the peer is refused."""
        row = self._keys.judge(using.number, using.session, outcome, now)
        if row is None and not is_unavailable(outcome):
            return self._is_unknown(record, arrival, using.cookie, now)
        if row is None:
            refusal = FULL if isinstance(outcome, Full) else UNAVAILABLE
            self._refuse(record, self._verifications.fail(record.caller, None, refusal, now), now)
            return False
        if not self._agrees(record, arrival, row.identity, now):
            return False
        if record.session not in (None, row.id):
            # A log-out would end the first one, and clear the cookie of the other, which would live on.
            refusal = Refusal("different_sessions")
            self._refuse(record, self._verifications.fail(record.caller, None, refusal, now), now)
            return False
        if record.session is None:
            record.cookie = using.cookie
            self._keys.sessions.attach(record, row, now)
        return True

    def _verified(self, subject: int, result: Identity | Refusal, now: float) -> None:
        id = ConnectionId(subject)
        record, arrival = self._connections.records[id], self.records[id]
        arrival.verification = None
        if self._agrees(record, arrival, result, now):
            self._verify_next(record, arrival, now)

    def _agrees(self, record: Connection, arrival: Arrival, result: Identity | Refusal, now: float) -> bool:
        """Are these credentials accepted, and those of the same user as the others? If not, the peer is refused."""
        if isinstance(result, Identity):
            if arrival.identity is None:
                arrival.identity = result
            if arrival.identity.key == result.key:
                return True
            result = self._verifications.fail(record.caller, None, Refusal("different_users"), now)
        elif result == STALE:
            result = self._verifications.fail(record.caller, None, STALE, now)
        self._refuse(record, result, now)
        return False

    def _refuse(self, record: Connection, refusal: Refusal, now: float) -> None:
        self._forget(record.id)
        self._keys.sessions.drop(record, now)
        reason = refusal.limit or REASONS.get(refusal.reason, AUTHENTICATION_FAILED)
        self._openings.refuse(record, reason, now, retry_after_ms=refusal.retry_after_ms)

    def _admit(self, record: Connection, arrival: Arrival, now: float) -> None:
        """All credentials were accepted. A cookie that does not count any more is only good for a log-in."""
        if arrival.stale and not (arrival.text is not None and self._logs_in(arrival.text)):
            self._agrees(record, arrival, STALE, now)
            return
        if arrival.identity is not None and self._verifications.revocations.outdated(arrival.identity):
            # The first of several credentials was accepted before the user was revoked.
            self._refuse(record, self._verifications.fail(record.caller, None, Refusal("revoked"), now), now)
            return
        self._forget(record.id)
        identity = arrival.identity or record.peer.identity
        self._openings.admit(record, identity, now, draining=self.draining, ahead=arrival.ahead)
        if not record.admitted:
            self._keys.sessions.drop(record, now)
        if arrival.text is not None and record.admitted:
            record.move(ASK)
            record.heard_at = record.active_at = now
            self._receive(record, arrival.text, now)

    def _forget(self, id: ConnectionId) -> Arrival:
        arrival = self.records.pop(id)
        self._shared.hold(-self.holding.pop(id, 0))
        return arrival

    def drop(self, record: Connection, now: float) -> None:
        """The connection is closing or gone: nobody waits for the verification any more."""
        if record.state is AUTHENTICATING:
            arrival = self._forget(record.id)
            if arrival.verification is not None:
                self._verifications.withdraw(arrival.verification)
            if arrival.using is not None:
                using = arrival.using
                self._keys.leave(using.number, using.session, using.operation)
