"""State tables: state by state, the events that may come and the states that follow.

A table is literal data, so that tests and documents can read it, and `TABLE[state][event]` is the next state. This
module may not know what a state means.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


class IllegalEvent(Exception):
    """An event that the current state does not allow: a mistake in Posthouse, never a peer's fault."""


class Row(dict[E, S], Generic[S, E]):
    """The events of one state. Raises IllegalEvent for any other event."""

    def __init__(self, state: S, events: Mapping[E, S]) -> None:
        super().__init__(events)
        self._state = state

    def __missing__(self, event: E) -> S:
        state = self._state
        raise IllegalEvent(f"{type(state).__name__} {state.name}: {event.name} is not allowed")


def table(rows: Mapping[S, Mapping[E, S]]) -> dict[S, Row[S, E]]:
    """Make a table out of its rows."""
    return {state: Row(state, events) for state, events in rows.items()}
