"""Identities as the model expects them: which credentials are verified, by whom, and who a connection is.

The model keeps credentials as they are: it knows which ones were verified, and when. It must not use the cache of the
gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace
from posthouse.adapters.invariants import must
from posthouse.core.operations.operations import Busy
from posthouse.core.service.authenticators import Authenticator, Cookie, SessionToken
from posthouse.core.values.effects import Disconnect
from posthouse.core.values.errors import (
    FORBIDDEN,
    INVALID_PARAMS,
    RATE_LIMITED,
    SERVER_BUSY,
    TOO_MANY_FAILED_AUTHENTICATIONS,
    UNAUTHENTICATED,
)
from posthouse.core.values.peers import Identity

from .credentials.arriving import Arriving
from .credentials.asked import Asked, Others
from .credentials.asking import TOO_MANY
from .credentials.cookies import is_log_in
from .credentials.reading import asks_for_cookie, read_credentials, too_long
from .messages import Codes
from .records import Call, Connection

ABOUT_CREDENTIALS: Final = (
    *("authentication_failed", "credentials_expired", TOO_MANY, "max_external_operations", "max_hashing_queue"),
    *("max_hashes_per_address", "max_hashes_per_user", "different_users", "cross_site", "stale_cookie"),
)
"""The reasons to refuse a connection that has to do with its credentials."""


class Identities(Arriving):
    """The identity of each connection, and the verifications that may change it."""

    # Connections

    def connect(self, connection: Connection, credentials: object) -> None:
        """A connection was opened with these credentials."""
        if isinstance(credentials, SessionToken):
            self.came(connection, credentials)
        if credentials is None or not self._authenticators:
            return
        host = connection.peer.identity if connection.peer.identity.key is not None else None
        if isinstance(credentials, tuple | Cookie) or host is not None:
            given = credentials if isinstance(credentials, tuple) else (credentials,)
            self._look_at(connection, Others(given, self._expected.now + self._config.authentication_timeout, host))
            return
        chain = [each for each in self._authenticators if type(credentials) is each.takes]
        refused = [effect for effect in self._effects(Disconnect) if effect.connection == connection.number]
        cached = self.verified.find(chain, credentials, self._expected.now)
        if cached is None:
            connection.pending = self._judge(connection, credentials, chain) is None
            return
        self._expected.statistics.count("auth.cached")
        if not refused:
            connection.identity = cached

    def _look_at(self, connection: Connection, others: Others) -> bytes | None:
        """Several credentials of one connection, one after the other. Returns its text if it is admitted."""
        refused = self._closed(connection) is not None
        while others.left:
            credentials = others.left[0]
            others = replace(others, left=others.left[1:])
            if isinstance(credentials, Cookie):
                found = None if self._refused_unseen(connection) else self._found(connection, credentials)
                if found is None and (refused or connection.pushable):
                    must(refused, "identity: a cookie was accepted that does not count", connection.number)
                    break
                if found is None:
                    others = replace(others, stale=True)
                    continue
                if others.identity is not None and others.identity.key != found.key:
                    must(refused, "identity: a request has the credentials of two users", connection.number)
                    break
                others = replace(others, identity=others.identity or found)
                continue
            chain = [each for each in self._authenticators if type(credentials) is each.takes]
            cached = self.verified.find(chain, credentials, self._expected.now)
            if cached is None:
                connection.pending = self._judge(connection, credentials, chain, others=others) is None
                return None
            self._expected.statistics.count("auth.cached", certain=not refused)
            if others.identity is not None and others.identity.key != cached.key:
                must(refused, "identity: a request has the credentials of two users", connection.number)
                break
            others = replace(others, identity=others.identity or cached)
        connection.stale = others if others.stale and not refused and connection.text is None else None
        connection.pending = connection.stale is not None
        if connection.pending:
            return None
        text, connection.text = connection.text, None
        outdated = others.identity is not None and self.validity.outdated(others.identity)
        if refused:
            may = not others.stale or text is None or not is_log_in(text) or self._limited(connection) or outdated
            must(may, "identity: a log-in was refused because of a cookie that does not count", connection.number)
            return None
        fits = not others.stale or (text is not None and is_log_in(text))
        must(fits, "identity: a cookie was accepted that does not count", connection.number)
        must(not outdated, "identity: a revoked identity counts", connection.number)
        self._check_accepted(connection)
        connection.identity = others.identity or connection.peer.identity
        return text

    def _found(self, connection: Connection, cookie: Cookie) -> Identity | None:
        return self.cookies.find(cookie, connection, self._expected.now)

    def _refused_unseen(self, connection: Connection) -> bool:
        """Was this connection refused before its credentials were looked at?"""
        new = connection.opened_at == self._expected.now and connection.text is None
        return new and self._limited(connection) and "max_connections_per_user" not in self._reasons(connection)

    def _limited(self, connection: Connection) -> bool:
        """Is it refused for another reason than its credentials?"""
        return any(reason not in ABOUT_CREDENTIALS for reason in self._reasons(connection))

    def _reasons(self, connection: Connection) -> list[str]:
        return [each.reason.name for each in self._effects(Disconnect) if each.connection == connection.number]

    def held(self, connection: Connection) -> bytes | None:
        """The text has come for which a connection with an old cookie waits. Returns it, if that is admitted."""
        others = connection.stale
        assert isinstance(others, Others)
        return self._look_at(connection, others)

    def _judge(
        self,
        connection: Connection,
        credentials: Any,
        chain: list[Authenticator],
        login: tuple[int, bool, bool] | None = None,
        *,
        others: Others | None = None,
    ) -> Codes | None:
        """Credentials are not known: those of a connection, or of a call that logs in or refreshes. Returns the codes
        of the refusal. None: an authenticator is asked, or waited for."""
        now = self._expected.now
        refused = [effect for effect in self._effects(Disconnect) if effect.connection == connection.number]
        reason = refused[0].reason.name if refused and login is None else None
        if not chain or too_long(credentials, self._config):
            must(login or reason, "identity: credentials were not refused that are too long", connection.number)
            return (UNAUTHENTICATED,)
        must(reason != "authentication_failed", "identity: credentials were refused that nobody judged")
        if reason not in (None, TOO_MANY, "max_external_operations"):
            return ()  # before anybody looked at its credentials
        attempt = self._guesses.attempt(connection, credentials, chain, now)
        wait, certain = self._guesses.wait(attempt, now), self._guesses.certain
        if wait is not None if certain else self._told_to_wait(connection):
            if certain and login is None:
                told = refused[0].retry_after_ms if reason == TOO_MANY else None
                must(told == wait, "identity: a caller must wait after too many failures", wait, told)
            if login is not None:
                self._be_patient(connection, wait)
            return (TOO_MANY_FAILED_AUTHENTICATIONS,)
        must(reason != TOO_MANY, "identity: a caller had to wait who has not failed too often", connection.number)
        full = len(self.outside) >= self._config.max_external_operations
        if reason is not None or full:
            must(full, "identity: credentials were refused that nobody judged", reason)
            return (SERVER_BUSY,)
        self._guesses.count(attempt, now)
        call, refresh, cookie = login or (None, False, False)
        deadline = now + self._config.authentication_timeout if others is None else others.deadline
        about = Asked(connection, credentials, chain, attempt, deadline, 0, call, refresh, cookie, others)
        self._ask(about)
        return None

    # Calls

    def log_in(self, connection: Connection, call: int, method: str, params: bytes | None) -> Codes | None:
        """A call of `auth.*` starts. Returns the codes of its outcome; None: an authenticator is asked."""
        if method == "auth.logout":
            if params not in (None, b"{}", b"[]"):
                return (INVALID_PARAMS,)
            self.validity.identify(connection, connection.peer.identity)
            self.cookies.log_out(connection)
            return (None,)
        credentials = read_credentials(params, [each.takes for each in self._authenticators])
        if credentials is None:
            return (INVALID_PARAMS,)
        if self.cookies.refused(connection, params):
            return (INVALID_PARAMS,)
        refresh, cookie = method == "auth.refresh", asks_for_cookie(params)
        chain = [each for each in self._authenticators if type(credentials) is each.takes]
        cached = self.verified.find(chain, credentials, self._expected.now)
        if cached is not None:
            self._expected.statistics.count("auth.cached")
            return self._change(connection, cached, refresh=refresh, cookie=cookie)
        return self._judge(connection, credentials, chain, (call, refresh, cookie))

    def _change(self, connection: Connection, identity: Identity, *, refresh: bool, cookie: bool) -> Codes:
        same = identity.key == connection.identity.key
        if refresh and not same:
            return (FORBIDDEN,)
        allowed = self._config.max_connections_per_user
        others = [
            each for each in self._expected.connections.values() if each.open and each.identity.key == identity.key
        ]
        enforced = allowed is not None and "max_connections_per_user" not in self._config.observe
        if enforced and not same and len(others) >= (allowed or 0):
            return (RATE_LIMITED,)
        if cookie and not self.cookies.mint(connection, identity, self._expected.now):
            return (SERVER_BUSY,)
        self.validity.identify(connection, identity)
        return (None,)

    def withdraw(self, call: int) -> None:
        """A call has ended without an answer: its operation is withdrawn."""
        self.waiting = [each for each in self.waiting if each.call != call]
        self.sessions.withdraw(call)
        for operation in [number for number, each in self.asked.items() if each.call == call]:
            self._withdraw(operation)

    def _withdraw(self, operation: int) -> None:
        del self.asked[operation]
        must(operation in self._withdrawn, "identity: an operation was not withdrawn", operation)
        del self._withdrawn[operation]

    def concluded_login(self, operation: int, outcome: object, *, late: bool) -> tuple[int, Codes] | None:
        """An operation of a call was concluded, too `late` for the call, or not. Returns the call and the codes of its
        outcome, if it has one."""
        asked = self.asked.pop(operation)
        self.outside.pop(operation)
        self._guesses.ended(operation)
        assert asked.call is not None
        authenticator = asked.chain[asked.place]
        if isinstance(outcome, Identity) and outcome.user and outcome.namespace in ("", authenticator.namespace):
            identity = replace(outcome, namespace=authenticator.namespace)
            return asked.call, self._judged(asked, authenticator, identity, late=late)
        if not isinstance(outcome, Busy) and asked.place + 1 < len(asked.chain):
            asked.place += 1
            if len(self.outside) < self._config.max_external_operations:
                self._ask(asked)
                return None
            return asked.call, (SERVER_BUSY,)
        self._excuse(asked, outcome)
        return asked.call, (SERVER_BUSY,) if isinstance(outcome, Busy) else (UNAUTHENTICATED,)

    def _excuse(self, asked: Asked, outcome: object) -> None:
        """An authenticator that was too busy has judged nothing."""
        if isinstance(outcome, Busy) and not asked.place:
            self._guesses.forgive(asked.attempt)

    def _judged(self, asked: Asked, authenticator: Authenticator, identity: Identity, *, late: bool) -> Codes:
        self._guesses.forgive(asked.attempt)
        code = self.validity.refusal(identity, asked.doubt)
        if code is not None:
            return (code,)
        self._remember(authenticator, asked, identity)
        return () if late else self._change(asked.connection, identity, refresh=asked.refresh, cookie=asked.cookie)

    def _remember(self, authenticator: Authenticator, asked: Asked, identity: Identity) -> None:
        self._expected.told.verified(asked.connection, authenticator.name, identity)
        self._guesses.got_in(asked.attempt, asked.place, asked.credentials)
        self.verified.keep(authenticator, asked.credentials, identity, self._expected.now)

    def concluded(self, operation: int, outcome: object, first: bool) -> bytes | None:
        """An operation was concluded; the gateway says whether it was the `first` end. Returns the text of the
        connection, if that is admitted now."""
        self.outside.pop(operation, None)
        self._guesses.ended(operation)
        asked = self.asked.pop(operation, None)
        must(
            first is (asked is not None), "identity: the end of an operation was accepted or ignored wrongly", operation
        )
        if asked is None:
            return None
        connection, authenticator = asked.connection, asked.chain[asked.place]
        if isinstance(outcome, Identity) and outcome.user and outcome.namespace in ("", authenticator.namespace):
            return self._accepted(asked, authenticator, replace(outcome, namespace=authenticator.namespace))
        following = not isinstance(outcome, Busy) and asked.place + 1 < len(asked.chain)
        if following and self._closed(connection) is None:
            asked.place += 1
            self._ask(asked)
            return None
        self._excuse(asked, outcome)
        self._refused(connection)
        return None

    def _accepted(self, asked: Asked, authenticator: Authenticator, identity: Identity) -> bytes | None:
        self._guesses.forgive(asked.attempt)
        connection = asked.connection
        if self.validity.refusal(identity, asked.doubt) is not None:
            self._refused(connection)
            return None
        self._remember(authenticator, asked, identity)
        others = asked.others
        if others is not None:
            if others.identity is not None and others.identity.key != identity.key:
                self._refused(connection)
                return None
            return self._look_at(connection, replace(others, identity=others.identity or identity))
        connection.pending = False
        text, connection.text = connection.text, None
        if self._closed(connection) is not None:
            return None  # a limit, or a shutdown
        self._check_accepted(connection)
        connection.identity = identity
        return text

    def drop(self, connection: Connection) -> None:
        """The connection is closed or lost: the operation that it waits for is withdrawn."""
        self.waiting = [each for each in self.waiting if each.connection is not connection]
        self.cookies.drop(connection)
        self.sessions.drop(connection)
        for operation in [number for number, each in self.asked.items() if each.connection is connection]:
            self._withdraw(operation)

    def expire(self, waiting: Mapping[int, Call], all_ended_at: float | None) -> list[tuple[float, int, int]]:
        """End the verifications whose deadline has passed. Returns their deadlines, the calls, of those that are
        waiting, that end with them, and their codes, in order: their own deadlines are later, and a shutdown has not
        ended all calls before, at this time (None: it has not)."""
        now = self._expected.now
        calls: list[tuple[float, int, int]] = []
        self._guesses.pass_time(now)
        self._take_turns(waiting)
        for waits in self._unlucky():
            if waits.call is None:
                self._refused(waits.connection)
            else:
                calls.append((now, waits.call, SERVER_BUSY))
        for waits in [each for each in self.waiting if each.deadline <= now]:
            if not waits.place:
                self._guesses.forgive(waits.attempt)
            if waits.call is None:
                self._refused(waits.connection)
            elif waits.deadline <= min(waiting[waits.call].deadline, all_ended_at or waits.deadline):
                calls.append((waits.deadline, waits.call, SERVER_BUSY))
            self.waiting.remove(waits)
        for operation, asked in list(self.asked.items()):
            if asked.deadline <= now:
                if asked.call is None:
                    self._refused(asked.connection)
                elif asked.deadline <= min(waiting[asked.call].deadline, all_ended_at or asked.deadline):
                    self._withdraw(operation)
                    calls.append((asked.deadline, asked.call, UNAUTHENTICATED))
        return sorted(calls)

    def deadlines(self) -> list[float]:
        """The deadlines of all verifications."""
        deadlines = [each.deadline for each in (*self.asked.values(), *self.waiting)]
        return deadlines + self._guesses.deadlines()
