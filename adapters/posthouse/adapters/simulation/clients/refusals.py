"""What a client's texts will be refused for without a word about whose they were: errors whose id is null.

JSON-RPC 2.0 section 5: the id is null "if there was an error in detecting the id in the Request object". A client that
keeps the rules knows all the same what is meant: what it said is read here by the rules of the server's limits. Over
HTTP this is not needed, because each text has a response of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from posthouse.adapters.model.texts import NULL, Codes, Wrong, read
from posthouse.core.values.config import Config
from posthouse.core.values.errors import BATCH_REPLY_TOO_LARGE, REQUEST_TOO_LARGE, RESPONSE_TOO_LARGE

from .pending import PendingCall

SHORTENED: Final = (RESPONSE_TOO_LARGE, BATCH_REPLY_TOO_LARGE)
"""What takes the place of an error that is too large itself."""

Refusal = tuple[Codes, Sequence[PendingCall]]
"""The codes of which one will come, and the calls that will have no other outcome."""


class Refusals:
    """Those that are still to come on one connection, in the order of what they are for."""

    def __init__(self, config: Config) -> None:
        self._config: Final = config
        self._due: Final[list[Refusal]] = []

    def said(self, text: bytes, calls: Sequence[PendingCall]) -> None:
        """This was said, with these calls at its beginning."""
        self._due.extend(refusals(text, calls, self._config))

    def take(self, code: int) -> Sequence[PendingCall] | None:
        """An error with this code came: the calls that it ends. None: no text has deserved it.

        Those of one kind come in the order of the texts; what is found before a text is read may overtake others.
        """
        for place, (codes, calls) in enumerate(self._due):
            if code in codes:
                del self._due[place]
                return calls
        return None

    def clear(self) -> None:
        """The connection is gone."""
        self._due.clear()


def refusals(text: bytes, calls: Sequence[PendingCall], config: Config) -> list[Refusal]:
    """What this text will be refused for, as a whole or entry by entry."""
    if len(text) > config.max_message_bytes:
        return [((REQUEST_TOO_LARGE,), calls)]
    said = read(text, config)
    if not isinstance(said, list):
        return [(said.codes + SHORTENED, calls)] if isinstance(said, Wrong) and said.id == NULL else []
    return [
        (entry.codes + SHORTENED, calls[place : place + 1])
        for place, entry in enumerate(said)
        if isinstance(entry, Wrong) and entry.id == NULL
    ]
