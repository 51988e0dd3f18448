"""The states of the server's side of HTTP/1.1 on one socket, as a table.

It may not know bytes, answers or deadlines.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from posthouse.core.values.transitions import table


class HttpState(StrEnum):
    """Where the socket is in its sequence of requests."""

    IDLE = "idle"  # between two requests
    HEAD = "head"  # a head has begun; the first head is waited for as if it had
    BODY = "body"
    ASKED = "asked"  # a request was handed on, and its answer is owed; or the admission of its client
    ANSWERING = "answering"  # the answer is given, or is owed at once; nothing is parsed before `proceed`
    YIELDED = "yielded"  # the answer was handed over; the next request waits for others to have a turn
    LINGERING = "lingering"  # the last answer was given: bytes that come are dropped
    CLOSED = "closed"


IDLE: Final = HttpState.IDLE
HEAD: Final = HttpState.HEAD
BODY: Final = HttpState.BODY
ASKED: Final = HttpState.ASKED
ANSWERING: Final = HttpState.ANSWERING
YIELDED: Final = HttpState.YIELDED
LINGERING: Final = HttpState.LINGERING
CLOSED: Final = HttpState.CLOSED
"""Constants, because every request reads them and a look-up in the class is slower."""


class HttpEvent(StrEnum):
    """What changes the state."""

    HEAD_BEGUN = "head begun"
    BODY_EXPECTED = "body expected"
    REQUEST = "request"  # a request is whole, or a limit is to judge its client before the body is read
    ADMIT = "admit"  # no limit refuses the client
    ANSWER = "answer"  # an answer is given, or is owed at once
    PROCEED = "proceed"  # the answer was handed over
    YIELD = "yield"  # the answer was handed over, and this turn has had its requests
    RESUME = "resume"  # others have had their turn
    LAST_ANSWER = "last answer"  # nothing follows the answer
    UPGRADE = "upgrade"  # another codec takes over
    CLOSE = "close"


BODY_EXPECTED: Final = HttpEvent.BODY_EXPECTED
REQUEST: Final = HttpEvent.REQUEST
ANSWER: Final = HttpEvent.ANSWER
PROCEED: Final = HttpEvent.PROCEED
"""The events of every request, for the same reason."""

TRANSITIONS: Final = table(
    {
        HttpState.IDLE: {
            HttpEvent.HEAD_BEGUN: HttpState.HEAD,
            HttpEvent.BODY_EXPECTED: HttpState.BODY,
            HttpEvent.REQUEST: HttpState.ASKED,
            HttpEvent.ANSWER: HttpState.ANSWERING,
            HttpEvent.CLOSE: HttpState.CLOSED,
        },
        HttpState.HEAD: {
            HttpEvent.BODY_EXPECTED: HttpState.BODY,
            HttpEvent.REQUEST: HttpState.ASKED,
            HttpEvent.ANSWER: HttpState.ANSWERING,
            HttpEvent.CLOSE: HttpState.CLOSED,
        },
        HttpState.BODY: {
            HttpEvent.REQUEST: HttpState.ASKED,
            HttpEvent.ANSWER: HttpState.ANSWERING,
            HttpEvent.CLOSE: HttpState.CLOSED,
        },
        HttpState.ASKED: {
            HttpEvent.ADMIT: HttpState.BODY,
            HttpEvent.ANSWER: HttpState.ANSWERING,
            HttpEvent.UPGRADE: HttpState.CLOSED,
            HttpEvent.CLOSE: HttpState.CLOSED,
        },
        HttpState.ANSWERING: {
            HttpEvent.PROCEED: HttpState.IDLE,
            HttpEvent.YIELD: HttpState.YIELDED,
            HttpEvent.LAST_ANSWER: HttpState.LINGERING,
            HttpEvent.CLOSE: HttpState.CLOSED,
        },
        HttpState.YIELDED: {
            HttpEvent.RESUME: HttpState.IDLE,
            HttpEvent.CLOSE: HttpState.CLOSED,
        },
        HttpState.LINGERING: {
            HttpEvent.CLOSE: HttpState.CLOSED,
        },
        HttpState.CLOSED: {},
    }
)
