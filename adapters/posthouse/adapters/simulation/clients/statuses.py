"""Which HTTP status a response must have for its content (docs/protocol.md, "HTTP")."""

from __future__ import annotations

from typing import Any, Final

from posthouse.core.values.errors import http_status

NO_CONTENT: Final = 204

PLAIN_REFUSALS: Final = (403, 408, 414, 421, 429, 431, 503)
"""The statuses with which a valid request may be refused in plain text: for its time or size, for its origin or host,
and because the server is full or shutting down."""


def status_fits(status: int, expects_reply: bool, reply: Any) -> bool:
    """Is this the right status for this reply? `reply` is None if it is not JSON. `expects_reply`: the request text has
    a request with an id."""
    if reply is None:
        return status in PLAIN_REFUSALS or (status == NO_CONTENT and not expects_reply)
    if isinstance(reply, list):
        # A batch of notifications gets only errors without an id.
        without_id = all("error" in entry and entry.get("id") is None for entry in reply)
        return (expects_reply or without_id) and status == http_status(None)
    if "error" in reply:
        return status == http_status(reply["error"]["code"])
    return expects_reply and status == http_status(None)


def expects_reply(message: Any) -> bool:
    """Does this message contain a request with an id?"""
    entries = message if isinstance(message, list) else [message]
    return any(isinstance(entry, dict) and "method" in entry and "id" in entry for entry in entries)
