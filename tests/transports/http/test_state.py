"""The states of an HTTP/1.1 socket: every row of the table, and that there is no other."""

from __future__ import annotations

import pytest
from posthouse.core.values.transitions import IllegalEvent
from posthouse.transports.http.state import TRANSITIONS, HttpEvent, HttpState

ROWS = {
    "idle": {
        "head begun": "head",
        "body expected": "body",
        "request": "asked",
        "answer": "answering",
        "close": "closed",
    },
    "head": {"body expected": "body", "request": "asked", "answer": "answering", "close": "closed"},
    "body": {"request": "asked", "answer": "answering", "close": "closed"},
    "asked": {"admit": "body", "answer": "answering", "upgrade": "closed", "close": "closed"},
    "answering": {"proceed": "idle", "yield": "yielded", "last answer": "lingering", "close": "closed"},
    "yielded": {"resume": "idle", "close": "closed"},
    "lingering": {"close": "closed"},
    "closed": {},
}


@pytest.mark.parametrize("event", HttpEvent)
@pytest.mark.parametrize("state", HttpState)
def test_an_event_has_a_row_or_is_illegal(state: HttpState, event: HttpEvent) -> None:
    if event in ROWS[state]:
        assert TRANSITIONS[state][event] == ROWS[state][event]
    else:
        with pytest.raises(IllegalEvent, match=f"HttpState {state.name}: {event.name} is not allowed"):
            TRANSITIONS[state][event]


def test_every_state_has_its_rows() -> None:
    assert list(TRANSITIONS) == list(HttpState)
