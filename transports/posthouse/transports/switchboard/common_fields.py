"""Header fields that many clients send alike, each kept once: an open WebSocket keeps its headers for its handlers.

It may not know what a field means. A field is never changed: only the object that holds it is another one's.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.values.peers import CREDENTIALS
from posthouse.transports.fields import Fields

MAX_FIELDS: Final = 256
MAX_FIELD_BYTES: Final = 256

OWN: Final = {name.encode(): name.encode() for name in (*CREDENTIALS, "sec-websocket-key", "x-request-id")}
"""The fields that differ with every client: only their names are kept once."""


class CommonFields:
    """At most `MAX_FIELDS` fields, of at most `MAX_FIELD_BYTES` each. The oldest one makes room."""

    def __init__(self) -> None:
        self._kept: Final[dict[tuple[bytes, bytes], tuple[bytes, bytes]]] = {}

    def share(self, fields: Fields) -> Fields:
        """The same fields, made of those that are kept."""
        kept = self._kept
        return tuple([kept.get(field) or self._keep(field) for field in fields])

    def _keep(self, field: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        name, value = field
        own = OWN.get(name)
        if own is not None:
            return own, value
        if len(name) + len(value) <= MAX_FIELD_BYTES:
            if len(self._kept) >= MAX_FIELDS:
                del self._kept[next(iter(self._kept))]
            self._kept[field] = field
        return field
