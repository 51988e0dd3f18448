"""The end of a request, as the event `call.ended` must tell it."""

from __future__ import annotations

from math import isclose
from typing import Final

from msgspec import Struct
from posthouse.adapters.model.messages import Codes
from posthouse.adapters.model.records import Connection
from posthouse.core.values.errors import (
    BATCH_REPLY_TOO_LARGE,
    DEADLINE_EXCEEDED,
    DRAINING,
    REQUEST_CANCELLED,
    RESPONSE_TOO_LARGE,
)
from posthouse.core.values.lifecycle import CallEnded, CallOutcome
from posthouse.core.values.peers import Identity

ANSWERED: Final[tuple[CallOutcome, ...]] = ("result", "error")
"""A handler has ended, or the request was answered at once: the code says which of the two."""

WITHOUT_CODE: Final = ("result", "disconnected")

OWN_CODES: Final[dict[CallOutcome, int]] = {
    "cancelled": REQUEST_CANCELLED,
    "timed_out": DEADLINE_EXCEEDED,
    "drained": DRAINING,
}

EXACT: Final = 1e-6
"""Seconds: the gateway derives the beginning of a call from its deadline."""

TOO_LARGE: Final = (RESPONSE_TOO_LARGE, BATCH_REPLY_TOO_LARGE)
"""The codes that may replace any other."""


class End(Struct, frozen=True):
    """One request of a caller with this `identity`, and its possible `outcomes` and `codes`. `number` is None if it did
    not become a call."""

    connection: Connection
    number: int | None
    method: str
    request_id: str | None
    began: float
    outcomes: tuple[CallOutcome, ...]
    codes: Codes
    identity: Identity

    def is_told_by(self, event: CallEnded, now: float) -> bool:
        """Does this event tell this end?"""
        peer = self.connection.peer
        about = (self.number, self.connection.number, self.method, self.request_id)
        return (
            about == (event.call, event.connection, event.method, event.request_id)
            and (peer.kind, peer.address, self.identity.user) == (event.kind, event.address, event.user)
            and event.now == now
            and isclose(event.seconds, now - self.began, abs_tol=EXACT)
            and event.outcome in self.outcomes
            and (event.code is None) is (event.outcome in WITHOUT_CODE)
            and (event.code in TOO_LARGE or event.code in self.codes)
            and (event.code in TOO_LARGE or event.code == OWN_CODES.get(event.outcome, event.code))
        )
