"""Close reasons: one row each, with the code, the error and whether queued payloads are still sent."""

from __future__ import annotations

from posthouse.core.values.close_reasons import (
    ACCEPT_RATE_PER_ADDRESS,
    CLOSE_REASONS,
    MAX_CONNECTIONS_PER_ADDRESS,
    MAX_IN_HEAD,
)
from posthouse.core.values.config import Config
from posthouse.core.values.errors import ERRORS

from tests.values import changeable


def test_each_reason_has_its_close_code_and_says_whether_what_is_queued_is_sent() -> None:
    assert {reason.name: (reason.code, reason.flush) for reason in CLOSE_REASONS.values()} == {
        "draining": (1012, True),
        "drain_timeout": (1012, False),
        "idle_timeout": (1000, True),
        "max_connections": (1013, True),
        "max_connections_per_address": (4429, True),
        "accept_rate_per_address": (4429, True),
        "max_connections_per_user": (4429, True),
        "authentication_timeout": (4408, True),
        "authentication_failed": (4401, True),
        "credentials_expired": (4401, True),
        "too_many_failed_authentications": (4401, True),
        "max_hashes_per_address": (1013, True),
        "max_hashes_per_user": (1013, True),
        "stale_cookie": (4401, True),
        "credentials_unknown": (1013, True),
        "different_users": (4400, True),
        "different_sessions": (4400, True),
        "cross_site": (4403, True),
        "stale_session": (4410, True),
        "session_replaced": (4409, True),
        "session_ended": (4410, True),
        "revoked": (4403, False),
        "max_external_operations": (1013, True),
        "max_hashing_queue": (1013, True),
        "memory_budget": (1013, False),
        "max_bad_messages": (4400, True),
        "call_rate": (4429, True),
        "max_queued_replies_bytes": (4100, False),
        "max_queued_pushes_bytes": (4100, False),
        "max_queued_pushes": (4100, False),
        "max_push_age": (4100, False),
        "write_timeout": (4100, False),
        "heartbeat_timeout": (4101, False),
    }


def test_each_reason_is_a_setting_or_a_shut_down_and_is_found_by_its_name() -> None:
    assert list(CLOSE_REASONS) == [reason.name for reason in CLOSE_REASONS.values()]
    assert [name for name in CLOSE_REASONS if name not in Config.__struct_fields__] == [
        *("draining", "authentication_failed", "credentials_expired", "too_many_failed_authentications"),
        *("stale_cookie", "credentials_unknown", "different_users", "different_sessions", "cross_site"),
        "stale_session",
        *("session_replaced", "session_ended", "revoked"),
    ]
    assert [name for name, reason in CLOSE_REASONS.items() if not reason.is_limit] == [
        *("draining", "drain_timeout", "authentication_failed", "credentials_expired"),
        *("too_many_failed_authentications", "stale_cookie", "credentials_unknown", "different_users"),
        *("different_sessions", "cross_site", "stale_session"),
        *("session_replaced", "session_ended", "revoked"),
    ]


def test_an_http_exchange_is_refused_with_the_error_of_the_reason() -> None:
    errors = {name: reason.error for name, reason in CLOSE_REASONS.items()}
    assert {name: error for name, error in errors.items() if error != -32009} == {
        "draining": -32050,
        "drain_timeout": -32050,
        "max_connections_per_address": -32029,
        "accept_rate_per_address": -32029,
        "max_connections_per_user": -32029,
        "authentication_timeout": -32020,
        "authentication_failed": -32020,
        "credentials_expired": -32022,
        "too_many_failed_authentications": -32023,
        "stale_cookie": -32020,
        "credentials_unknown": -32035,
        "different_users": -32600,
        "different_sessions": -32600,
        "cross_site": -32021,
        "stale_session": -32020,
        "session_replaced": -32043,
        "session_ended": -32040,
        "revoked": -32021,
        "max_bad_messages": -32600,
        "call_rate": -32029,
    }
    assert all(error in ERRORS for error in errors.values())


def test_no_two_reasons_say_the_same() -> None:
    texts = [reason.text for reason in CLOSE_REASONS.values()]
    assert sorted(dict.fromkeys(texts)) == sorted(texts)
    assert all(texts)


def test_sockets_are_refused_for_limits_by_their_names() -> None:
    refused = (MAX_IN_HEAD, MAX_CONNECTIONS_PER_ADDRESS, ACCEPT_RATE_PER_ADDRESS)
    assert all(limit.name in Config.__struct_fields__ and limit.text for limit in refused)


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.values.close_reasons") == []
