"""Log-ins: calls of the gateway's own methods that change the identity of their connection.

One may take a while, because its credentials are verified outside. Calls behind it wait, and are authorised when they
start. This module may not know how credentials are written in a request.
"""

from __future__ import annotations

from functools import partial
from typing import Final, NoReturn

from msgspec import UNSET, Struct, UnsetType
from posthouse.core.calls.calls import Calls
from posthouse.core.calls.outcomes import Outcomes
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.identity.cookies import CLEARED
from posthouse.core.identity.refusal import Refusal
from posthouse.core.identity.verifications import Verification, Verifications
from posthouse.core.sessions.keys import digest_of
from posthouse.core.values.close_reasons import TOO_MANY_FAILED_AUTHENTICATIONS as TOO_MANY
from posthouse.core.values.errors import (
    CREDENTIALS_EXPIRED,
    DEADLINE_EXCEEDED,
    FORBIDDEN,
    INVALID_PARAMS,
    RATE_LIMITED,
    SERVER_BUSY,
    STORAGE_UNAVAILABLE,
    TOO_MANY_FAILED_AUTHENTICATIONS,
    UNAUTHENTICATED,
    ErrorObject,
    RpcError,
    refusal,
)
from posthouse.core.values.peers import CallId, Identity
from posthouse.core.values.shared import Shared

from .procedures import Later
from .renewals import Renewals, Renewed, SessionGiven

LOGIN: Final = "login"
"""The purpose of this table's verifications."""


class LoggedIn(Struct, frozen=True):
    """The caller of a connection from now on. `expires_at` is Unix seconds, or null for never. `session`: the one that
    was made for it, or renewed."""

    user: str
    scopes: tuple[str, ...]
    expires_at: float | None
    session: SessionGiven | UnsetType = UNSET


class LoggedOut(Struct, frozen=True):
    """The connection has the identity with which it opened."""


class Wishes(Struct, frozen=True, gc=False):
    """What a log-in asks for. `refresh`: the user must stay the same. `cookie`: the browser keeps it. `session`: the
    client keeps it."""

    refresh: bool = False
    cookie: bool = False
    session: bool = False


class Login(Struct, eq=False):
    """One log-in whose credentials are being verified."""

    verification: Verification
    wishes: Wishes


