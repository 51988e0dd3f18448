"""State tables: for each state, the events that it allows and the states that follow.

A table is literal data, so that tests and documents can read it. `TABLE[state][event]` is the next state.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


class IllegalEvent(Exception):
    """An event that the current state does not allow: a defect of Posthouse, never a peer's fault."""


class Row(dict[E, S], Generic[S, E]):
    """The events of one state. Raises IllegalEvent for any other event."""

    def __init__(self, state: S, events: Mapping[E, S]) -> None:
        super().__init__(events)
        self._state = state

    def __missing__(self, event: E) -> S:
        state = self._state
        raise IllegalEvent(f"{type(state).__name__} {state.name}: {event.name} is not allowed")


def table(rows: Mapping[S, Mapping[E, S]]) -> dict[S, Row[S, E]]:
    """Build a table from its rows."""
    return {state: Row(state, events) for state, events in rows.items()}
