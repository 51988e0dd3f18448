"""Identities as the model expects them: which credentials are verified, by whom, and who a connection is.

The model keeps credentials as they are: it knows which ones were verified, and when. It must not use the cache of the
gateway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import DecodeError, Struct, json
from msgspec.structs import replace
from posthouse.adapters.invariants import Violation, must
from posthouse.core.operations.operations import Busy
from posthouse.core.service.authenticators import Authenticator, Basic, Bearer
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Accept, Disconnect, Effect, Verify, Withdraw
from posthouse.core.values.errors import (
    CREDENTIALS_EXPIRED,
    FORBIDDEN,
    INVALID_PARAMS,
    RATE_LIMITED,
    SERVER_BUSY,
    UNAUTHENTICATED,
)
from posthouse.core.values.peers import Identity

from .expected import Expected
from .messages import Codes
from .records import Call, Connection
from .validity import Validity

AUTHENTICATION_FAILED: Final = 4401


class Asked(Struct, eq=False):
    """One verification: the `place`-th authenticator of the `chain` is asked."""

    connection: Connection
    credentials: Any
    chain: list[Authenticator]
    deadline: float
    place: int = 0
    call: int | None = None
    refresh: bool = False


class Verified(Struct, frozen=True):
    """Credentials that an authenticator has accepted."""

    identity: Identity
    until: float


class Identities:
    """`asked` are the verifications in progress, by operation. `outside` are the operations that were not concluded."""

    def __init__(self, service: Service, config: Config, expected: Expected, validity: Validity) -> None:
        self._config = config
        self._expected = expected
        self._authenticators = list(service.authenticators.values())
        self._verified: dict[tuple[str, str], Verified] = {}
        self.validity = validity
        self._began = 0
        self._begins: list[Verify] = []
        self._withdrawn: dict[int, None] = {}
        self.asked: dict[int, Asked] = {}
        self.outside: dict[int, None] = {}

    def begin(self) -> None:
        """The next input has come."""
        self._begins = list(self._effects(Verify))
        self._withdrawn = {effect.operation: None for effect in self._effects(Withdraw)}

    def compare(self) -> None:
        """All operations that began or were withdrawn were expected. Raises Violation."""
        must(not self._begins, "identity: an operation began that should not", *self._begins)
        must(not self._withdrawn, "identity: an operation was withdrawn that is needed", *self._withdrawn)

    def _effects(self, kind: type[Effect]) -> Iterator[Any]:
        return (effect for effect in self._expected.effects if type(effect) is kind)

    def _closed(self, connection: Connection) -> int | None:
        """The code with which this input refuses the connection, or None."""
        codes = [effect.code for effect in self._effects(Disconnect) if effect.connection == connection.number]
        return codes[0] if codes else None

    # Connections

    def connect(self, connection: Connection, credentials: object) -> None:
        """A connection was opened with these credentials."""
        if credentials is None or not self._authenticators:
            return
        chain = [each for each in self._authenticators if type(credentials) is each.takes]
        now, code = self._expected.now, self._closed(connection)
        cached = [found for each in chain if (found := self._known(each, credentials)) is not None]
        if code == AUTHENTICATION_FAILED:
            must(not chain or self._too_long(credentials), "identity: credentials were refused that nobody judged")
        elif code is None and self._begins:
            must(not cached or self._may_forget(), "identity: credentials were verified again too early")
            deadline = now + self._config.authentication_timeout
            connection.pending = True
            self._ask(Asked(connection, credentials, chain, deadline))
        elif code is None:
            must(cached, "identity: credentials were accepted that nobody has verified", connection.number)
            self._expected.statistics.count("auth.cached")
            connection.identity = cached[0].identity
        elif cached:
            # It is refused, whether its credentials were known or not.
            self._expected.statistics.count("auth.cached", certain=not self._may_forget())

    def _known(self, authenticator: Authenticator, credentials: object) -> Verified | None:
        """The answer of the authenticator about these credentials, if it still counts."""
        verified = self._verified.get((authenticator.name, text_of(credentials)))
        now = self._expected.now
        if verified is None or verified.until <= now:
            return None
        return None if self.validity.expired(verified.identity) else verified

    def _may_forget(self) -> bool:
        return len(self._verified) > self._config.max_cached_credentials

    def _too_long(self, credentials: object) -> bool:
        if isinstance(credentials, Bearer):
            return len(credentials.token.encode()) > self._config.max_token_bytes
        return isinstance(credentials, Basic) and len(credentials.password.encode()) > self._config.max_password_bytes

    def _ask(self, asked: Asked) -> None:
        """The next operation must ask this authenticator."""
        must(bool(self._begins), "identity: an authenticator was not asked", asked.connection.number)
        effect = self._begins.pop(0)
        self._began += 1
        must(effect.operation == self._began, "order: operations are not numbered consecutively", effect.operation)
        right = effect.authenticator is asked.chain[asked.place] and effect.credentials == asked.credentials
        must(
            right and effect.caller.connection == asked.connection.number, "identity: the wrong authenticator is asked"
        )
        self.asked[effect.operation] = asked
        self.outside[effect.operation] = None

    # Calls

    def log_in(self, connection: Connection, call: int, method: str, params: bytes | None) -> Codes | None:
        """A call of `auth.*` starts. Returns the codes of its outcome; None: an authenticator is asked."""
        if method == "auth.logout":
            if params not in (None, b"{}", b"[]"):
                return (INVALID_PARAMS,)
            connection.identity = connection.peer.identity
            self.validity.changed(connection)
            return (None,)
        credentials = read_credentials(params, [each.takes for each in self._authenticators])
        if credentials is None:
            return (INVALID_PARAMS,)
        refresh = method == "auth.refresh"
        chain = [each for each in self._authenticators if type(credentials) is each.takes]
        cached = [found for each in chain if (found := self._known(each, credentials)) is not None]
        if self._begins and self._begins[0].credentials == credentials:
            must(not cached or self._may_forget(), "identity: credentials were verified again too early")
            deadline = self._expected.now + self._config.authentication_timeout
            self._ask(Asked(connection, credentials, chain, deadline, call=call, refresh=refresh))
            return None
        if cached:
            self._expected.statistics.count("auth.cached")
            return self._change(connection, cached[0].identity, refresh=refresh)
        must(
            self._too_long(credentials) or len(self.outside) >= self._config.max_external_operations,
            "identity: credentials were refused that nobody judged",
        )
        return (UNAUTHENTICATED, SERVER_BUSY)

    def _change(self, connection: Connection, identity: Identity, *, refresh: bool) -> Codes:
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
        connection.identity = identity
        self.validity.changed(connection)
        return (None,)

    def withdraw(self, call: int) -> None:
        """A call has ended without an answer: its operation is withdrawn."""
        for operation in [number for number, each in self.asked.items() if each.call == call]:
            self._withdraw(operation)

    def _withdraw(self, operation: int) -> None:
        del self.asked[operation]
        must(operation in self._withdrawn, "identity: an operation was not withdrawn", operation)
        del self._withdrawn[operation]

    def concluded_login(self, operation: int, outcome: object, *, late: bool) -> tuple[int, Codes] | None:
        """An operation of a call was concluded. `late`: the deadline of the call has come, so that it changes nothing.
        Returns the call and the codes of its outcome, if it has one."""
        asked = self.asked.pop(operation)
        self.outside.pop(operation)
        assert asked.call is not None
        authenticator = asked.chain[asked.place]
        if isinstance(outcome, Identity) and outcome.user and outcome.namespace in ("", authenticator.namespace):
            identity = replace(outcome, namespace=authenticator.namespace)
            return asked.call, self._judged(asked, authenticator, identity, late=late)
        if not isinstance(outcome, Busy) and asked.place + 1 < len(asked.chain) and self._begins:
            asked.place += 1
            self._ask(asked)
            return None
        return asked.call, (UNAUTHENTICATED, SERVER_BUSY)

    def _judged(self, asked: Asked, authenticator: Authenticator, identity: Identity, *, late: bool) -> Codes:
        if self.validity.expired(identity):
            return (CREDENTIALS_EXPIRED,)
        self._remember(authenticator, asked, identity)
        return () if late else self._change(asked.connection, identity, refresh=asked.refresh)

    def _remember(self, authenticator: Authenticator, asked: Asked, identity: Identity) -> None:
        self._expected.told.verified(asked.connection, authenticator.name, identity)
        if self._config.credential_cache:
            until = self._expected.now + self._config.credential_cache
            self._verified[authenticator.name, text_of(asked.credentials)] = Verified(identity, until)

    def concluded(self, operation: int, outcome: object, first: bool) -> bytes | None:
        """An operation was concluded; the gateway says whether it was the `first` end. Returns the text of the
        connection, if that is admitted now."""
        self.outside.pop(operation, None)
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
        self._refused(connection)
        return None

    def _accepted(self, asked: Asked, authenticator: Authenticator, identity: Identity) -> bytes | None:
        connection = asked.connection
        if self.validity.expired(identity):
            self._refused(connection)
            return None
        self._remember(authenticator, asked, identity)
        connection.pending = False
        text, connection.text = connection.text, None
        if self._closed(connection) is not None:
            return None  # a limit, or a shutdown
        accepted = any(effect.connection == connection.number for effect in self._effects(Accept))
        must(accepted is connection.pushable, "identity: a verified connection was not admitted", connection.number)
        connection.identity = identity
        return text

    def _refused(self, connection: Connection) -> None:
        connection.pending, connection.text = False, None
        if self._closed(connection) is None:
            raise Violation("identity: a connection was not refused whose credentials were", connection.number)

    def drop(self, connection: Connection) -> None:
        """The connection is closed or lost: the operation that it waits for is withdrawn."""
        for operation in [number for number, each in self.asked.items() if each.connection is connection]:
            self._withdraw(operation)

    def expire(self, waiting: Mapping[int, Call], all_ended_at: float | None) -> list[int]:
        """End the verifications whose deadline has passed. Returns the calls, of those that are waiting, that end with
        them: their own deadlines are later, and a shutdown has not ended all calls before, at this time (None: it
        has not)."""
        now, calls = self._expected.now, []
        for operation, asked in list(self.asked.items()):
            if asked.deadline <= now:
                if asked.call is None:
                    self._refused(asked.connection)
                elif asked.deadline <= min(waiting[asked.call].deadline, all_ended_at or asked.deadline):
                    self._withdraw(operation)
                    calls.append(asked.call)
        return calls

    def deadlines(self) -> list[float]:
        """The deadlines of all verifications."""
        return [each.deadline for each in self.asked.values()]


class BearerLogin(Struct, forbid_unknown_fields=True, tag_field="method", tag="bearer"):
    """The params of a log-in with a token."""

    token: str


class PasswordLogin(Struct, forbid_unknown_fields=True, tag_field="method", tag="password"):
    """The params of a log-in with a password."""

    user: str
    password: str


def read_credentials(params: bytes | None, known: list[type]) -> Bearer | Basic | None:
    """The credentials in the params of a log-in, of one of these types. None: they are invalid."""
    try:
        given = json.decode(params or b"", type=BearerLogin | PasswordLogin)
    except DecodeError:
        return None
    read = Bearer(given.token) if isinstance(given, BearerLogin) else Basic(given.user, given.password)
    return read if type(read) in known else None


def text_of(credentials: object) -> str:
    """A hash that tells these credentials from all others."""
    if isinstance(credentials, Bearer):
        return credentials.token
    assert isinstance(credentials, Basic)
    return f"{len(credentials.user)}:{credentials.user}{credentials.password}"


def unauthorized(identity: Identity, public: bool, scopes: tuple[str, ...]) -> int | None:
    """The code that refuses this identity, or None. An anonymous identity may have scopes, too."""
    if not identity.authenticated:
        return UNAUTHENTICATED if not public or identity.missing(scopes) else None
    return FORBIDDEN if identity.missing(scopes) else None
