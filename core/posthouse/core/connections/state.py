"""The states of a connection and the triggers that change them: one table, for the code and for documents."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from posthouse.core.values.transitions import table


class State(StrEnum):
    """The state of a connection."""

    AUTHENTICATING = "authenticating"  # its credentials are being verified, and it is not admitted yet
    OPEN = "open"  # it may send texts
    ASKED = "asked"  # the one text of an HTTP exchange was received
    ANSWERED = "answered"  # the answer of an HTTP exchange was sent
    CLOSING = "closing"  # only `disconnected` is awaited
    GONE = "gone"  # it has no record any more


AUTHENTICATING: Final = State.AUTHENTICATING
OPEN: Final = State.OPEN
ANSWERED: Final = State.ANSWERED
CLOSING: Final = State.CLOSING
"""Constants, because every text and payload reads them and a look-up in the class is slower."""


class Trigger(StrEnum):
    """An event that changes the state of a connection."""

    AUTHENTICATE = "authenticate"
    VERIFIED = "verified"
    REFUSE = "refuse"
    ASK = "ask"
    ANSWER = "answer"
    DISCONNECT = "disconnect"
    DISCONNECTED = "disconnected"


# Constants, as above: every exchange needs them.
ASK: Final = Trigger.ASK
ANSWER: Final = Trigger.ANSWER
DISCONNECTED: Final = Trigger.DISCONNECTED

TRANSITIONS: Final = table(
    {
        State.AUTHENTICATING: {
            Trigger.VERIFIED: State.OPEN,
            Trigger.REFUSE: State.CLOSING,
            Trigger.DISCONNECT: State.CLOSING,
            Trigger.DISCONNECTED: State.GONE,
        },
        State.OPEN: {
            Trigger.AUTHENTICATE: State.AUTHENTICATING,
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

LIVING: Final = (State.AUTHENTICATING, State.OPEN, State.ASKED, State.ANSWERED)
"""The states in which a connection can be closed."""
