"""What a caller hears of a store that could not do what it was asked for."""

from __future__ import annotations

import pytest
from posthouse.core.operations.operations import Busy, Failed, Refused
from posthouse.core.store.outcomes import Done, Full, MaybeApplied, unavailable, value_of
from posthouse.core.values.errors import FORBIDDEN, ErrorObject, RpcError, http_status, refusal

RETRY = {"retryable": True, "retry_after_ms": 1_000}


@pytest.mark.parametrize("outcome", [Failed(), Busy(), MaybeApplied()])
def test_a_store_that_cannot_do_it_is_unavailable_and_may_be_asked_again(
    outcome: Failed | Busy | MaybeApplied,
) -> None:
    assert unavailable(outcome) == ErrorObject(-32035, "Storage unavailable", RETRY)
    assert http_status(-32035) == 503


def test_a_store_that_could_not_be_asked_leaves_a_busy_server() -> None:
    assert unavailable(Full()) == ErrorObject(-32009, "Server busy", RETRY)


def test_the_value_of_an_outcome_or_an_error() -> None:
    assert value_of(Done(7)) == 7
    gone = refusal(FORBIDDEN, reason="gone")
    for outcome, expected in (
        (Full(), unavailable(Full())),
        (MaybeApplied(), unavailable(MaybeApplied())),
        (Refused("gone"), gone),
        (Refused("unknown"), unavailable(Failed())),
    ):
        with pytest.raises(RpcError) as raised:
            value_of(outcome, gone=gone)
        assert raised.value.error_object == expected