class Logins:
    """The log-ins in progress, by their calls."""

    def __init__(
        self,
        shared: Shared,
        connections: Connections,
        verifications: Verifications,
        calls: Calls,
        outcomes: Outcomes,
        renewals: Renewals,
    ) -> None:
        self._shared = shared
        self._connections = connections
        self._verifications = verifications
        self._cookies = verifications.cookies
        self._calls = calls
        self._outcomes = outcomes
        self._renewals = renewals
        self.records: dict[CallId, Login] = {}
        verifications.on(LOGIN, self._verified)

    def begin(
        self,
        connection: Connection,
        call: CallId,
        scheme: str,
        credentials: object,
        wishes: Wishes,
        now: float,
    ) -> LoggedIn:
        """Verify credentials for a call. Returns the new caller. Raises RpcError; Later, if it is answered later."""
        if wishes.cookie:
            self._check_cookie(connection)
        result = self._verifications.begin(LOGIN, call, connection.caller, credentials, now, scheme=scheme)
        if isinstance(result, Verification):
            self.records[call] = Login(result, wishes)
            self._calls.later[call] = self.withdraw
            raise Later
        return self._decide(connection, call, result, wishes, now)

    def log_out(self, connection: Connection, call: CallId, now: float) -> LoggedOut:
        """The caller is from now on who the connection was when it opened, before any credentials. The cookie with
        which it came, and its session, end."""
        out: LoggedOut = self._renewals.end(connection, call, partial(self.log_out_here, connection, call), now)
        return out

    def log_out_here(self, connection: Connection, call: CallId, now: float) -> LoggedOut:
        """The same for a connection without a session: the store is asked for nothing."""
        self._calls.identity_changes(connection, call)
        self._connections.identify(connection, connection.peer.identity, now)
        self._end_cookie(connection)
        if connection.peer.kind == "http":
            connection.set_cookie = CLEARED
        return LoggedOut()

    def withdraw(self, call: CallId, now: float) -> None:
        """The call has ended without an answer: nobody waits for the verification any more."""
        self._verifications.withdraw(self.records.pop(call).verification)

    def _verified(self, subject: int, result: Identity | Refusal, now: float) -> None:
        number = CallId(subject)
        call, login = self._calls.records[number], self.records.pop(number)
        del self._calls.later[number]
        connection = self._connections.records[call.connection]
        outcome: LoggedIn | ErrorObject = refusal(DEADLINE_EXCEEDED)
        if now < call.deadline:
            try:
                outcome = self._decide(connection, number, result, login.wishes, now)
            except Later:
                return
            except RpcError as error:
                outcome = error.error_object
        self._outcomes.answered(call, connection, outcome, now)

    def _decide(
        self,
        connection: Connection,
        call: CallId,
        result: Identity | Refusal,
        wishes: Wishes,
        now: float,
    ) -> LoggedIn:
        """Change the identity of the connection, or raise RpcError; Later, if the store keeps a session first."""
        if isinstance(result, Refusal):
            self.refuse(connection, result, now)
        if wishes.refresh and result.key != connection.identity.key:
            raise RpcError(FORBIDDEN, data={"reason": "the credentials are those of another user"})
        asked = wishes.session or (wishes.cookie and self._renewals.in_cookies)
        if not self._renewals.due(connection, asked=asked):
            return self._log_in(connection, call, result, wishes, None, now)
        then = partial(self._log_in, connection, call, result, wishes)
        renewed: LoggedIn = self._renewals.renew(connection, call, result, then, now, asked=asked)
        return renewed

    def _log_in(
        self,
        connection: Connection,
        call: CallId,
        result: Identity,
        wishes: Wishes,
        renewed: Renewed | None,
        now: float,
    ) -> LoggedIn:
        same = result.key == connection.identity.key
        for limit in [] if same else self._connections.user_limits(result):
            if self._shared.enforces(limit, connection.id, connection.peer.address, now):
                raise RpcError.of(refusal(RATE_LIMITED, limit=limit.name))
        session: SessionGiven | UnsetType = UNSET
        if renewed is None and wishes.cookie:
            self._set_cookie(connection, result, now)
        elif renewed is not None:
            session = self._give(connection, wishes, renewed)
        self._calls.identity_changes(connection, call)
        self._connections.identify(connection, result, now, keep_state=same)
        assert result.user is not None
        return LoggedIn(result.user, result.scopes, result.expires_at, session)

    def _give(self, connection: Connection, wishes: Wishes, renewed: Renewed) -> SessionGiven | UnsetType:
        """The browser gets a session that is for it in its cookie, which no script reads: also if it has renewed the
        one of the cookie with which it came. Returns what the client is told."""
        came = connection.cookie is not None and connection.peer.kind == "http"
        if not wishes.cookie and not came:
            return renewed.given
        connection.set_cookie = renewed.cookie
        has_key = connection.session is not None and not came
        if wishes.session or has_key:
            return renewed.given
        connection.cookie = digest_of(renewed.cookie.secret)  # the cookie alone has the key: also for later log-ins
        return UNSET

    def refuse(self, connection: Connection, refused: Refusal, now: float) -> NoReturn:
        """Raise the RpcError for credentials that were not accepted."""
        if refused.limit is not None:
            raise RpcError.of(refusal(SERVER_BUSY, limit=refused.limit.name))
        if refused.reason == "unavailable":
            raise RpcError.of(refusal(STORAGE_UNAVAILABLE, retry_after_ms=refused.retry_after_ms))
        if refused.retry_after_ms is not None:
            self._slow_down(connection, refused.retry_after_ms, now)
        raise RpcError(CREDENTIALS_EXPIRED if refused.reason == "expired" else UNAUTHENTICATED)

    def _check_cookie(self, connection: Connection) -> None:
        """Raise RpcError unless the answer can set a cookie, which nobody reads on its way."""
        if connection.peer.kind != "http":
            raise RpcError(INVALID_PARAMS, data={"parameter": "cookie", "reason": "only POST /rpc can set a cookie"})
        if not connection.peer.address.private:
            reason = "a cookie needs https, or a client on the server's machine"
            raise RpcError(INVALID_PARAMS, data={"parameter": "cookie", "reason": reason})

    def _set_cookie(self, connection: Connection, identity: Identity, now: float) -> None:
        self._end_cookie(connection)  # first: it makes room for the new one
        minted = self._cookies.mint(identity, now)
        if minted is None:
            raise RpcError.of(refusal(SERVER_BUSY, limit="max_sessions"))
        connection.cookie, connection.set_cookie = minted

    def _end_cookie(self, connection: Connection) -> None:
        if connection.cookie is not None:
            self._cookies.end(connection.cookie)
            connection.cookie = None

    def _slow_down(self, connection: Connection, retry_after_ms: int, now: float) -> NoReturn:
        """Too many authentications have failed. A connection that was told so, and does not wait, is closed."""
        if now < connection.patient_at:
            self._shared.breach(connection.id, TOO_MANY)
        connection.patient_at = now + retry_after_ms / 1000
        raise RpcError.of(refusal(TOO_MANY_FAILED_AUTHENTICATIONS, retry_after_ms=retry_after_ms))
