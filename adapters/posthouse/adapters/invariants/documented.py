"""The tables of the documents as literals: error codes, close codes, limits, kinds.

A storm begins by comparing the tables of the server with these (docs/protocol.md, docs/limits.md). Without this, a
changed constant would change what is sent and what is expected in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import asdict
from posthouse.core.service.service import BUILTINS
from posthouse.core.values.close_reasons import CLOSE_REASONS
from posthouse.core.values.config import Config
from posthouse.core.values.errors import ERRORS, http_status
from posthouse.core.values.peers import BEATING, KINDS, PUSHABLE

from .violation import must

ERROR_ROWS: Final = (
    (-32700, "Parse error", 400, False, None),
    (-32600, "Invalid Request", 400, False, None),
    (-32601, "Method not found", 200, False, None),
    (-32602, "Invalid params", 200, False, None),
    (-32603, "Internal error", 200, False, None),
    (-32000, "Application error", 200, False, None),
    (-32006, "Too many subscriptions", 200, False, None),
    (-32007, "Request too large", 413, False, None),
    (-32008, "Response too large", 200, False, None),
    (-32009, "Server busy", 503, True, 1.0),
    (-32010, "Batch too large", 413, False, None),
    (-32011, "Batch reply too large", 200, False, None),
    (-32013, "Id already in flight", 200, False, None),
    (-32020, "Unauthenticated", 401, False, None),
    (-32021, "Forbidden", 403, False, None),
    (-32022, "Credentials expired", 401, False, None),
    (-32023, "Too many failed authentications", 429, True, None),
    (-32029, "Rate limited", 429, True, 1.0),
    (-32030, "Deadline exceeded", 200, True, None),
    (-32034, "Broker unavailable", 503, True, None),
    (-32035, "Storage unavailable", 503, True, None),
    (-32036, "Unknown topic, or not subscribed", 200, False, None),
    (-32040, "Unknown or expired session", 200, False, None),
    (-32043, "Session taken over elsewhere", 200, False, None),
    (-32050, "Draining, reconnect elsewhere", 503, True, 1.0),
    (-32800, "Request cancelled", 200, False, None),
)
"""Each error: its code, its message, its HTTP status, whether a retry may help, and after how many seconds."""

CLOSES: Final = (
    ("draining", 1012, -32050, True, False),
    ("drain_timeout", 1012, -32050, False, False),
    ("idle_timeout", 1000, -32009, True, True),
    ("max_connections", 1013, -32009, True, True),
    ("max_connections_per_address", 4429, -32029, True, True),
    ("accept_rate_per_address", 4429, -32029, True, True),
    ("max_connections_per_user", 4429, -32029, True, True),
    ("authentication_timeout", 4408, -32020, True, True),
    ("authentication_failed", 4401, -32020, True, False),
    ("credentials_expired", 4401, -32022, True, False),
    ("too_many_failed_authentications", 4401, -32023, True, False),
    ("max_hashes_per_address", 1013, -32009, True, True),
    ("max_hashes_per_user", 1013, -32009, True, True),
    ("stale_cookie", 4401, -32020, True, False),
    ("credentials_unknown", 1013, -32035, True, False),
    ("different_users", 4400, -32600, True, False),
    ("different_sessions", 4400, -32600, True, False),
    ("cross_site", 4403, -32021, True, False),
    ("stale_session", 4410, -32020, True, False),
    ("session_replaced", 4409, -32043, True, False),
    ("session_ended", 4410, -32040, True, False),
    ("revoked", 4403, -32021, False, False),
    ("max_external_operations", 1013, -32009, True, True),
    ("max_hashing_queue", 1013, -32009, True, True),
    ("memory_budget", 1013, -32009, False, True),
    ("max_bad_messages", 4400, -32600, True, True),
    ("call_rate", 4429, -32029, True, True),
    ("max_queued_replies_bytes", 4100, -32009, False, True),
    ("max_queued_pushes_bytes", 4100, -32009, False, True),
    ("max_queued_pushes", 4100, -32009, False, True),
    ("max_push_age", 4100, -32009, False, True),
    ("write_timeout", 4100, -32009, False, True),
    ("heartbeat_timeout", 4101, -32009, False, True),
)
"""Each reason to close a connection: its name, its close code, the error over HTTP, whether what is queued is still
sent, and whether it is a limit."""

DEFAULTS: Final = {
    "max_connections": 10000,
    "max_in_head": 1000,
    "max_connections_per_address": None,
    "max_connections_per_user": None,
    "accept_rate_per_address": None,
    "descriptor_reserve": 64,
    "memory_budget": 1073741824,
    "tls_timeout": 5.0,
    "head_timeout": 5.0,
    "max_head_bytes": 16384,
    "max_headers": 100,
    "max_target_bytes": 4096,
    "require_authentication": False,
    "max_message_bytes_unauthenticated": 65536,
    "authentication_timeout": 10.0,
    "max_external_operations": 10000,
    "storage_timeout": 5.0,
    "max_token_bytes": 8192,
    "max_password_bytes": 1024,
    "credential_cache": 60.0,
    "max_cached_credentials": 10000,
    "session_idle": 1209600.0,
    "session_lifetime": 7776000.0,
    "max_session_bytes": 65536,
    "max_sessions": 100000,
    "max_sessions_per_user": 100,
    "max_anonymous_sessions_per_address": 60,
    "auth_notice": 60.0,
    "auth_grace": 10.0,
    "max_revocations": 10000,
    "hashing_workers": 4,
    "max_hashing_queue": 32,
    "argon2_memory": 67108864,
    "argon2_passes": 3,
    "argon2_lanes": 4,
    "max_auth_failures": 5,
    "max_auth_failures_per_address": 50,
    "max_auth_failures_per_user": 20,
    "max_hashes_per_address": 2,
    "max_hashes_per_user": 1,
    "max_remembered_callers": 10000,
    "max_users": 1000000,
    "max_tokens_per_user": 100,
    "max_registrations_per_address": 10,
    "max_name_bytes": 128,
    "max_profile_bytes": 16384,
    "max_body_bytes": 4194304,
    "body_timeout": 30.0,
    "min_body_rate": 1024.0,
    "allow_chunked": True,
    "keep_alive_timeout": 75.0,
    "half_close_timeout": 5.0,
    "idle_timeout": None,
    "max_message_bytes": 4194304,
    "max_inflate_ratio": 100,
    "min_compress_bytes": 1024,
    "max_fragments": 1024,
    "message_timeout": 10.0,
    "control_rate": 10.0,
    "control_burst": 32,
    "read_bytes": 65536,
    "frames_per_turn": 64,
    "max_depth": 64,
    "max_method_bytes": 128,
    "max_id_bytes": 128,
    "max_batch": 100,
    "max_batch_reply_bytes": 10485760,
    "max_response_bytes": 10485760,
    "max_bad_messages": 10,
    "max_calls_per_connection": 64,
    "max_waiting_calls": 256,
    "max_waiting_bytes": 1048576,
    "max_calls": 10000,
    "call_timeout": 30.0,
    "cleanup_grace": 5.0,
    "call_rate": None,
    "idempotency_ttl": 600.0,
    "max_idempotency_results": 10000,
    "max_idempotency_bytes": 16777216,
    "max_idempotency_per_identity": 100,
    "blocking_workers": 40,
    "max_blocking_queue": 256,
    "watchdog_warn": 0.1,
    "watchdog_log": 5.0,
    "log_lines": 10,
    "log_interval": 10.0,
    "max_topics": 100000,
    "max_topic_bytes": 255,
    "max_subscriptions": 128,
    "max_subscriptions_per_user": 1024,
    "history_size": 100,
    "history_ttl": 300.0,
    "max_history_bytes": 67108864,
    "max_recovery": 300,
    "max_publication_keys": 10000,
    "write_ahead": 65536,
    "max_queued_replies_bytes": 16777216,
    "max_queued_pushes_bytes": 1048576,
    "max_queued_pushes": 1024,
    "max_push_age": 10.0,
    "write_timeout": 10.0,
    "close_timeout": 5.0,
    "heartbeat_interval": 25.0,
    "heartbeat_timeout": 10.0,
    "drain_notice": 0.0,
    "drain_grace": 10.0,
    "drain_timeout": 30.0,
    "drain_spread": 5.0,
    "stdio_grace": 5.0,
    "trust_proxies": (),
    "proxy_headers": "x-forwarded",
    "trust_forwarded_host": False,
    "measure_calls": False,
    "latency_buckets": (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    "observe": (),
}
"""The default of each limit."""

BUILT_IN: Final = {
    "connection.ping": (True, ()),
    "connection.info": (True, ()),
    "connection.stats": (False, ("admin",)),
    "message.send": (False, ()),
    "message.broadcast": (False, ("broadcast",)),
    "rpc.cancel": (True, ()),
    "rpc.discover": (True, ()),
    "auth.login": (True, ()),
    "auth.refresh": (False, ()),
    "auth.logout": (False, ()),
    "session.create": (True, ()),
    "session.resume": (True, ()),
    "session.get": (True, ()),
    "session.update": (True, ()),
    "session.end": (True, ()),
    "session.list": (True, ()),
    "user.register": (True, ()),
    "user.me": (False, ()),
    "user.update": (False, ()),
    "user.password": (False, ()),
    "user.remove": (False, ()),
    "user.list": (False, ("users",)),
    "user.disable": (False, ("users",)),
    "user.scopes": (False, ("users",)),
    "token.create": (False, ()),
    "token.list": (False, ()),
    "token.revoke": (False, ()),
    "topic.subscribe": (True, ()),
    "topic.unsubscribe": (True, ()),
    "topic.publish": (True, ()),
    "topic.history": (True, ()),
}
"""The methods of every gateway: are they public, and which scopes do they need?"""

OF_KINDS: Final = (("websocket", True, True), ("http", False, False), ("cli", True, False), ("local", False, False))
"""The kinds of connections: may the server send first, and are there heartbeats?"""


def documented() -> None:
    """The tables of the server are those of its documents. Raises Violation."""
    errors = tuple((row.code, row.message, row.http_status, row.retryable, row.retry_after) for row in ERRORS.values())
    must(errors == ERROR_ROWS, "documented: an error has another code, message or status", *_other(errors, ERROR_ROWS))
    codes = (*ERRORS, None, 7)
    statuses = (*(row[2] for row in ERROR_ROWS), 200, 200)
    must(tuple(map(http_status, codes)) == statuses, "documented: an error has another HTTP status")
    closes = tuple((row.name, row.code, row.error, row.flush, row.is_limit) for row in CLOSE_REASONS.values())
    must(closes == CLOSES, "documented: a reason to close has another code", *_other(closes, CLOSES))
    defaults = asdict(Config())
    must(defaults == DEFAULTS, "documented: a limit has another default", *_other(defaults.items(), DEFAULTS.items()))
    must(dict(BUILTINS) == BUILT_IN, "documented: a built-in method has other rights", BUILTINS)
    kinds = tuple((kind, PUSHABLE[kind], BEATING[kind]) for kind in KINDS)
    must(kinds == OF_KINDS, "documented: a kind of connections has other properties", *kinds)


def _other(found: Iterable[object], right: Iterable[object]) -> list[object]:
    known = list(right)
    return [row for row in found if row not in known][:3]
