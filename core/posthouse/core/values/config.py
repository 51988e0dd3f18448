"""All limits and intervals, in one frozen value that is checked when it is built.

Units are seconds and bytes. None turns a limit off, if the field's type allows it. A limit of policy may be named in
`observe`: it is then counted as `limit.<name>.would_refuse` and not enforced. Limits that guard memory or a parser
cannot be observed.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from inspect import cleandoc
from math import inf
from typing import Any, Final

from msgspec import Struct, ValidationError, convert
from msgspec.structs import fields

from .errors import UsageError
from .limits import LIMITS
from .peers import UNIX, read_network

KIB: Final = 1024
MIB: Final = 1024 * KIB
DAY: Final = 86_400.0

MAX_PROVABLE_DEPTH: Final = 200
"""The pattern for a depth is compiled by recursion, and a decoder recurses, too. Python allows about 1,000 levels."""

INTRODUCTION: Final = """
Each limit below has its default, the unit that it counts, and the effect of a breach. A limit that is marked ° is one
of policy, which `observe` may name: it is then counted and not enforced.
"""

PROXY_HEADERS: Final = ("x-forwarded", "forwarded")
"""The families of header fields in which a proxy names its client: `X-Forwarded-For` and its like, or `Forwarded` (RFC
7239)."""

OBSERVABLE: Final = (
    "max_connections_per_address",
    "max_connections_per_user",
    "accept_rate_per_address",
    "call_rate",
    "max_bad_messages",
    "max_push_age",
    "max_auth_failures",
    "max_auth_failures_per_address",
    "max_auth_failures_per_user",
    "max_registrations_per_address",
    "max_subscriptions",
    "max_subscriptions_per_user",
    "max_anonymous_sessions_per_address",
)
"""The limits of policy, which `Config.observe` may name."""


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The limits of one gateway and its codecs. Raises UsageError for an invalid value.

    Sizes are in bytes, times in seconds. None turns a limit off, if the type of its field allows it. Limits are
    inclusive. For what each limit counts and what a breach does, see docs/limits.md or run
    `python -m pydoc posthouse.core.Config`.
    """

    # sockets and connections
    max_connections: int = 10_000
    max_in_head: int = 1_000
    max_connections_per_address: int | None = None
    max_connections_per_user: int | None = None
    accept_rate_per_address: float | None = None
    descriptor_reserve: int = 64
    memory_budget: int = 1024 * MIB

    # opening of sockets
    tls_timeout: float = 5.0
    head_timeout: float = 5.0
    max_head_bytes: int = 16 * KIB
    max_headers: int = 100
    max_target_bytes: int = 4 * KIB

    # authentication
    require_authentication: bool = False
    max_message_bytes_unauthenticated: int = 64 * KIB
    authentication_timeout: float = 10.0
    max_external_operations: int = 10_000
    storage_timeout: float = 5.0
    max_token_bytes: int = 8 * KIB
    max_password_bytes: int = 1_024
    credential_cache: float = 60.0
    max_cached_credentials: int = 10_000
    session_idle: float = 14 * DAY
    session_lifetime: float = 90 * DAY
    max_session_bytes: int = 64 * KIB
    max_sessions: int = 100_000
    max_sessions_per_user: int = 100
    max_anonymous_sessions_per_address: int | None = 60
    auth_notice: float = 60.0
    auth_grace: float = 10.0
    max_revocations: int = 10_000
    hashing_workers: int = 4
    max_hashing_queue: int = 32
    argon2_memory: int = 64 * MIB
    argon2_passes: int = 3
    argon2_lanes: int = 4
    max_auth_failures: int | None = 5
    max_auth_failures_per_address: int | None = 50
    max_auth_failures_per_user: int | None = 20
    max_hashes_per_address: int = 2
    max_hashes_per_user: int = 1
    max_remembered_callers: int = 10_000
    max_users: int = 1_000_000
    max_tokens_per_user: int = 100
    max_registrations_per_address: int | None = 10
    max_name_bytes: int = 128
    max_profile_bytes: int = 16 * KIB

    # HTTP bodies
    max_body_bytes: int = 4 * MIB
    body_timeout: float = 30.0
    min_body_rate: float = 1.0 * KIB
    allow_chunked: bool = True
    keep_alive_timeout: float = 75.0
    half_close_timeout: float = 5.0

    # messages
    idle_timeout: float | None = None
    max_message_bytes: int = 4 * MIB
    max_inflate_ratio: int = 100
    min_compress_bytes: int = 1 * KIB
    max_fragments: int = 1_024
    message_timeout: float = 10.0
    control_rate: float = 10.0
    control_burst: int = 32
    read_bytes: int = 64 * KIB
    frames_per_turn: int = 64

    # JSON-RPC
    max_depth: int = 64
    max_method_bytes: int = 128
    max_id_bytes: int = 128
    max_batch: int = 100
    max_batch_reply_bytes: int = 10 * MIB
    max_response_bytes: int = 10 * MIB
    max_bad_messages: int | None = 10

    # calls
    max_calls_per_connection: int = 64
    max_waiting_calls: int = 256
    max_waiting_bytes: int = 1 * MIB
    max_calls: int = 10_000
    call_timeout: float = 30.0
    cleanup_grace: float = 5.0
    call_rate: float | None = None
    idempotency_ttl: float = 600.0
    max_idempotency_results: int = 10_000
    max_idempotency_bytes: int = 16 * MIB
    max_idempotency_per_identity: int = 100
    blocking_workers: int = 40
    max_blocking_queue: int = 256
    watchdog_warn: float = 0.1
    watchdog_log: float = 5.0
    log_lines: int = 10
    log_interval: float = 10.0

    # topics
    max_topics: int = 100_000
    max_topic_bytes: int = 255
    max_subscriptions: int = 128
    max_subscriptions_per_user: int = 1_024
    history_size: int = 100
    history_ttl: float = 300.0
    max_history_bytes: int = 64 * MIB
    max_recovery: int = 300
    max_publication_keys: int = 10_000

    # flow
    write_ahead: int = 64 * KIB
    max_queued_replies_bytes: int = 16 * MIB
    max_queued_pushes_bytes: int = 1 * MIB
    max_queued_pushes: int = 1_024
    max_push_age: float | None = 10.0
    write_timeout: float = 10.0
    close_timeout: float = 5.0

    # liveness and shut-down
    heartbeat_interval: float | None = 25.0
    heartbeat_timeout: float = 10.0
    drain_notice: float = 0.0
    drain_grace: float = 10.0
    drain_timeout: float = 30.0
    drain_spread: float = 5.0
    stdio_grace: float = 5.0

    # proxies
    trust_proxies: tuple[str, ...] = ()
    proxy_headers: str = "x-forwarded"
    trust_forwarded_host: bool = False

    # metrics
    measure_calls: bool = False
    latency_buckets: tuple[float, ...] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

    observe: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, (kind, optional) in _shapes().items():
            value = getattr(self, name)
            if value is not None or not optional:
                _check(name, kind, value)
        for proxy in self.trust_proxies:
            if proxy != UNIX:
                read_network(proxy)
        if self.proxy_headers not in PROXY_HEADERS:
            raise UsageError(f"proxy_headers is {self.proxy_headers!r}: it must be {' or '.join(PROXY_HEADERS)}")
        _check_buckets(self.latency_buckets)
        for name in self.observe:
            if name not in OBSERVABLE:
                raise UsageError(
                    f"observe contains {name!r}: only limits of policy can be observed ({', '.join(OBSERVABLE)})"
                )

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Config:
        """Build from a mapping, such as a TOML table. For an unknown key, the UsageError names the nearest one."""
        for name in values:
            if name not in cls.__struct_fields__:
                near = get_close_matches(name, cls.__struct_fields__, 1, 0.0)
                raise UsageError(f"unknown setting {name!r}: did you mean {near[0]!r}?")
        try:
            return convert(dict(values), cls)
        except ValidationError as error:
            text, _, path = str(error).replace("`", "").partition(" - at $.")
            raise UsageError(f"{path}: {text[:1].lower()}{text[1:]}" if path else text) from None


