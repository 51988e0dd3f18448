"""The states of a hosted request: every row of the table, and that there is no other."""

from __future__ import annotations

import pytest
from posthouse.core.values.transitions import IllegalEvent
from posthouse.transports.hosted.state import TRANSITIONS, HostedEvent, HostedState

ROWS = {
    "body": {"request": "asked", "answer": "answered"},
    "asked": {"admit": "body", "answer": "answered", "upgrade": "closed"},
    "answered": {"close": "closed"},
    "closed": {},
}


@pytest.mark.parametrize("event", HostedEvent)
@pytest.mark.parametrize("state", HostedState)
def test_an_event_has_a_row_or_is_illegal(state: HostedState, event: HostedEvent) -> None:
    if event in ROWS[state]:
        assert TRANSITIONS[state][event] == ROWS[state][event]
    else:
        with pytest.raises(IllegalEvent, match=f"HostedState {state.name}: {event.name} is not allowed"):
            TRANSITIONS[state][event]


def test_every_state_has_its_rows() -> None:
    assert list(TRANSITIONS) == list(HostedState)
