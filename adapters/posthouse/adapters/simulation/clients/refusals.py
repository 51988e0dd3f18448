"""Errors without an id that a client must expect for its own messages.

JSON-RPC 2.0 section 5: the id is null "if there was an error in detecting the id in the Request object". The client
reads its own messages by the server's limits to know which of them are refused so. Over HTTP this is not needed,
because every text has a response of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from posthouse.adapters.model.messages import NULL, Codes, Invalid, read_message
from posthouse.core.values.config import Config
from posthouse.core.values.errors import BATCH_REPLY_TOO_LARGE, REQUEST_TOO_LARGE, RESPONSE_TOO_LARGE

from .pending import PendingCall

REPLACEMENTS: Final = (RESPONSE_TOO_LARGE, BATCH_REPLY_TOO_LARGE)
"""Errors that replace an error which is itself too large."""

Refusal = tuple[Codes, Sequence[PendingCall], bool]
"""The error has one of these codes, ends these calls, and is certain to come."""


class Refusals:
    """The refusals that are still expected on one connection, in the order of their messages."""

    def __init__(self, config: Config) -> None:
        self._config: Final = config
        self._expected: Final[list[Refusal]] = []

    def sent(self, text: bytes, calls: Sequence[PendingCall]) -> None:
        """A text was sent; its first entries are these calls."""
        self._expected.extend(refusals(text, calls, self._config))

    def take(self, code: int) -> Sequence[PendingCall] | None:
        """An error without an id was received. Returns the calls that it ends, or None if it was not expected. Those of
        a text that may be refused, and was not, have ended before.

        Errors with the same code come in the order of the texts, but those that are certain count as the first. An
        error that is found before a text is parsed may overtake others.
        """
        fitting = [
            (not certain, place)
            for place, (codes, calls, certain) in enumerate(self._expected)
            if code in codes and not (calls and all(call.status != "pending" for call in calls))
        ]
        return self._expected.pop(min(fitting)[1])[1] if fitting else None

    def clear(self) -> None:
        """The connection has ended."""
        self._expected.clear()


def refusals(text: bytes, calls: Sequence[PendingCall], config: Config) -> list[Refusal]:
    """The refusals that this text causes: one for the whole text, or one for each invalid entry of a batch."""
    if len(text) > config.max_message_bytes:
        return [((REQUEST_TOO_LARGE,), calls, True)]
    perhaps: list[Refusal] = []
    if config.require_authentication and len(text) > config.max_message_bytes_unauthenticated:
        perhaps.append(((REQUEST_TOO_LARGE,), calls, False))  # unless the client is known by then
    message = read_message(text, config)
    if isinstance(message, list):
        return perhaps + [
            (entry.codes + REPLACEMENTS, calls[place : place + 1], True)
            for place, entry in enumerate(message)
            if isinstance(entry, Invalid) and entry.id == NULL
        ]
    if isinstance(message, Invalid) and message.id == NULL:
        perhaps.append((message.codes + REPLACEMENTS, calls, True))
    return perhaps
