"""The states of a WebSocket: every row of the table, and that there is no other."""

from __future__ import annotations

import pytest
from posthouse.core.values.transitions import IllegalEvent
from posthouse.transports.websocket.state import TRANSITIONS, WebSocketEvent, WebSocketState

ROWS = {
    "open": {"close": "closing", "fail": "discarding", "end": "shut"},
    "closing": {"fail": "discarding", "end": "shut"},
    "discarding": {"shut": "shut"},
    "shut": {},
}


@pytest.mark.parametrize("event", WebSocketEvent)
@pytest.mark.parametrize("state", WebSocketState)
def test_an_event_has_a_row_or_is_illegal(state: WebSocketState, event: WebSocketEvent) -> None:
    if event in ROWS[state]:
        assert TRANSITIONS[state][event] == ROWS[state][event]
    else:
        with pytest.raises(IllegalEvent, match=f"WebSocketState {state.name}: {event.name} is not allowed"):
            TRANSITIONS[state][event]


def test_every_state_has_its_rows() -> None:
    assert list(TRANSITIONS) == list(WebSocketState)
