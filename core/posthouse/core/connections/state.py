"""The states of a connection, and what moves it from one to the next: a table, for the code and for documents.

It may not know what a state means for calls or bytes.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """Where a connection is in its life.

    Open: it may send texts. Asked: an HTTP exchange whose one text was received. Answered: its answer is on its way.
    Closing: only `disconnected` still counts. Gone: it has no record any more.
    """

    OPEN = "open"
    ASKED = "asked"
    ANSWERED = "answered"
    CLOSING = "closing"
    GONE = "gone"


OPEN: Final = State.OPEN
"""A name of its own: every text and every payload reads it, and a look-up in the class is slower."""


class Trigger(Enum):
    """What moves a connection from one state to the next."""

    REFUSE = "refuse"
    ASK = "ask"
    ANSWER = "answer"
    DISCONNECT = "disconnect"
    DISCONNECTED = "disconnected"


TRANSITIONS: Final[dict[tuple[State, Trigger], State]] = {
    (State.OPEN, Trigger.REFUSE): State.CLOSING,
    (State.OPEN, Trigger.ASK): State.ASKED,
    (State.OPEN, Trigger.DISCONNECT): State.CLOSING,
    (State.OPEN, Trigger.DISCONNECTED): State.GONE,
    (State.ASKED, Trigger.ANSWER): State.ANSWERED,
    (State.ASKED, Trigger.DISCONNECT): State.CLOSING,
    (State.ASKED, Trigger.DISCONNECTED): State.GONE,
    (State.ANSWERED, Trigger.DISCONNECT): State.CLOSING,
    (State.ANSWERED, Trigger.DISCONNECTED): State.GONE,
    (State.CLOSING, Trigger.DISCONNECTED): State.GONE,
}
"""Each state and trigger with the state that follows. Every other pair is a defect of this library."""

LIVING: Final = (State.OPEN, State.ASKED, State.ANSWERED)
"""The states in which a connection can be closed."""


class IllegalTransition(Exception):
    """`TRANSITIONS` has no row for this state and trigger: a defect of this library, never of its user or a peer."""

    def __init__(self, state: State, trigger: Trigger) -> None:
        super().__init__(f"trigger {trigger.value!r} is not allowed in state {state.value!r}")
