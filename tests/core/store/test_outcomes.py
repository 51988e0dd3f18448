"""What a caller hears of a store that could not do what it was asked for."""

from __future__ import annotations

import pytest
from posthouse.core.operations.operations import Busy, Failed
from posthouse.core.store.outcomes import Full, MaybeApplied, unavailable
from posthouse.core.values.errors import ErrorObject, http_status

RETRY = {"retryable": True, "retry_after_ms": 1_000}


@pytest.mark.parametrize("outcome", [Failed(), Busy(), MaybeApplied()])
def test_a_store_that_cannot_do_it_is_unavailable_and_may_be_asked_again(
    outcome: Failed | Busy | MaybeApplied,
) -> None:
    assert unavailable(outcome) == ErrorObject(-32035, "Storage unavailable", RETRY)
    assert http_status(-32035) == 503


def test_a_store_that_could_not_be_asked_leaves_a_busy_server() -> None:
    assert unavailable(Full()) == ErrorObject(-32009, "Server busy", RETRY)
