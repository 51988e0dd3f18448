"""The reasons to close a connection and to refuse a socket or a connection: one row each.

A row carries everything that follows from the reason, so no other module maps limits to codes. A table that finds a
breached limit returns or notes its row. Rows are named like the fields of Config that set them.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from .errors import CREDENTIALS_EXPIRED as EXPIRED_ERROR
from .errors import DRAINING as DRAINING_ERROR
from .errors import (
    FORBIDDEN,
    INVALID_REQUEST,
    RATE_LIMITED,
    SERVER_BUSY,
    SESSION_TAKEN_OVER,
    STORAGE_UNAVAILABLE,
    UNAUTHENTICATED,
    UNKNOWN_SESSION,
)
from .errors import TOO_MANY_FAILED_AUTHENTICATIONS as TOO_MANY_ERROR


class Limit(Struct, frozen=True):
    """A limit by its name in Config. A socket that breaches it is closed unread. `text` is for people."""

    name: str
    text: str


class CloseReason(Limit, frozen=True, kw_only=True):
    """Why a connection is closed or refused.

    `code` is the close code (RFC 6455 section 7.4). `error` is the JSON-RPC error code that refuses an HTTP exchange.
    `flush`: queued payloads are still sent. `is_limit` is False for a shut-down, which is not counted as a breach.
    `clears_cookie`: over HTTP the browser is told to forget its cookie.
    """

    code: int
    error: int = SERVER_BUSY
    flush: bool = True
    is_limit: bool = True
    clears_cookie: bool = False


MAX_REGISTRATIONS_PER_ADDRESS: Final = Limit(
    "max_registrations_per_address", "too many users were registered from one address"
)
MAX_SUBSCRIPTIONS: Final = Limit("max_subscriptions", "too many subscriptions of one connection")
MAX_SUBSCRIPTIONS_PER_USER: Final = Limit("max_subscriptions_per_user", "too many subscriptions of one user")
MAX_ANONYMOUS_SESSIONS_PER_ADDRESS: Final = Limit(
    "max_anonymous_sessions_per_address", "too many anonymous sessions were made from one address"
)
MAX_IN_HEAD: Final = Limit("max_in_head", "too many sockets have not sent their first request")
MAX_AUTH_FAILURES: Final = Limit("max_auth_failures", "too many failed authentications of one user from one address")
MAX_AUTH_FAILURES_PER_ADDRESS: Final = Limit(
    "max_auth_failures_per_address", "too many failed authentications from one address"
)
MAX_AUTH_FAILURES_PER_USER: Final = Limit(
    "max_auth_failures_per_user", "too many failed authentications of one user, from all addresses"
)
MAX_REVOCATIONS: Final = Limit("max_revocations", "too many users are revoked: the oldest revocation is forgotten")

DRAINING: Final = CloseReason("draining", "the server shuts down", code=1012, error=DRAINING_ERROR, is_limit=False)
DRAIN_TIMEOUT: Final = CloseReason(
    "drain_timeout", "the shut-down is out of time", code=1012, error=DRAINING_ERROR, flush=False, is_limit=False
)
IDLE_TIMEOUT: Final = CloseReason("idle_timeout", "no message for too long", code=1000)
MAX_CONNECTIONS: Final = CloseReason("max_connections", "the server has too many connections", code=1013)
MAX_CONNECTIONS_PER_ADDRESS: Final = CloseReason(
    "max_connections_per_address", "too many sockets of one address", code=4429, error=RATE_LIMITED
)
ACCEPT_RATE_PER_ADDRESS: Final = CloseReason(
    "accept_rate_per_address", "sockets of one address come too fast", code=4429, error=RATE_LIMITED
)
MAX_CONNECTIONS_PER_USER: Final = CloseReason(
    "max_connections_per_user", "too many connections of one user", code=4429, error=RATE_LIMITED
)
AUTHENTICATION_TIMEOUT: Final = CloseReason(
    "authentication_timeout", "no log-in in time, where authentication is required", code=4408, error=UNAUTHENTICATED
)
AUTHENTICATION_FAILED: Final = CloseReason(
    "authentication_failed", "the credentials were refused", code=4401, error=UNAUTHENTICATED, is_limit=False
)
CREDENTIALS_EXPIRED: Final = CloseReason(
    "credentials_expired", "the credentials have expired", code=4401, error=EXPIRED_ERROR, is_limit=False
)
TOO_MANY_FAILED_AUTHENTICATIONS: Final = CloseReason(
    "too_many_failed_authentications",
    "too many failed authentications",
    code=4401,
    error=TOO_MANY_ERROR,
    is_limit=False,
)
MAX_HASHES_PER_ADDRESS: Final = CloseReason(
    "max_hashes_per_address", "too many authenticators run for one address", code=1013
)
MAX_HASHES_PER_USER: Final = CloseReason("max_hashes_per_user", "too many authenticators run for one user", code=1013)
STALE_COOKIE: Final = CloseReason(
    "stale_cookie",
    "the cookie does not count any more",
    code=4401,
    error=UNAUTHENTICATED,
    is_limit=False,
    clears_cookie=True,
)
CREDENTIALS_UNKNOWN: Final = CloseReason(
    "credentials_unknown",
    "the store could not say whether the credentials are right",
    code=1013,
    error=STORAGE_UNAVAILABLE,
    is_limit=False,
)
DIFFERENT_USERS: Final = CloseReason(
    "different_users", "the credentials are those of different users", code=4400, error=INVALID_REQUEST, is_limit=False
)
DIFFERENT_SESSIONS: Final = CloseReason(
    "different_sessions", "the request has two different sessions", code=4400, error=INVALID_REQUEST, is_limit=False
)
CROSS_SITE: Final = CloseReason(
    "cross_site", "the credentials come from a page of another site", code=4403, error=FORBIDDEN, is_limit=False
)
STALE_SESSION: Final = CloseReason(
    "stale_session", "the session of the request is unknown", code=4410, error=UNAUTHENTICATED, is_limit=False
)
SESSION_REPLACED: Final = CloseReason(
    "session_replaced", "another connection has taken its place", code=4409, error=SESSION_TAKEN_OVER, is_limit=False
)
SESSION_ENDED: Final = CloseReason(
    "session_ended", "the session has ended", code=4410, error=UNKNOWN_SESSION, is_limit=False
)
REVOKED: Final = CloseReason("revoked", "the user was revoked", code=4403, error=FORBIDDEN, flush=False, is_limit=False)
MAX_EXTERNAL_OPERATIONS: Final = CloseReason(
    "max_external_operations", "too many external operations are in flight", code=1013
)
MAX_HASHING_QUEUE: Final = CloseReason("max_hashing_queue", "too many passwords wait to be hashed", code=1013)
MEMORY_BUDGET: Final = CloseReason("memory_budget", "the server is out of memory for peers", code=1013, flush=False)
MAX_BAD_MESSAGES: Final = CloseReason("max_bad_messages", "too many invalid messages", code=4400, error=INVALID_REQUEST)
CALL_RATE: Final = CloseReason("call_rate", "calls come too fast for too long", code=4429, error=RATE_LIMITED)
MAX_QUEUED_REPLIES_BYTES: Final = CloseReason(
    "max_queued_replies_bytes", "too many bytes of replies wait for the peer", code=4100, flush=False
)
MAX_QUEUED_PUSHES_BYTES: Final = CloseReason(
    "max_queued_pushes_bytes", "too many bytes of notifications wait for the peer", code=4100, flush=False
)
MAX_QUEUED_PUSHES: Final = CloseReason(
    "max_queued_pushes", "too many notifications wait for the peer", code=4100, flush=False
)
MAX_PUSH_AGE: Final = CloseReason("max_push_age", "a notification waits too long for the peer", code=4100, flush=False)
WRITE_TIMEOUT: Final = CloseReason("write_timeout", "the peer takes none of its bytes", code=4100, flush=False)
HEARTBEAT_TIMEOUT: Final = CloseReason("heartbeat_timeout", "no sign of life from the peer", code=4101, flush=False)

CLOSE_REASONS: Final[dict[str, CloseReason]] = {
    reason.name: reason for reason in list(globals().values()) if isinstance(reason, CloseReason)
}
"""All reasons for which the gateway closes or refuses a connection, by name."""