Config.__doc__ = f"{cleandoc(Config.__doc__ or '')}\n{INTRODUCTION}{LIMITS}"  # editors show what stands in the class

MAY_BE_ZERO: Final = (
    "descriptor_reserve",
    "min_body_rate",
    "min_compress_bytes",
    "credential_cache",
    "auth_notice",
    "auth_grace",
    "max_waiting_calls",
    "max_waiting_bytes",
    "max_blocking_queue",
    "max_hashing_queue",
    "cleanup_grace",
    "drain_notice",
    "drain_grace",
    "drain_spread",
    "stdio_grace",
)
"""The fields that may be 0. All other numbers must be above 0."""

AT_MOST: Final[dict[str, int]] = {
    "max_depth": MAX_PROVABLE_DEPTH,
    "argon2_passes": 2**32 - 1,
    "argon2_lanes": 2**24 - 1,
}
"""The greatest value of a field, if it is not `EXACT`."""

EXACT: Final = 2**53
"""The greatest number: all readers of a configuration file read integers up to this one alike."""

SHAPES: Final[dict[Any, tuple[type, bool]]] = {
    int: (int, False),
    int | None: (int, True),
    float: (float, False),
    float | None: (float, True),
    bool: (bool, False),
    str: (str, False),
    tuple[str, ...]: (tuple, False),
    tuple[float, ...]: (tuple, False),
}
"""The type that an annotation asks for, and whether None (off) is allowed."""

EXPECTED: Final[dict[type, str]] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    tuple: "a tuple of names",
}


MOST_BUCKETS: Final = 50
"""Each method has as many counters for each outcome."""


@cache
def _shapes() -> dict[str, tuple[type, bool]]:
    return {field.name: SHAPES[field.type] for field in fields(Config)}


def _check_buckets(bounds: tuple[object, ...]) -> None:
    """Raise UsageError unless these may be the bounds of durations."""
    if not 0 < len(bounds) <= MOST_BUCKETS:
        raise UsageError(f"latency_buckets has {len(bounds)} bounds: give 1 to {MOST_BUCKETS}")
    before = 0.0
    for bound in bounds:
        if not isinstance(bound, int | float) or not before < bound < inf:
            raise UsageError(f"latency_buckets contains {bound!r}: give seconds above 0, each above the one before")
        before = float(bound)


def _check(name: str, kind: type, value: Any) -> None:
    """Raise UsageError unless the field may have this value."""
    if type(value) is not kind and (kind, type(value)) != (float, int):
        expected = "a tuple of seconds" if name == "latency_buckets" else EXPECTED[kind]
        raise UsageError(f"{name} is {value!r}: it must be {expected}")
    if kind not in (int, float):
        return
    if not (value >= 0 if name in MAY_BE_ZERO else value > 0):
        raise UsageError(f"{name} is {value}: it must be {'at least' if name in MAY_BE_ZERO else 'above'} 0")
    most = AT_MOST.get(name, EXACT)
    if value > most:
        raise UsageError(f"{name} is {value}: it must be at most {most}")
