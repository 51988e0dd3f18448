"""The cookies of browsers, as the model expects them. It learns their secrets from answers."""

from __future__ import annotations

from math import inf

from msgspec import Struct, json
from posthouse.adapters.invariants import must
from posthouse.adapters.model.records import Connection
from posthouse.adapters.model.validity import Validity, made_before
from posthouse.core.service.authenticators import Cookie
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Answer
from posthouse.core.values.peers import Identity, UserKey

from .reading import asks_for_cookie

LETTERS = 43
"""256 bits in base64url."""


class Kept(Struct, eq=False):
    """One log-in that a browser keeps. `secret` is None until an answer has told it. `seconds`: for how long the
    browser is to keep it."""

    identity: Identity
    ends_at: float
    used_at: float
    seconds: int
    secret: str | None = None


class Cookies:
    """The log-ins, the least recently used one first; the cookie with which each connection came, or which it was
    given; and those that answers must set (None: the browser must forget its cookie)."""

    def __init__(self, config: Config, validity: Validity) -> None:
        self._config = config
        self._validity = validity
        self._kept: list[Kept] = []
        self._own: dict[int, Kept] = {}
        self._due: dict[int, Kept | None] = {}
        self._looked_at = -inf

    def find(self, cookie: Cookie, connection: Connection, now: float) -> Identity | None:
        """The identity of the cookie with which this connection comes, if it still counts."""
        for kept in self._kept:
            if kept.secret == cookie.secret:
                break
        else:
            return None
        if self._is_over(kept, now):
            self._kept.remove(kept)
            return None
        kept.used_at = now
        self._kept.remove(kept)
        self._kept.append(kept)
        self._own[connection.number] = kept
        return kept.identity

    def _is_over(self, kept: Kept, now: float) -> bool:
        idle = kept.used_at + self._config.session_idle <= now
        return idle or kept.ends_at <= now or self._validity.expired(kept.identity)

    def refused(self, connection: Connection, params: bytes | None) -> bool:
        """Does this log-in ask for a cookie that the answer cannot set, or that others could read?"""
        host = connection.peer.address.host
        near = not connection.peer.address.proxy and (not host or host.startswith(("127.", "::1")))
        over_http = connection.peer.kind == "http"
        return asks_for_cookie(params) and not (over_http and (near or connection.peer.address.secure))

    def mint(self, connection: Connection, identity: Identity, now: float) -> bool:
        """A log-in asks for a cookie. False: there are too many."""
        self._end(connection)
        self._kept = [kept for kept in self._kept if now < kept.used_at + self._config.session_idle]
        own = [kept for kept in self._kept if kept.identity.key == identity.key]
        if len(own) >= self._config.max_sessions_per_user:
            self._kept.remove(own[0])
        if len(self._kept) >= self._config.max_sessions and now >= self._looked_at + 1.0:
            self._looked_at = now
            self._kept = [kept for kept in self._kept if not self._is_over(kept, now)]
        if len(self._kept) >= self._config.max_sessions:
            return False
        ends_at = now + self._config.session_lifetime
        if identity.expires_at is not None:
            ends_at = min(ends_at, identity.expires_at - self._validity.wall())
        made = Kept(identity, ends_at, now, max(0, int(ends_at - now)))
        self._kept.append(made)
        self._own[connection.number] = self._due[connection.number] = made
        return True

    def log_out(self, connection: Connection) -> None:
        """The cookie of this connection ends."""
        self._end(connection)
        if connection.peer.kind == "http":
            self._due[connection.number] = None

    def revoke(self, user: UserKey, not_before: float | None) -> None:
        """A user was revoked: its log-ins end, but for those with credentials that were made since."""
        gone = [kept for kept in self._kept if kept.identity.key == user]
        if not_before is not None:
            gone = [kept for kept in gone if made_before(not_before, kept.identity)]
        self._kept = [kept for kept in self._kept if kept not in gone]

    def _end(self, connection: Connection) -> None:
        kept = self._own.pop(connection.number, None)
        if kept in self._kept:
            self._kept.remove(kept)

    def answered(self, answer: Answer) -> None:
        """An exchange is answered. Raises Violation unless the answer sets the cookie that it must set."""
        given, number = answer.cookie, answer.connection
        must((given is None) == (number not in self._due), "identity: an answer sets a cookie, or does not", number)
        if given is None:
            return
        kept = self._due.pop(number)
        if kept is None:
            cleared = (given.secret, given.max_age) == ("", 0)
            must(cleared, "identity: a browser is not told to forget its cookie", number)
            return
        known = [each.secret for each in self._kept]
        fits = len(given.secret) == LETTERS and given.secret not in known and given.max_age == kept.seconds
        must(fits, "identity: a cookie has another secret, or another end, than it must have", number)
        kept.secret = given.secret

    def drop(self, connection: Connection) -> None:
        """The connection has ended."""
        self._own.pop(connection.number, None)
        self._due.pop(connection.number, None)


def is_log_in(text: bytes) -> bool:
    """Is this text one call of `auth.login`?"""
    try:
        message = json.decode(text)
    except Exception:
        return False
    return isinstance(message, dict) and message.get("method") == "auth.login"
