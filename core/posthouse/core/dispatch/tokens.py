"""The procedures of `token.*`. The secret of a token is made here and told once; only its hash is kept."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.connections.connections import Connection
from posthouse.core.connections.state import LIVING
from posthouse.core.identity.stored import token_digest
from posthouse.core.service.accounts import TOKENS
from posthouse.core.sessions.keys import text_of
from posthouse.core.store.outcomes import NO_ROOM, UNKNOWN, Done, MaybeApplied, unavailable, value_of
from posthouse.core.store.requests import PAGE, AddToken, ListTokens, RemoveToken, TokenRemoved
from posthouse.core.store.rows import TokenRow
from posthouse.core.values.errors import SERVER_BUSY, refusal
from posthouse.core.values.peers import CallId, UserKey

from .accounts import NO_SUCH_USER, Accounts, wrong
from .procedures import Answers, Reply, Steps

SECRET_BYTES: Final = 32
"""RFC 6750 section 5.2 demands that a token cannot be guessed: 256 bits."""

ID_BYTES: Final = 12

MAX_LIFE: Final = 10 * 365 * 86_400.0
"""Seconds: a token lives for ten years at most, unless it does not expire."""


class NewToken(Struct, frozen=True):
    """A new token. `token` is told this once: it is not kept. `expires_at` is Unix seconds, or null for never."""

    id: str
    token: str
    user: str
    scopes: tuple[str, ...]
    expires_at: float | None
    durable: str


class TokenInfo(Struct, frozen=True):
    """A token, without its secret. Times are Unix seconds."""

    id: str
    label: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float | None
    seen_at: float | None


class TokenList(Struct, frozen=True, omit_defaults=True):
    """A page of the tokens of a user, by id. `next`: there may be more behind this id."""

    tokens: tuple[TokenInfo, ...]
    next: str = ""


class Revoked(Struct, frozen=True):
    """The token does not count any more. `durable` says where that is kept."""

    durable: str


class Tokens:
    """Begins the procedures of `token.*`."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._shared = accounts.shared

    def create(
        self,
        connection: Connection,
        user: str | None,
        scopes: tuple[str, ...] | None,
        expires_in: float | None,
        label: str,
        now: float,
    ) -> Steps:
        """Make a token: for oneself (None), or for another user."""
        accounts, identity = self._accounts, connection.identity
        owner = self._owner(connection, user, now)
        asked = None if scopes is None else accounts.scopes(scopes)
        if label:
            accounts.check_name(label, "label")
        if expires_in is not None and not 0 < expires_in <= MAX_LIFE:
            raise accounts.wrong("expires_in", f"expected more than 0 and at most {MAX_LIFE:.0f} seconds")
        own = identity.key == ("", owner)
        of_owner = identity.scopes
        if not own:
            seen, now = yield from accounts.look_at(identity, owner)
            of_owner = seen.scopes
        given = of_owner if asked is None else asked
        accounts.check_gives(identity, given)
        at = self._shared.timestamp(now)
        expires_at = None if expires_in is None else at + expires_in
        if own and identity.expires_at is not None:
            expires_at = min(expires_at or identity.expires_at, identity.expires_at)
        token = text_of(accounts.secrets(SECRET_BYTES))
        row = TokenRow(
            id=self._shared.entropy(ID_BYTES).hex(),
            user=owner,
            digest=token_digest(token),
            scopes=given,
            label=label,
            created_at=at,
            expires_at=expires_at,
        )
        reply: Reply = yield AddToken(accounts.storage.new_write_id(), row, accounts.config.max_tokens_per_user)
        if isinstance(reply.outcome, MaybeApplied):
            yield Answers(unavailable(reply.outcome))
        if isinstance(reply.outcome, MaybeApplied) or (isinstance(reply.outcome, Done) and not reply.wanted):
            yield RemoveToken(accounts.storage.new_write_id(), row.id)  # nobody has been told its secret
            return None
        full = refusal(SERVER_BUSY, limit="max_tokens_per_user")
        value_of(reply.outcome, **{UNKNOWN.why: wrong("user", NO_SUCH_USER), NO_ROOM.why: full})
        return NewToken(row.id, token, owner, given, expires_at, accounts.storage.durability)

    def page(self, connection: Connection, user: str | None, after: str, now: float) -> Steps:
        """A page of tokens: one's own (None), or those of another user."""
        reply: Reply = yield ListTokens(self._owner(connection, user, now), after)
        rows = value_of(reply.outcome)
        tokens = tuple(
            TokenInfo(row.id, row.label, row.scopes, row.created_at, row.expires_at, row.seen_at) for row in rows
        )
        return TokenList(tokens, rows[-1].id if len(rows) == PAGE else "")

    def revoke(self, connection: Connection, call: CallId, token: str, now: float) -> Steps:
        """Remove a token: one's own, or with the scope `users` that of anybody. The connections and sessions that were
        made with it end; a caller that has come with it is logged out."""
        accounts, user = self._accounts, connection.identity.key
        owner = None if accounts.is_admin(connection) else accounts.own_user(connection, now)
        reply: Reply = yield RemoveToken(accounts.storage.new_write_id(), token, owner)
        if isinstance(reply.outcome, MaybeApplied):
            self._forget(None)
            if user is not None:
                self._end(connection, call, token, user, (), reply.now)
        removed: TokenRemoved | None = value_of(reply.outcome)
        if removed is None:
            raise accounts.wrong("token", "there is no such token")
        self._forget(removed.row.digest)
        self._end(connection, call, token, ("", removed.row.user), removed.ended, reply.now)
        return Revoked(accounts.storage.durability)

    def _end(
        self, connection: Connection, call: CallId, token: str, user: UserKey, ended: tuple[str, ...], now: float
    ) -> None:
        """Let live connections follow."""
        identity = connection.identity
        own = identity.token == token and identity.key == user and connection.state in LIVING
        self._accounts.end_token(token, user, ended, connection if own else None, now)
        if own:
            self._accounts.logins.log_out_here(connection, call, now)

    def _owner(self, connection: Connection, user: str | None, now: float) -> str:
        """The user that a call is about. Raises RpcError if that is another one than the caller may ask about."""
        if user is None:
            return self._accounts.own_user(connection, now)
        if connection.identity.key != ("", user):
            self._accounts.check_admin(connection, now)
        return user

    def _forget(self, digest: bytes | None) -> None:
        """A token (None: one that is not known) counts no more: neither from the cache nor from a look-up."""
        verifications = self._accounts.verifications
        verifications.cache.forget(TOKENS, digest)
        verifications.stored.revoke(digest)
