"""The states of one hosted request, as a table.

It may not know bodies, answers or deadlines.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from posthouse.core.values.transitions import table


class HostedState(StrEnum):
    """Where the request is on its way to its answer."""

    BODY = "body"  # the head was read; its judgement, or the body, is to come
    ASKED = "asked"  # the request was handed on, and its answer is owed; or the admission of its client
    ANSWERED = "answered"  # the answer is given, or is owed at once
    CLOSED = "closed"


class HostedEvent(StrEnum):
    """What changes the state."""

    REQUEST = "request"  # the request is whole, or a limit is to judge its client before the body is read
    ADMIT = "admit"  # no limit refuses the client
    ANSWER = "answer"
    UPGRADE = "upgrade"  # another codec takes over
    CLOSE = "close"


TRANSITIONS: Final = table(
    {
        HostedState.BODY: {
            HostedEvent.REQUEST: HostedState.ASKED,
            HostedEvent.ANSWER: HostedState.ANSWERED,
        },
        HostedState.ASKED: {
            HostedEvent.ADMIT: HostedState.BODY,
            HostedEvent.ANSWER: HostedState.ANSWERED,
            HostedEvent.UPGRADE: HostedState.CLOSED,
        },
        HostedState.ANSWERED: {
            HostedEvent.CLOSE: HostedState.CLOSED,
        },
        HostedState.CLOSED: {},
    }
)
