"""The requests to the store of calls of `session.*`, read from their texts, and the results that they must have."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from msgspec import DecodeError, Raw, Struct
from msgspec.json import decode
from posthouse.adapters.invariants import must
from posthouse.core.store.requests import (
    AddSession,
    EndSession,
    FindSession,
    ListSessions,
    ResumeSession,
    UpdateSession,
    UseSession,
)
from posthouse.core.store.rows import SessionRow

ASKS: Final[dict[str, tuple[type, ...]]] = {
    "session.create": (AddSession,),
    "session.resume": (UseSession, ResumeSession),
    "session.get": (FindSession,),
    "session.update": (UpdateSession,),
    "session.end": (EndSession,),
    "session.list": (ListSessions,),
}
"""The request to the store of each method."""

CHANGES: Final = ("session.create", "session.resume", "session.end")
"""Those that may change the session of their caller."""


class Params(Struct):
    """The params of any of the methods, as far as they are compared."""

    session: str | None = None
    secret: str = ""
    replaces: str | None = None
    version: int | None = None
    set: dict[str, Raw] | None = None
    unset: tuple[str, ...] | None = None
    data: dict[str, Raw] | None = None


class Told(Struct):
    """The result of `session.create` and `session.resume`."""

    id: str
    secret: str
    data: Raw
    version: int
    expires_in: int


def read(params: bytes | None) -> Params | None:
    """The params of a call. None: they cannot be read."""
    try:
        if params is None:
            return Params()
        return decode(params, type=Params) if params[:1] == b"{" else None
    except DecodeError:
        return None


def fits(method: str, given: Params, own: str | None, request: Any) -> bool:
    """Is this what a caller with this session asks the store for?"""
    match method:
        case "session.create" | "session.list":
            return True
        case "session.resume":
            digest = sha256(given.secret.encode("utf-8", "surrogatepass")).digest()
            right = isinstance(request, UseSession) is (given.replaces is not None)
            return right and (request.session, request.digest) == (given.session, digest)
        case "session.end":
            return bool(request.session == (given.session or own))
        case "session.update":
            changes, same = decode(request.set, type=dict[str, Raw]), request.version == given.version
            same = same and request.unset == (given.unset or ()) and changes.keys() == (given.set or {}).keys()
            return bool(same and request.session == own)
        case _:
            return bool(request.session == own)


def check_told(row: SessionRow, result: Raw) -> None:
    """A caller is told the session that the store has, with the secret that belongs to it. Raises Violation."""
    told = decode(result, type=Told)
    right = sha256(told.secret.encode()).digest() == row.current
    must(right, "sessions: a caller is told a secret that does not count", row.id)
    same = (told.id, decode(told.data), told.version) == (row.id, decode(row.data), row.version)
    must(same, "sessions: a caller is told another session than the store has", row.id)
