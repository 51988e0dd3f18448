"""The states of a connection: the table is whole, and other triggers are defects that name themselves."""

from __future__ import annotations

from posthouse.core.connections.state import LIVING, TRANSITIONS, IllegalTransition, State, Trigger


def test_the_state_table_is_whole_and_everything_ends_as_gone() -> None:
    for state in State:
        assert (state is State.GONE) == ((state, Trigger.DISCONNECTED) not in TRANSITIONS)
    assert [key for key, to in TRANSITIONS.items() if to is State.OPEN or key[0] is State.GONE] == []


def test_a_connection_can_be_closed_in_the_states_that_are_living() -> None:
    assert [state for state in State if (state, Trigger.DISCONNECT) in TRANSITIONS] == list(LIVING)


def test_an_illegal_transition_names_the_trigger_and_the_state() -> None:
    said = str(IllegalTransition(State.GONE, Trigger.ASK))
    assert said == "trigger 'ask' is not allowed in state 'gone'"
