"""The states of a connection, as a table.

It may not know what a state means for calls or bytes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from posthouse.core.values.transitions import table


class State(StrEnum):
    """Where a connection is in its life."""

    OPEN = "open"  # it may send texts
    ASKED = "asked"  # an HTTP exchange whose one text was received
    ANSWERED = "answered"  # its answer is on its way
    CLOSING = "closing"  # only `disconnected` still counts
    GONE = "gone"  # it has no record any more


OPEN: Final = State.OPEN
"""A name of its own: every text and every payload reads it, and a look-up in the class is slower."""


class Trigger(StrEnum):
    """What moves a connection from one state to the next."""

    REFUSE = "refuse"
    ASK = "ask"
    ANSWER = "answer"
    DISCONNECT = "disconnect"
    DISCONNECTED = "disconnected"


TRANSITIONS: Final = table(
    {
        State.OPEN: {
            Trigger.REFUSE: State.CLOSING,
            Trigger.ASK: State.ASKED,
            Trigger.DISCONNECT: State.CLOSING,
            Trigger.DISCONNECTED: State.GONE,
        },
        State.ASKED: {
            Trigger.ANSWER: State.ANSWERED,
            Trigger.DISCONNECT: State.CLOSING,
            Trigger.DISCONNECTED: State.GONE,
        },
        State.ANSWERED: {
            Trigger.DISCONNECT: State.CLOSING,
            Trigger.DISCONNECTED: State.GONE,
        },
        State.CLOSING: {
            Trigger.DISCONNECTED: State.GONE,
        },
        State.GONE: {},
    }
)

LIVING: Final = (State.OPEN, State.ASKED, State.ANSWERED)
"""The states in which a connection can be closed."""
