"""Which status an answer over HTTP must have, by what it says (docs/protocol.md, "HTTP")."""

from __future__ import annotations

from typing import Any, Final

from posthouse.core.values.errors import http_status

NO_CONTENT: Final = 204

IN_WORDS: Final = (403, 408, 414, 421, 429, 431, 503)
"""With these a request is refused in words though it keeps the rules: for its time, its size, where it comes from and
where it goes to, and because the server is full or leaves."""


def status_fits(status: int, asks: bool, answer: Any) -> bool:
    """Is this the status of this answer, which is None where it is no JSON? `asks`: something is to be answered."""
    if answer is None:
        return status in IN_WORDS or (status == NO_CONTENT and not asks)
    if isinstance(answer, list):
        # Of what asks for nothing only faults are told, and nobody knows whose they are.
        nameless = all("error" in entry and entry.get("id") is None for entry in answer)
        return (asks or nameless) and status == http_status(None)
    if "error" in answer:
        return status == http_status(answer["error"]["code"])
    return asks and status == http_status(None)


def asks(said: Any) -> bool:
    """Is there a request in this text, which must have a response?"""
    entries = said if isinstance(said, list) else [said]
    return any(isinstance(entry, dict) and "method" in entry and "id" in entry for entry in entries)
