"""Refusals: a reason for each outcome of an authenticator."""

from __future__ import annotations

from typing import get_args

import pytest
from posthouse.core.identity.refusal import OTHERS_MAY_KNOW, REASONS, UNKNOWN, Refusal, Unavailable, too_long
from posthouse.core.operations.operations import Expired, Refused
from posthouse.core.service.authenticators import Basic, Bearer, Cookie
from posthouse.core.values.config import Config
from posthouse.core.values.lifecycle import AuthFailure

from tests.values import changeable


def test_each_outcome_has_a_reason_that_events_tell() -> None:
    assert {Refused: "refused", Expired: "timed_out", Unavailable: "unavailable"} == REASONS
    assert all(reason in get_args(AuthFailure) for reason in (*REASONS.values(), *OTHERS_MAY_KNOW))


def test_a_store_that_cannot_say_it_is_asked_again_later() -> None:
    assert Refusal("unavailable", None, 1000) == UNKNOWN
    assert Refusal("refused") == Refusal("refused", None, None)


@pytest.mark.parametrize(("size", "long"), [(3, False), (4, False), (5, True)])
def test_a_secret_has_at_most_its_limit_in_bytes(size: int, long: bool) -> None:
    config = Config(max_token_bytes=4, max_password_bytes=4)
    assert too_long(Bearer("x" * size), config) is long
    assert too_long(Basic("a long name", "x" * size), config) is long
    assert too_long(Cookie("x" * size), config) is False


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.identity.refusal") == []
