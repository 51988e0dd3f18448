"""The states of a WebSocket's client: every row of the table, and that there is no other."""

from __future__ import annotations

import pytest
from posthouse.core.values.transitions import IllegalEvent
from posthouse.transports.client.state import TRANSITIONS, ClientEvent, ClientState

ROWS = {
    "opening": {"open": "open", "shut": "shut"},
    "open": {"close": "closing", "peer closed": "closed", "shut": "shut"},
    "closing": {"peer closed": "closed", "shut": "shut"},
    "closed": {"shut": "shut"},
    "shut": {},
}


@pytest.mark.parametrize("event", ClientEvent)
@pytest.mark.parametrize("state", ClientState)
def test_an_event_has_a_row_or_is_illegal(state: ClientState, event: ClientEvent) -> None:
    if event in ROWS[state]:
        assert TRANSITIONS[state][event] == ROWS[state][event]
    else:
        with pytest.raises(IllegalEvent, match=f"ClientState {state.name}: {event.name} is not allowed"):
            TRANSITIONS[state][event]


def test_every_state_has_its_rows() -> None:
    assert list(TRANSITIONS) == list(ClientState)
