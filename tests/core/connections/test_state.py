"""The states of a connection: the table is complete, and any other event is a defect."""

from __future__ import annotations

import pytest
from posthouse.core.connections.state import LIVING, TRANSITIONS, State, Trigger
from posthouse.core.values.transitions import IllegalEvent


def test_the_state_table_is_complete_and_every_state_leads_to_gone() -> None:
    assert list(TRANSITIONS) == list(State)
    for state, row in TRANSITIONS.items():
        assert row.get(Trigger.DISCONNECTED) is (None if state is State.GONE else State.GONE)
    assert [state for state, row in TRANSITIONS.items() if State.OPEN in row.values()] == [State.AUTHENTICATING]


def test_a_connection_opens_when_its_credentials_were_verified() -> None:
    authenticating = TRANSITIONS[State.OPEN][Trigger.AUTHENTICATE]
    assert authenticating is State.AUTHENTICATING
    assert TRANSITIONS[authenticating][Trigger.VERIFIED] is State.OPEN
    assert TRANSITIONS[authenticating][Trigger.REFUSE] is State.CLOSING


def test_a_connection_can_be_closed_in_the_living_states() -> None:
    assert [state for state in State if Trigger.DISCONNECT in TRANSITIONS[state]] == list(LIVING)


def test_an_exchange_is_asked_answered_and_gone() -> None:
    asked = TRANSITIONS[State.OPEN][Trigger.ASK]
    answered = TRANSITIONS[asked][Trigger.ANSWER]
    assert (asked, answered, TRANSITIONS[State.OPEN][Trigger.REFUSE]) == (State.ASKED, State.ANSWERED, State.CLOSING)


def test_an_illegal_trigger_names_the_trigger_and_the_state() -> None:
    with pytest.raises(IllegalEvent, match=r"^State GONE: ASK is not allowed$"):
        TRANSITIONS[State.GONE][Trigger.ASK]
