"""The states of services, and what is said where there is none."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from posthouse.adapters.handlers.state.states import States
from posthouse.core.service.lifespan import Lifespan
from posthouse.core.values.errors import UsageError


@asynccontextmanager
async def nothing():  # type: ignore[no-untyped-def]
    yield


def test_a_function_sees_the_state_of_its_lifespan_while_that_is_open() -> None:
    one, other = Lifespan("one", nothing, False), Lifespan("other", nothing, False)
    states = States({one: "state"})
    assert states.of(one) == "state"
    with pytest.raises(UsageError, match=r"^the lifespan of service 'other' is not open$"):
        states.of(other)
    with pytest.raises(UsageError, match=r"^the service has no lifespan, so there is no state: declare one with"):
        states.of(None)
